#!/usr/bin/env python3
"""Runs every check: lint, types, tests. ``--all`` installs the heavy extras first, so that nothing is skipped for want
of torch, cairo or a browser's driver. Other arguments go to pytest (``scripts/test.py -k store``).
"""

from __future__ import annotations

import sys

from environment import prepare, run, say


def main() -> None:
    """Installs what the checks need and runs them; the exit code is that of the first check that fails."""
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    arguments = [word for word in arguments if word != "--all"]
    prepare("dev,local,metrics,paper" if everything else "dev,local")
    say("Lint")
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    say("Types")
    run("mypy")
    say("Tests")
    chosen = arguments or (["-n", "2"] if everything else ["-n", "2", "-m", "not slow and not torch and not browser"])
    run("pytest", *chosen)


if __name__ == "__main__":
    main()
