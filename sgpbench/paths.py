"""Where things are: the folders at the project's root, the user's cache, the data directories."""

from __future__ import annotations

import os
from pathlib import Path

from sgpbench.errors import SgpbenchError

__all__ = ["CACHE_REMEDY", "cache_dir", "cache_error", "data_dirs", "project_root", "root_folder"]

_PACKAGE = Path(__file__).resolve().parent


def root_folder(name: str) -> Path:
    """A folder of the project's root (``tasks``, ``protocols`` ...), in a checkout and in an installed package."""
    for base in (_PACKAGE / "_root", _PACKAGE.parent):
        folder = base / name
        if folder.is_dir() and (base.name == "_root" or (base / "pyproject.toml").is_file()):
            return folder
    raise SgpbenchError(f"The folder '{name}' of sgpbench is missing.", remedy="Install sgpbench again.")


def project_root() -> Path | None:
    """The root of the checkout this package runs from; ``None`` for an installed package."""
    return _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None


CACHE_REMEDY = "Free some space, or set SGPBENCH_CACHE_DIR to a folder that can be written."
"""What to do where something below ``cache_dir`` cannot be written."""


def cache_dir() -> Path:
    """The user's cache: ``SGPBENCH_CACHE_DIR``, else ``$XDG_CACHE_HOME/sgpbench``, else ``~/.cache/sgpbench``."""
    if own := os.environ.get("SGPBENCH_CACHE_DIR"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "sgpbench"


def cache_error(error: OSError) -> SgpbenchError | None:
    """The error that names the cache, where something in it could not be written; ``None`` for other files."""
    if not isinstance(error.filename, str | bytes) or isinstance(error, FileNotFoundError):
        return None
    place, cache = Path(os.fsdecode(error.filename)), cache_dir()
    if not (place.is_relative_to(cache) or cache.is_relative_to(place)):
        return None
    return SgpbenchError(f"The cache {cache} cannot be written: {error.strerror}.", remedy=CACHE_REMEDY)


def data_dirs(given: Path | None = None) -> tuple[Path, ...]:
    """Where data is looked for, in order: the given directory, ``SGPBENCH_DATA_DIR``, the user's cache."""
    found = [given] if given else []
    if own := os.environ.get("SGPBENCH_DATA_DIR"):
        found.append(Path(own))
    return (*found, cache_dir() / "data")
