"""Whether a stored picture is still the one that was drawn. A judge never sees an empty, cut or changed one.

A power cut may leave a file empty whose drawing the database knows; a disk may lose bytes later. So the database holds
size and hash of every picture, and who wants to use one asks here first. One that does not hold is drawn again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sgpbench.run.store import RunView, picture_path

__all__ = ["pictures_hold"]

_START = b"\x89PNG\r\n\x1a\n"
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def pictures_hold(view: RunView, key: str) -> bool:
    """Whether all pictures of the rendering of that key lie in the run's folder as they were drawn."""
    return all(_holds(picture_path(view.folder, name), size, digest) for name, size, digest in view.pictures(key))


def _holds(path: Path, size: int | None, sha256: str | None) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    if size is None or sha256 is None:
        # Drawn before sizes and hashes were kept: it must at least be a PNG from its first to its last byte.
        return data.startswith(_START) and data.endswith(_END)
    return len(data) == size and hashlib.sha256(data).hexdigest() == sha256
