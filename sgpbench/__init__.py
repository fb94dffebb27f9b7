"""sgpbench: how well language models draw by writing programs (SGP-GenBench, arXiv 2509.05208)."""

from __future__ import annotations

__version__ = "0.1.0"
