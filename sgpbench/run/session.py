"""What is remembered of each start of a run: when, where, with which versions. Never part of a run's identity."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from sgpbench import __version__
from sgpbench.paths import project_root
from sgpbench.records import Json
from sgpbench.run.options import RunOptions

__all__ = ["session_record", "utc_now"]

_PACKAGES = (
    *(
        "resvg-py",
        "cairosvg",
        "lxml",
        "numpy",
        "scipy",
        "pandas",
        "opencv-python-headless",
        "openai",
        "anthropic",
    ),
    *("google-genai", "xllamacpp", "torch", "open-clip-torch", "transformers", "sentence-transformers"),
)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of a checkout, with ``+`` where files differ from it; ``None`` for an installed package."""
    root = project_root()
    if root is None or not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def utc_now() -> str:
    """ISO 8601, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def session_record(options: RunOptions, sandbox: str) -> dict[str, Json]:
    """The record of a start that happens now."""
    found = {package: _version(package) for package in _PACKAGES}
    return {
        "started": utc_now(),
        "command": options.command,
        "sgpbench": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "sandbox": sandbox,
        "packages": {package: number for package, number in found.items() if number},
    }
