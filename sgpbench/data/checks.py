"""Which files were already found to have which SHA-256, so that loading a task does not hash them again.

An append-only file in the user's cache: one JSON line per check. A file counts as the same while path, size and time of
modification are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TypeAlias

from sgpbench.paths import cache_dir

__all__ = ["Checks", "sha256_of"]

_Key: TypeAlias = tuple[str, int, int]
_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Checks:
    """Remembers hashes of unchanged files; a cache that cannot be written only makes it slower."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_dir() / "checked-files.jsonl"
        self._known: dict[_Key, str] | None = None

    def sha256(self, path: Path, *, fresh: bool = False) -> str:
        """A file's hash, from memory where path, size and time of modification are as before, unless ``fresh``."""
        key = self._key(path)
        if not fresh and (known := self._load().get(key)) is not None:
            return known
        sha256 = sha256_of(path)
        self.remember(path, sha256)
        return sha256

    def remember(self, path: Path, sha256: str) -> None:
        """Records a hash that was just computed."""
        key = self._key(path)
        self._load()[key] = sha256
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, sha256]) + "\n")
        except OSError:
            return

    def _load(self) -> dict[_Key, str]:
        if self._known is None:
            self._known = {}
            try:
                lines = self._path.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                lines = []
            for line in lines:
                try:
                    path, size, changed, sha256 = json.loads(line)
                except ValueError:
                    continue  # a line cut short by a crash
                self._known[(str(path), int(size), int(changed))] = str(sha256)
        return self._known

    @staticmethod
    def _key(path: Path) -> _Key:
        stat = path.stat()
        return (os.path.realpath(path), stat.st_size, stat.st_mtime_ns)
