"""Which contents are taken by the published prompts, as short hashes: no published sentence is kept here.

``published-marks.txt`` holds 10 hex digits per mark: of each published text (normalised) and of each published content
(kind with attributes and things, kind with the pair of things, or counts with things). A test makes it again from the
published file and compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from sgpbench.records import Prompt
from sgpbench.tasks.texts import normalised

__all__ = ["Content", "content_mark", "content_of", "marks_of", "published_marks", "text_mark"]

Content: TypeAlias = "tuple[str | tuple[str, str] | tuple[str, int], ...]"
_ATTRIBUTES = {"binding/color": "colors", "binding/shape": "shapes", "binding/texture": "textures"}


def text_mark(text: str) -> str:
    """The mark of a text."""
    return hashlib.sha256(f"text\0{normalised(text)}".encode()).hexdigest()[:10]


def content_mark(content: Content) -> str:
    """The mark of what a prompt asks for, whatever its words and their order."""
    canonical = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"content\0{canonical}".encode()).hexdigest()[:10]


def content_of(prompt: Prompt) -> Content:
    """What a prompt asks for, from its metadata.

    Relations count by their pair of things alone, so that a new prompt never repeats a published pair in other words.
    """
    metadata = prompt.metadata
    if prompt.category == "numeracy":
        counts = cast("Sequence[Mapping[str, str | int]]", metadata["object_counts"])
        return ("numeracy", *sorted((str(entry["noun"]), int(entry["count"])) for entry in counts))
    minor = prompt.category.split("/")[1]
    nouns = cast("Sequence[str]", metadata["nouns"])
    if key := _ATTRIBUTES.get(prompt.category):
        return (minor, *sorted(zip(cast("Sequence[str]", metadata[key]), nouns, strict=True)))
    return (minor, *sorted(nouns))


def marks_of(prompts: Iterable[Prompt]) -> list[str]:
    """The marks of prompts, sorted."""
    marks: set[str] = set()
    for prompt in prompts:
        marks |= {text_mark(prompt.caption), content_mark(content_of(prompt))}
    return sorted(marks)


def published_marks() -> list[str]:
    """The marks of the published prompts."""
    return (Path(__file__).parent / "published-marks.txt").read_text("ascii").split()
