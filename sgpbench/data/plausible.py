"""Whether bytes of unknown hash are at all what their name says, so that no error page is ever locked as data."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["implausible"]


def implausible(path: Path, suffix: str) -> str | None:
    """What is wrong with a file that should be of the kind ``suffix`` says; ``None`` if nothing is."""
    match suffix:
        case ".jpg":
            with path.open("rb") as file:
                begins = file.read(3) == b"\xff\xd8\xff"
                file.seek(max(0, path.stat().st_size - 64))
                ends = b"\xff\xd9" in file.read()
            return None if begins and ends else "it is not a whole JPEG picture"
        case ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError as error:
                return f"it is not JSON ({error})"
            return None
        case _:
            return None
