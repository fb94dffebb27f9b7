"""Names a checkpoint folder by what is in it, so that equal weights are one model wherever they lie."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["checkpoint_fingerprint"]

_PIECE = 64 << 10
_PIECES = 64
_IGNORED = {".git", ".cache"}


def checkpoint_fingerprint(folder: Path) -> str:
    """16 hex digits over every file's name and size, and its bytes: all of small files, 64 pieces of large ones.

    Reading all of a large checkpoint would take longer than loading it. The pieces lie evenly over the file (4 MiB in
    all, first and last bytes included), so that another step of a training, which changes weights everywhere, is
    another model.
    """
    digest = hashlib.sha256()
    paths = [
        path for path in folder.rglob("*") if path.is_file() and not _IGNORED & set(path.relative_to(folder).parts)
    ]
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _PIECE * _PIECES:
                digest.update(file.read())
                continue
            for number in range(_PIECES):
                file.seek((size - _PIECE) * number // (_PIECES - 1))
                digest.update(file.read(_PIECE))
    return digest.hexdigest()[:16]
