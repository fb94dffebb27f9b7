"""Names that are safe as file names, and texts of others that are safe to read.

Model names, captions and programs are written by strangers. They never choose a file's name or a link's scheme, and the
characters that reorder or hide text are made visible.
"""

from __future__ import annotations

import hashlib
import re

from sgpbench.terminal import visible

__all__ = ["plain", "safe_link", "shortened", "slug"]

_LONGEST_SLUG = 48


def slug(text: str) -> str:
    """A file name for any text: its readable beginning and 8 hex digits of its hash; ``[a-z0-9-]`` only.

    Texts that differ have different slugs, for all practical purposes; equal ones equal slugs.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST_SLUG].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def plain(text: str) -> str:
    """The same text with control characters and those that change its direction shown as U+FFFD, as on a terminal."""
    return visible(text)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis, in at most ``most`` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def safe_link(address: object) -> str | None:
    """The address if it is a plain ``https`` one, else ``None``: no other scheme ever becomes a link."""
    if not isinstance(address, str) or len(address) > 2_000:
        return None
    return (
        address if re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?", address) else None
    )
