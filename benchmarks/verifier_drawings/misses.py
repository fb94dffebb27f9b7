"""Near misses: one shape is asked for and something like it is drawn. What the verifier makes of each is decided here.

The table in the task's data card is made from this one, and a test holds every line of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDTH = 200.0


@dataclass(frozen=True)
class Miss:
    asked: str
    drawn: str
    element: str
    """SVG around (0, 0), about 100 across; ``fill`` is inherited."""
    accepted: bool


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _polygon(points: list[tuple[float, float]], extra: str = "") -> str:
    return f'<polygon points="{_points(points)}"{extra}/>'


def _ring(corners: int, inner: float | None = None, radius: float = 50.0) -> list[tuple[float, float]]:
    number = corners * (1 if inner is None else 2)
    out = []
    for i in range(number):
        r = radius * (inner if inner is not None and i % 2 else 1.0)
        out.append((r * math.sin(2 * math.pi * i / number), -r * math.cos(2 * math.pi * i / number)))
    return out


def _rect(width: float, height: float, round_share: float = 0.0) -> str:
    rx = f' rx="{round_share * min(width, height):.2f}"' if round_share else ""
    return f'<rect x="{-width / 2}" y="{-height / 2}" width="{width}" height="{height}"{rx}/>'


def _ellipse(rx: float, ry: float) -> str:
    return f'<ellipse rx="{rx}" ry="{ry}"/>'


def _cut_triangle(share: float) -> list[tuple[float, float]]:
    return [(-50 * share, -45 + 90 * share), (50 * share, -45 + 90 * share), (50, 45), (-50, 45)]


_PENTAGRAM = [_ring(5)[i] for i in (0, 2, 4, 1, 3)]
_SOFT = ' stroke="{fill}" stroke-width="8" stroke-linejoin="round"'

MISSES = (
    Miss("circle", "16-gon", _polygon(_ring(16)), True),
    Miss("circle", "12-gon", _polygon(_ring(12)), True),
    Miss("circle", "octagon", _polygon(_ring(8)), False),
    Miss("circle", "hexagon", _polygon(_ring(6)), False),
    Miss("circle", "ellipse 1.08:1", _ellipse(50, 50 / 1.08), True),
    Miss("circle", "ellipse 1.2:1", _ellipse(50, 50 / 1.2), False),
    Miss("circle", "half disc", '<path d="M-50 0A50 50 0 0 1 50 0Z"/>', False),
    Miss("circle", "square, corners rounded at 40 %", _rect(90, 90, 0.4), False),
    Miss(
        "circle",
        "ring, half as wide as its hole",
        '<path fill-rule="evenodd" d="M-50 0a50 50 0 1 0 100 0a50 50 0 1 0-100 0zM-30 0a30 30 0 1 0 60 0a30 30 0 1 0-60 0z"/>',
        False,
    ),
    Miss("ellipse", "ellipse 1.5:1", _ellipse(50, 50 / 1.5), True),
    Miss("ellipse", "ellipse 1.2:1", _ellipse(50, 50 / 1.2), False),
    Miss("ellipse", "pill 2:1", _rect(100, 50, 0.5), False),
    Miss("ellipse", "polygon of 24 points, 1.6:1", _polygon([(x, y / 1.6) for x, y in _ring(24)]), True),
    Miss("square", "corners rounded at 10 % of the side", _rect(90, 90, 0.1), True),
    Miss("square", "corners rounded at 18 %", _rect(90, 90, 0.18), True),
    Miss("square", "corners rounded at 35 %", _rect(90, 90, 0.35), False),
    Miss("square", "turned by 45 degrees", f'<g transform="rotate(45)">{_rect(80, 80)}</g>', True),
    Miss("square", "rectangle 1.08:1", _rect(90, 90 / 1.08), True),
    Miss("square", "rectangle 1.22:1", _rect(90, 90 / 1.22), False),
    Miss("square", "rhombus, 70 degrees", _polygon([(0, -50), (35, 0), (0, 50), (-35, 0)]), False),
    Miss("square", "trapezoid", _polygon([(-30, -45), (30, -45), (50, 45), (-50, 45)]), False),
    Miss("rectangle", "rectangle 1.5:1", _rect(90, 60), True),
    Miss("rectangle", "rectangle 1.2:1", _rect(90, 75), False),
    Miss("rectangle", "rectangle 2:1, corners rounded at 18 %", _rect(100, 50, 0.18), True),
    Miss("rectangle", "pill 2:1", _rect(100, 50, 0.5), False),
    Miss("rectangle", "parallelogram", _polygon([(-30, -25), (55, -25), (30, 25), (-55, 25)]), False),
    Miss("triangle", "right triangle", _polygon([(-45, -45), (-45, 45), (45, 45)]), True),
    Miss("triangle", "obtuse triangle, 120 degrees", _polygon([(-50, 20), (50, 20), (0, -8.9)]), True),
    Miss("triangle", "corners rounded", _polygon(_ring(3, None, 42), _SOFT), True),
    Miss("triangle", "tip cut off at a tenth", _polygon(_cut_triangle(0.1)), True),
    Miss("triangle", "tip cut off at a third", _polygon(_cut_triangle(0.34)), False),
    Miss(
        "triangle",
        "bulging sides (Reuleaux)",
        '<path d="M0-50A90 90 0 0 1 45 28A90 90 0 0 1-45 28A90 90 0 0 1 0-50Z"/>',
        False,
    ),
    Miss("pentagon", "house: square with a roof", _polygon([(-40, -5), (0, -48), (40, -5), (40, 48), (-40, 48)]), True),
    Miss(
        "pentagon",
        "irregular, sides up to 1.7:1",
        _polygon([(-10, -50), (48, -22), (40, 36), (-22, 48), (-50, -8)]),
        True,
    ),
    Miss(
        "pentagon",
        "square with a tenth of one corner cut",
        _polygon([(-45, -45), (36, -45), (45, -36), (45, 45), (-45, 45)]),
        False,
    ),
    Miss("pentagon", "hexagon", _polygon(_ring(6)), False),
    Miss("pentagon", "arrow (concave)", _polygon([(-45, -40), (45, 0), (-45, 40), (-15, 15), (-15, -15)]), False),
    Miss("hexagon", "stretched 1.5:1", _polygon([(y, x / 1.5) for x, y in _ring(6)]), True),
    Miss("hexagon", "pentagon", _polygon(_ring(5)), False),
    Miss("hexagon", "heptagon", _polygon(_ring(7)), False),
    Miss("hexagon", "octagon", _polygon(_ring(8)), False),
    Miss("star", "thin, bays at 0.28 of its reach", _polygon(_ring(5, 0.28)), True),
    Miss("star", "fat, bays at 0.6", _polygon(_ring(5, 0.6)), True),
    Miss("star", "bays at 0.78, almost a pentagon", _polygon(_ring(5, 0.78)), False),
    Miss("star", "four points", _polygon(_ring(4, 0.4)), False),
    Miss("star", "six points", _polygon(_ring(6, 0.5)), False),
    Miss("star", "rounded tips", _polygon(_ring(5, 0.5, 42), _SOFT), True),
    Miss("star", "crossing lines, filled (pentagram)", _polygon(_PENTAGRAM), True),
    Miss("star", "crossing lines, hole in the middle", _polygon(_PENTAGRAM, ' fill-rule="evenodd"'), False),
    Miss("star", "pentagon", _polygon(_ring(5)), False),
)


def miss_svg(miss: Miss, *, scale: float, angle: float, fill: str = "#1f4fd8") -> str:
    """The miss in the middle of a 200 × 200 canvas."""
    element = miss.element.replace("{fill}", fill)
    move = f"translate(100 100) rotate({angle}) scale({scale})"
    group = f'<g transform="{move}" fill="{fill}">{element}</g>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {WIDTH:g}">{group}</svg>'
