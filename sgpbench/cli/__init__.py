"""The command line. Each command has a file of its own, which imports what it needs only when it is called."""

from __future__ import annotations

from sgpbench.cli.app import main

__all__ = ["main"]
