"""Captions as texts: when two of them say the same."""

from __future__ import annotations

import re

__all__ = ["normalised", "slug"]


def normalised(text: str) -> str:
    """The text by which duplicates are found.

    Outer spaces, then outer double quotes, then final periods are removed; lower case; runs of white space become one
    space. The 3,200 published prompts of SGP-CompBench have 2,188 such texts.
    """
    return re.sub(r"\s+", " ", text.strip().strip('"').rstrip(".").lower())


def slug(text: str, length: int = 40) -> str:
    """Lower-case letters and digits joined by hyphens, at most ``length`` characters; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:length].rstrip("-")
