"""Shapes as polygons around (0, 0), about 1 across, and look-alikes that are not the shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Outline:
    """``points`` (n, 2); ``kind`` and ``numbers`` let the writer use an SVG primitive where there is one."""

    points: Array
    kind: str = "polygon"
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Item:
    """One shape on the canvas."""

    group: str
    shape: str
    color: str
    outline: Outline
    x: float = 0.0
    y: float = 0.0
    size: float = 1.0
    angle: float = 0.0
    _cache: dict = field(default_factory=dict, compare=False, repr=False)

    def at(self, x: float, y: float) -> Item:
        return replace(self, x=x, y=y, _cache={})

    def sized(self, size: float) -> Item:
        return replace(self, size=size, _cache={})

    @property
    def points(self) -> Array:
        if "points" not in self._cache:
            c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
            turned = self.outline.points @ np.array([[c, s], [-s, c]])
            self._cache["points"] = turned * self.size + np.array([self.x, self.y])
        return self._cache["points"]

    @property
    def box(self) -> tuple[float, float, float, float]:
        if "box" not in self._cache:
            low, high = self.points.min(0), self.points.max(0)
            self._cache["box"] = (*map(float, low), *map(float, high))
        return self._cache["box"]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]


def _regular(corners: int, turn: float = 0.0) -> Array:
    angles = 2 * math.pi * np.arange(corners) / corners + turn
    return 0.5 * np.column_stack([np.sin(angles), -np.cos(angles)])


def _star(tips: int, inner: float) -> Array:
    points = _regular(2 * tips)
    points[1::2] *= inner
    return points


def _ellipse(ratio: float) -> Outline:
    angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    rx, ry = (0.5, 0.5 / ratio)
    return Outline(np.column_stack([rx * np.cos(angles), ry * np.sin(angles)]), "ellipse", (rx, ry))


def _rectangle(ratio: float) -> Outline:
    w, h = 0.5, 0.5 / ratio
    return Outline(np.array([[-w, -h], [w, -h], [w, h], [-w, h]]), "rect", (2 * w, 2 * h))


def _nudged(points: Array, rng: Random, amount: float) -> Array:
    return points + np.array([[rng.uniform(-amount, amount) for _ in "xy"] for _ in points])


def _triangle(rng: Random) -> Array:
    kind = rng.choice(("equilateral", "isosceles", "right", "scalene"))
    if kind == "equilateral":
        return _regular(3)
    if kind == "isosceles":
        half = rng.uniform(0.35, 0.6)
        return np.array([[0, -0.5], [half, 0.5], [-half, 0.5]])
    if kind == "right":
        width = rng.uniform(0.7, 1.1)
        return np.array([[-width / 2, -0.5], [-width / 2, 0.5], [width / 2, 0.5]])
    return np.array([[rng.uniform(-0.3, 0.3), -0.5], [0.5, rng.uniform(0.3, 0.5)], [-0.5, rng.uniform(0.3, 0.5)]])


def true_outline(shape: str, rng: Random) -> Outline:
    """A shape as asked for, in one of its usual forms."""
    if shape == "circle":
        return replace(_ellipse(1.0), kind="circle", numbers=(0.5,))
    if shape == "square":
        return _rectangle(1.0)
    if shape == "rectangle":
        return _rectangle(rng.uniform(1.5, 2.8))
    if shape == "ellipse":
        return _ellipse(rng.uniform(1.5, 2.5))
    if shape == "triangle":
        return Outline(_triangle(rng))
    if shape == "star":
        return Outline(_nudged(_star(5, rng.uniform(0.36, 0.55)), rng, 0.006))
    points = _regular({"pentagon": 5, "hexagon": 6}[shape], rng.choice((0.0, math.pi / 6, math.pi / 5)))
    stretch = rng.uniform(0.92, 1.08)
    return Outline(_nudged(points * np.array([stretch, 1 / stretch]), rng, 0.01))


def _pill(rng: Random) -> Array:
    half = rng.uniform(0.18, 0.25)
    a = np.linspace(-math.pi / 2, math.pi / 2, 20)
    right = np.column_stack([0.5 - half + half * np.cos(a), half * np.sin(a)])
    return np.vstack([right, -right])


def _half_disc(rng: Random) -> Array:
    a = np.linspace(0, math.pi, 40)
    return np.column_stack([0.5 * np.cos(a), 0.25 - 0.5 * np.sin(a)])


def _trapezoid(rng: Random) -> Array:
    top = rng.uniform(0.2, 0.35)
    return np.array([[-top, -0.4], [top, -0.4], [0.5, 0.4], [-0.5, 0.4]])


def _parallelogram(rng: Random) -> Array:
    lean = rng.uniform(0.25, 0.4)
    return np.array([[-0.5 + lean, -0.35], [0.5 + lean, -0.35], [0.5 - lean, 0.35], [-0.5 - lean, 0.35]])


def _rhombus(rng: Random) -> Array:
    half = rng.uniform(0.28, 0.36)
    return np.array([[0, -0.5], [half, 0], [0, 0.5], [-half, 0]])


def _cross(rng: Random) -> Array:
    t = rng.uniform(0.14, 0.2)
    return np.array(
        [
            [-t, -0.5],
            [t, -0.5],
            [t, -t],
            [0.5, -t],
            [0.5, t],
            [t, t],
            [t, 0.5],
            [-t, 0.5],
            [-t, t],
            [-0.5, t],
            [-0.5, -t],
            [-t, -t],
        ]
    )


LOOKALIKES: dict[str, tuple[Callable[[Random], Outline], ...]] = {
    "circle": (
        lambda rng: _ellipse(rng.uniform(1.38, 1.6)),
        lambda rng: Outline(_regular(8, rng.uniform(0, 1))),
        lambda rng: Outline(_regular(6, rng.uniform(0, 1))),
        lambda rng: Outline(_half_disc(rng)),
    ),
    "square": (
        lambda rng: _rectangle(rng.uniform(1.38, 1.6)),
        lambda rng: Outline(_rhombus(rng)),
        lambda rng: Outline(_trapezoid(rng)),
        lambda rng: Outline(_regular(5)),
    ),
    "rectangle": (
        lambda rng: _rectangle(rng.uniform(1.0, 1.08)),
        lambda rng: Outline(_parallelogram(rng)),
        lambda rng: Outline(_pill(rng)),
        lambda rng: _ellipse(rng.uniform(1.5, 2.2)),
    ),
    "ellipse": (
        lambda rng: _ellipse(rng.uniform(1.0, 1.08)),
        lambda rng: Outline(_pill(rng)),
        lambda rng: _rectangle(rng.uniform(1.5, 2.2)),
        lambda rng: Outline(_regular(6) * np.array([1.0, 0.6])),
    ),
    "triangle": (
        lambda rng: Outline(_trapezoid(rng)),
        lambda rng: Outline(_rhombus(rng)),
        lambda rng: Outline(_regular(5)),
        lambda rng: Outline(_star(3, 0.25)),
    ),
    "pentagon": (
        lambda rng: Outline(_regular(6, rng.uniform(0, 1))),
        lambda rng: Outline(_regular(4, rng.uniform(0, 1))),
        lambda rng: Outline(_star(5, 0.6)),
        lambda rng: Outline(_regular(7, rng.uniform(0, 1))),
    ),
    "hexagon": (
        lambda rng: Outline(_regular(5, rng.uniform(0, 1))),
        lambda rng: Outline(_regular(8, rng.uniform(0, 1))),
        lambda rng: replace(_ellipse(1.0), kind="circle", numbers=(0.5,)),
        lambda rng: Outline(_star(6, 0.6)),
    ),
    "star": (
        lambda rng: Outline(_star(4, rng.uniform(0.3, 0.5))),
        lambda rng: Outline(_star(6, rng.uniform(0.35, 0.55))),
        lambda rng: Outline(_regular(5)),
        lambda rng: Outline(_cross(rng)),
    ),
}


def inside_polygon(points: Array, polygon: Array) -> Array:
    """Which of ``points`` (n, 2) lie in a polygon (even-odd)."""
    ends = np.roll(polygon, -1, 0)
    x, y = points[:, :1], points[:, 1:]
    (ax, ay), (bx, by) = polygon.T, ends.T
    crosses = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = (bx - ax) * (y - ay) / (by - ay) + ax
    return (crosses & (x < at)).sum(1) % 2 == 1


def distance_to_edge(points: Array, polygon: Array) -> Array:
    """Distance of each point from a polygon's boundary."""
    ends = np.roll(polygon, -1, 0)
    along = ends - polygon
    t = ((points[:, None] - polygon[None]) * along[None]).sum(2) / np.maximum((along**2).sum(1), 1e-9)
    nearest = polygon[None] + np.clip(t, 0, 1)[..., None] * along[None]
    return np.sqrt(((points[:, None] - nearest) ** 2).sum(2)).min(1)


