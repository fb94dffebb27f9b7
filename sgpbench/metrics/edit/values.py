"""One spelling per attribute value, so that ``1.50`` equals ``1.5`` and ``#F00`` equals ``red``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from svg.path import parse_path

__all__ = [
    "COLOR_ATTRIBUTES",
    "MALFORMED",
    "NUMBER",
    "canonical",
    "canonical_color",
    "is_well_formed",
    "local_name",
    "one_space",
    "style_pairs",
]

NUMBER: Final = r"[-+]?(?:\d*\.\d+|\d+\.?)(?:[eE][-+]?\d+)?"
"""A number as SVG attributes write it."""
COLOR_ATTRIBUTES: Final = frozenset({"color", "fill", "flood-color", "lighting-color", "stop-color", "stroke"})
MALFORMED: Final = "\0malformed:"
"""Begins the canonical form of a value that does not follow its attribute's syntax."""

_WHOLE_NUMBER = re.compile(NUMBER)
_PATH_TOKEN = re.compile(f"{NUMBER}|[AaCcHhLlMmQqSsTtVvZz]")
_BETWEEN = re.compile(r"[\s,]*")
_FUNCTION = re.compile(r"([A-Za-z]+)\s*\(([^()]*)\)")
_ARGUMENTS: Final = {
    "matrix": (6,),
    "rotate": (1, 3),
    "scale": (1, 2),
    "skewX": (1,),
    "skewY": (1,),
    "translate": (1, 2),
}
_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*\)")
_NAMED: Final = {
    "aqua": "#00ffff",
    "black": "#000000",
    "blue": "#0000ff",
    "fuchsia": "#ff00ff",
    "gray": "#808080",
    "green": "#008000",
    "grey": "#808080",
    "lime": "#00ff00",
    "maroon": "#800000",
    "navy": "#000080",
    "olive": "#808000",
    "orange": "#ffa500",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}


def local_name(name: str) -> str:
    """A tag or attribute name without its namespace."""
    return name.partition("}")[2] if "}" in name else name


def one_space(text: str | None) -> str:
    """Text without outer white space, every inner run of it one space; nothing is the empty text."""
    return re.sub(r"\s+", " ", (text or "").strip())


def canonical(name: str, value: str) -> str:
    """The one spelling of an attribute's value. ``name`` may carry a namespace.

    A value against its attribute's syntax (a path, points, a transform, a style) comes back behind ``MALFORMED``.
    """
    name, value = local_name(name), one_space(value)
    if name == "style":
        return _canonical_style(value)
    if name in COLOR_ATTRIBUTES and not value.lower().startswith("url("):
        return canonical_color(value)
    if _WHOLE_NUMBER.fullmatch(value):
        return _canonical_number(value)
    match name:
        case "d":
            known = _tokens(value, commands=True)
        case "points" | "viewBox":
            known = _tokens(value)
        case "transform":
            known = _canonical_transform(value)
        case _:
            return _tokens(value) or value
    return MALFORMED + value if known is None else known


def canonical_color(value: str) -> str:
    """``#rrggbb`` for the sixteen basic names, ``orange`` and ``grey``, hex and plain ``rgb()``; else lower case."""
    value = value.strip().lower()
    if value in _NAMED:
        return _NAMED[value]
    if re.fullmatch(r"#[0-9a-f]{3}", value):
        return "#" + "".join(digit * 2 for digit in value[1:])
    rgb = _RGB.fullmatch(value)
    if rgb and all(int(part) <= 255 for part in rgb.groups()):
        return "#" + "".join(f"{int(part):02x}" for part in rgb.groups())
    return value


def is_well_formed(name: str, value: str) -> bool:
    """Whether a value follows its attribute's syntax: paths parse, points come in pairs, view boxes have an area."""
    name, known = local_name(name), canonical(name, value)
    if known.startswith(MALFORMED):
        return False
    match name:
        case "d":
            try:
                parse_path(value)
            except (IndexError, TypeError, ValueError, ZeroDivisionError):
                return False
            return True
        case "points":
            return len(known.split()) % 2 == 0
        case "viewBox":
            try:
                numbers = [float(token) for token in known.split()]
            except ValueError:
                return False
            return len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0
        case _:
            return True


def style_pairs(style: str) -> list[tuple[str, str]] | None:
    """The declarations of a ``style`` attribute, names in lower case; ``None`` where one of them is broken."""
    pairs = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, colon, value = declaration.partition(":")
        if not (colon and name.strip() and value.strip()):
            return None
        pairs.append((name.strip().lower(), value.strip()))
    return pairs


def _canonical_style(style: str) -> str:
    pairs = style_pairs(style)
    if pairs is None:
        return MALFORMED + style
    if len({name for name, _ in pairs}) == len(pairs):
        # Where a name comes twice the later one wins, so that their order means something.
        pairs = sorted((name, canonical(name, value)) for name, value in pairs)
    else:
        pairs = [(name, canonical(name, value)) for name, value in pairs]
    return ";".join(f"{name}:{value}" for name, value in pairs)


def _canonical_number(text: str) -> str:
    number = Decimal(text)
    if not number:
        return "0"
    plain = format(number.normalize(), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _tokens(value: str, *, commands: bool = False) -> str | None:
    """Numbers (and path commands) parted by one space each; ``None`` where anything else stands between them."""
    if not value.strip():
        return ""
    found: list[str] = []
    end, after_number = 0, False
    for token in (_PATH_TOKEN if commands else _WHOLE_NUMBER).finditer(value):
        text, gap = token.group(), value[end : token.start()]
        is_number = _WHOLE_NUMBER.fullmatch(text) is not None
        runs_on = not gap and after_number and is_number and text[0] not in "+-"
        if not _BETWEEN.fullmatch(gap) or runs_on:
            return None
        found.append(_canonical_number(text) if is_number else text)
        end, after_number = token.end(), is_number
    return " ".join(found) if found and _BETWEEN.fullmatch(value[end:]) else None


def _canonical_transform(value: str) -> str | None:
    if not value.strip():
        return ""
    found: list[str] = []
    end = 0
    for function in _FUNCTION.finditer(value):
        name, arguments = function.group(1), _tokens(function.group(2))
        apart = _BETWEEN.fullmatch(value[end : function.start()])
        if not apart or arguments is None or len(arguments.split()) not in _ARGUMENTS.get(name, ()):
            return None
        found.append(f"{name}({arguments})")
        end = function.end()
    return " ".join(found) if found and _BETWEEN.fullmatch(value[end:]) else None
