"""What a program is made of: counts over its tree, after cleaning and repair.

All measures are counts, 0 or more, and descriptive: more is neither better nor worse. ``MEASURES`` names each.
"""

from __future__ import annotations

import colorsys  # noqa: F401 - Pillow imports it late, when a confined worker can no longer read it
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from PIL import ImageColor

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["MEASURES", "code_length", "measure"]

_KINDS = (
    "circle",
    "clipPath",
    "defs",
    "ellipse",
    "filter",
    "g",
    "image",
    "line",
    "linearGradient",
    "marker",
    "mask",
    "path",
    "pattern",
    "polygon",
    "polyline",
    "radialGradient",
    "rect",
    "style",
    "svg",
    "symbol",
    "text",
    "use",
)
MEASURES: Mapping[str, str] = {
    "code_length": "Characters of the program as the model wrote it, without comments and white space.",
    "elements": "Elements of all kinds, the root included.",
    **{f"elements.{kind}": f"Elements of the kind {kind}." for kind in _KINDS},
    "elements.other": "Elements of all other kinds.",
    "depth": "Levels of nesting; the root alone is 1.",
    "transforms": "Attributes that transform an element, a gradient or a pattern.",
    "path_commands": "Command letters in all path data.",
    "gradients": "Linear and radial gradients.",
    "text_characters": "Characters that text elements draw, runs of white space counted as one.",
    "colors": "Distinct colours named in attributes, styles and style sheets; equal ones written differently are one.",
}

_COMMENT_START = re.compile(r"<!--|/\*")
_COMMENT_END = {"<!--": "-->", "/*": "*/"}
_COMMAND = re.compile(r"[MmZzLlHhVvCcSsQqTtAa]")
_PAINT = re.compile(
    r"(?:^|[;{\s])(?:fill|stroke|stop-color|color|flood-color|lighting-color)\s*+:\s*+([^;}!]++)", re.IGNORECASE
)
_PAINTS = ("fill", "stroke", "stop-color", "color", "flood-color", "lighting-color")
_TRANSFORMS = ("transform", "gradientTransform", "patternTransform")
_NO_COLOR = frozenset({"none", "inherit", "currentcolor", "transparent", "context-fill", "context-stroke", "initial"})


def code_length(program: str) -> int:
    """Characters without XML and CSS comments and white space; a comment that never ends is no comment."""
    length = position = 0
    endless: set[str] = set()
    while match := _COMMENT_START.search(program, position):
        closing = _COMMENT_END[match.group()]
        end = -1 if closing in endless else program.find(closing, match.end())
        if end < 0:
            endless.add(closing)
        kept = match.end() if end < 0 else match.start()
        length += _black(program[position:kept])
        position = kept if end < 0 else end + len(closing)
    return length + _black(program[position:])


def _black(text: str) -> int:
    return sum(map(len, text.split()))


def measure(root: etree._Element, program: str, drawn_text: str) -> dict[str, float]:
    """Every measure of ``MEASURES`` for a cleaned tree; ``program`` is what the model wrote."""
    kinds: Counter[str] = Counter()
    colors: set[str] = set()
    transforms = commands = deepest = 0
    for element, depth in _walk(root):
        kind = element.tag.rpartition("}")[2]
        kinds[kind if kind in _KINDS else "other"] += 1
        deepest = max(deepest, depth)
        transforms += sum(name in element.attrib for name in _TRANSFORMS)
        if kind == "path":
            commands += len(_COMMAND.findall(element.get("d") or ""))
        colors |= _colors(element, kind)
    return {
        "code_length": float(code_length(program)),
        "elements": float(kinds.total()),
        **{f"elements.{kind}": float(kinds[kind]) for kind in _KINDS},
        "elements.other": float(kinds["other"]),
        "depth": float(deepest),
        "transforms": float(transforms),
        "path_commands": float(commands),
        "gradients": float(kinds["linearGradient"] + kinds["radialGradient"]),
        "text_characters": float(len(drawn_text)),
        "colors": float(len(colors)),
    }


def _walk(root: etree._Element) -> Iterator[tuple[etree._Element, int]]:
    """Every element with its depth; nothing recurses, however deep the tree."""
    pending = [(root, 1)]
    while pending:
        element, depth = pending.pop()
        yield element, depth
        pending += [(child, depth + 1) for child in element.iterchildren("*")]


def _colors(element: etree._Element, kind: str) -> set[str]:
    written = [value for name in _PAINTS if (value := element.get(name))]
    if style := element.get("style"):
        written += _PAINT.findall(style)
    if kind == "style" and element.text:
        written += _PAINT.findall(element.text)
    return {color for value in written if (color := _normal_color(value))}


def _normal_color(value: str) -> str | None:
    """One spelling per colour: ``#rrggbb`` where Pillow knows the name or notation, else the words as they are."""
    word = value.strip().lower()
    if not word or word in _NO_COLOR or word.startswith(("url(", "var(")) or len(word) > 60:
        return None
    try:
        red, green, blue, *alpha = ImageColor.getrgb(word)
    except ValueError:
        return word
    if alpha and alpha[0] == 0:
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"
