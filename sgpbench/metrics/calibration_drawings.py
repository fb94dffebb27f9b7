"""Simple drawings of our own, as SVG, for calibrating judges: a few things that anyone recognises, made of primitives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["THINGS", "blank_sheet", "grid", "sheet", "words_sheet"]

_SIDE = 400


def _apple(colour: str) -> str:
    return (
        f'<circle cx="38" cy="60" r="28" fill="{colour}"/><circle cx="62" cy="60" r="28" fill="{colour}"/>'
        '<path d="M50 38 Q49 22 55 12" stroke="#6b3e1d" stroke-width="5" fill="none" stroke-linecap="round"/>'
        '<path d="M53 26 Q68 10 82 20 Q70 34 53 26 Z" fill="#3a9d3a"/>'
    )


def _car(colour: str) -> str:
    return (
        f'<path d="M22 50 L34 28 L66 28 L80 50 Z" fill="{colour}"/>'
        f'<rect x="4" y="46" width="92" height="24" rx="8" fill="{colour}"/>'
        '<path d="M30 48 L38 34 L48 34 L48 48 Z M53 48 L53 34 L63 34 L72 48 Z" fill="#cfe8f5"/>'
        '<rect x="88" y="52" width="8" height="7" fill="#fff3a0"/>'
        '<circle cx="26" cy="70" r="12" fill="#222"/><circle cx="26" cy="70" r="5" fill="#bbb"/>'
        '<circle cx="74" cy="70" r="12" fill="#222"/><circle cx="74" cy="70" r="5" fill="#bbb"/>'
    )


def _house(colour: str) -> str:
    return (
        f'<rect x="16" y="44" width="68" height="50" fill="{colour}" stroke="#333" stroke-width="2"/>'
        '<path d="M8 46 L50 10 L92 46 Z" fill="#7a4a2a" stroke="#333" stroke-width="2"/>'
        '<rect x="42" y="64" width="18" height="30" fill="#5b3717"/><circle cx="56" cy="80" r="2" fill="#e8c15a"/>'
        '<path d="M22 54 h14 v14 h-14 Z M66 54 h14 v14 h-14 Z" fill="#cfe8f5" stroke="#333" stroke-width="2"/>'
    )


def _tree(colour: str) -> str:
    return (
        '<rect x="43" y="58" width="14" height="40" fill="#7a4a2a"/>'
        f'<circle cx="50" cy="28" r="24" fill="{colour}"/><circle cx="30" cy="46" r="20" fill="{colour}"/>'
        f'<circle cx="70" cy="46" r="20" fill="{colour}"/><circle cx="50" cy="50" r="20" fill="{colour}"/>'
    )


def _fish(colour: str) -> str:
    return (
        f'<path d="M66 50 L96 28 L96 72 Z" fill="{colour}"/><ellipse cx="42" cy="50" rx="36" ry="24" fill="{colour}"/>'
        f'<path d="M36 28 Q50 8 60 32 Z" fill="{colour}" stroke="#333" stroke-width="1"/>'
        '<circle cx="22" cy="44" r="6" fill="#fff"/><circle cx="21" cy="44" r="3" fill="#111"/>'
        '<path d="M8 56 Q14 60 20 57" stroke="#333" stroke-width="2" fill="none"/>'
        '<path d="M34 32 Q42 50 34 68" stroke="#333" stroke-width="2" fill="none"/>'
    )


def _cat(colour: str) -> str:
    return (
        f'<path d="M78 88 Q98 80 90 54" stroke="{colour}" stroke-width="8" fill="none" stroke-linecap="round"/>'
        f'<ellipse cx="52" cy="76" rx="30" ry="22" fill="{colour}"/><circle cx="46" cy="40" r="24" fill="{colour}"/>'
        f'<path d="M24 34 L22 6 L44 20 Z M50 20 L70 6 L69 34 Z" fill="{colour}"/>'
        '<ellipse cx="37" cy="38" rx="5" ry="6" fill="#c9f26b"/><ellipse cx="55" cy="38" rx="5" ry="6" fill="#c9f26b"/>'
        '<circle cx="37" cy="38" r="2.5" fill="#111"/><circle cx="55" cy="38" r="2.5" fill="#111"/>'
        '<path d="M43 47 L49 47 L46 51 Z" fill="#f29bb0"/>'
        '<path d="M36 50 L14 46 M36 53 L14 56 M56 50 L78 46 M56 53 L78 56" stroke="#999" stroke-width="1.5"/>'
    )


def _balloon(colour: str) -> str:
    return (
        '<path d="M50 66 Q44 78 52 86 Q56 92 50 99" stroke="#555" stroke-width="2" fill="none"/>'
        f'<ellipse cx="50" cy="34" rx="25" ry="31" fill="{colour}"/><path d="M44 70 L56 70 L50 62 Z" fill="{colour}"/>'
        '<ellipse cx="41" cy="22" rx="5" ry="9" fill="#fff" fill-opacity="0.6"/>'
    )


THINGS: Mapping[str, Callable[[str], str]] = {
    "apple": _apple,
    "balloon": _balloon,
    "car": _car,
    "cat": _cat,
    "fish": _fish,
    "house": _house,
    "tree": _tree,
}
"""Each draws one thing in a colour, in a square of 100 units."""


def sheet(placed: Sequence[tuple[str, str, float, float, float]]) -> str:
    """A drawing of things, each given as its name, colour, left, top and side, on a white square of 400 units."""
    groups = (
        f'<g transform="translate({left:g} {top:g}) scale({side / 100:g})">{THINGS[name](colour)}</g>'
        for name, colour, left, top, side in placed
    )
    return _svg("".join(groups))


def grid(things: Sequence[tuple[str, str]]) -> str:
    """Things (name and colour) of equal size in rows, well apart, so that they can be counted."""
    columns = 2 if len(things) <= 4 else 3
    cell = _SIDE / columns
    side = cell * 0.78
    margin = (cell - side) / 2
    placed = [
        (name, colour, index % columns * cell + margin, index // columns * cell + margin, side)
        for index, (name, colour) in enumerate(things)
    ]
    return sheet(placed)


def blank_sheet() -> str:
    """Nothing but white."""
    return _svg("")


def words_sheet(lines: Sequence[str]) -> str:
    """Lines of text and nothing else."""
    top = _SIDE / 2 - 18 * (len(lines) - 1)
    texts = (
        f'<text x="{_SIDE // 2}" y="{top + 36 * row:g}" font-size="24" text-anchor="middle" fill="#111">{escape(line)}</text>'
        for row, line in enumerate(lines)
    )
    return _svg("".join(texts))


def _svg(inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" height="{_SIDE}">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="#ffffff"/>{inside}</svg>'
    )
