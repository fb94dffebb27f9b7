"""Writes the site's folder: only what changed, nothing stale left behind, never over somebody else's files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sgpbench.errors import SgpbenchError, UsageError

__all__ = ["LARGEST_SITE", "MARKER", "SiteWriter", "TooLarge"]

MARKER = ".sgpbench-site"
LARGEST_SITE = 900_000_000
"""Bytes; what a static host still takes."""


class TooLarge(SgpbenchError):
    """The site would be larger than a static host takes."""


class SiteWriter:
    """Collects the files of one build.

    Args:
        folder: the site's folder. It is made where it is missing; a folder that holds other things is refused.
        most_bytes: more than this is refused before it is written.

    Raises:
        UsageError: the folder is not empty and was not made by a build.
    """

    def __init__(self, folder: Path, *, most_bytes: int = LARGEST_SITE) -> None:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder.")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise UsageError(
                f"{folder} holds other files than a site of ours.", remedy="Give --out another, or an empty, folder."
            )
        self.folder = folder
        self.bytes = 0
        self.changed = 0
        self._most = most_bytes
        self._paths: set[str] = set()
        self._folders: set[Path] = set()
        self._existing = _sizes(folder)
        self.write(MARKER, b"Made by `sgpbench leaderboard build`; rebuilt and cleaned by it.\n")

    @property
    def files(self) -> int:
        """How many files the site has so far."""
        return len(self._paths)

    def write(self, path: str, data: bytes) -> None:
        """Writes a file (relative path with ``/``), unless it is there with these bytes."""
        if not self._claim(path, len(data)):
            return
        target = self.folder / path
        if self._existing.get(path) == len(data) and target.read_bytes() == data:
            return
        self._make_parent(target)
        temporary = target.with_name(target.name + ".part")
        temporary.write_bytes(data)
        temporary.replace(target)
        self.changed += 1

    def place(self, path: str, source: Path, size: int) -> None:
        """Puts a file whose name says what is in it: one that is there with the same size is the same file."""
        if not self._claim(path, size) or self._existing.get(path) == size:
            return
        target = self.folder / path
        self._make_parent(target)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
        self.changed += 1

    def finish(self) -> None:
        """Removes files of earlier builds that this one does not have."""
        for path in sorted(set(self._existing) - self._paths):
            stale = self.folder / path
            stale.unlink(missing_ok=True)
            parent = stale.parent
            while parent != self.folder and not any(parent.iterdir()):
                parent.rmdir()
                parent = parent.parent

    def _claim(self, path: str, size: int) -> bool:
        """Counts a file once; ``False`` where it was written before in this build."""
        if path in self._paths:
            return False
        self._paths.add(path)
        self.bytes += size
        if self.bytes > self._most:
            raise TooLarge(
                f"The site would have more than {self._most / 1e6:,.0f} MB.",
                remedy="Show fewer drawings per task: --gallery-prompts 100 halves most of it; "
                "--no-programs leaves out the programs' text.",
            )
        return True

    def _make_parent(self, target: Path) -> None:
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(target.parent)


def _sizes(folder: Path) -> dict[str, int]:
    """Size of every file below a folder, by relative path with ``/``."""
    found: dict[str, int] = {}
    waiting = [(folder, "")] if folder.is_dir() else []
    while waiting:
        place, prefix = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                else:
                    found[f"{prefix}{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return found