def dense(polygon: Array) -> Array:
    """Points on a polygon's boundary, at most about 4 pixels apart."""
    ends = np.roll(polygon, -1, 0)
    pieces = [
        start + np.linspace(0, 1, max(2, int(np.hypot(*(end - start)) / 4)), endpoint=False)[:, None] * (end - start)
        for start, end in zip(polygon, ends, strict=True)
    ]
    return np.vstack(pieces)


def shared_shares(a: Item, b: Item) -> tuple[float, float]:
    """The area two items share, over the area of each; from a 48 × 48 grid on the common box."""
    low = np.minimum(a.points.min(0), b.points.min(0))
    high = np.maximum(a.points.max(0), b.points.max(0))
    grid = np.stack(np.meshgrid(*[np.linspace(low[k], high[k], 48) for k in (0, 1)]), -1).reshape(-1, 2)
    in_a, in_b = inside_polygon(grid, a.points), inside_polygon(grid, b.points)
    both = (in_a & in_b).sum()
    return float(both / max(1, in_a.sum())), float(both / max(1, in_b.sum()))


def clearance(a: Item, b: Item) -> float:
    """Smallest distance between two outlines; 0 where they share area."""
    one, other = dense(a.points), dense(b.points)
    if inside_polygon(one, b.points).any() or inside_polygon(other, a.points).any():
        return 0.0
    return float(min(distance_to_edge(one, b.points).min(), distance_to_edge(other, a.points).min()))
