"""Shapes that are partly hidden by others: is what can be seen what such a shape would show?

The free boundary (that which borders the background) is fitted with the shape asked about; then every point of the fitted
outline must lie on the visible boundary or under a neighbour, and every free point on the fitted outline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.geometry import ELLIPSE_FROM, RECTANGLE_FROM, SQUARE_TO, Figure, classify

__all__ = ["Hidden", "complete"]

Points = npt.NDArray[np.float64]
Plane = npt.NDArray[np.complex128]
"""Points as complex numbers."""

_COMPLEX = np.array([1, 1j])

_NEAR = 0.022
"""Distance from the fitted outline, over the shape's size (root of its area), that a boundary point may have ..."""
_NEAR_PIXELS = 1.4
"""... plus this many pixels."""
_OUTLIERS = 0.04
_MEAN = 0.45
"""Mean distance allowed, as a share of the largest one."""
_VISIBLE = 0.45
"""Least share of its area that must be in view."""
_STUB = 10.0
"""Most that a region may reach beyond the free part of its boundary where a neighbour's outline hangs on to it."""
_STRETCH = 1.3
"""Most that a pentagon, hexagon or star may be stretched."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A region with neighbours that may hide part of it. All masks are of the whole canvas, 0 or 255."""

    contours: tuple[npt.NDArray[np.int32], ...]
    """The outer boundaries of what is visible, each ``(n, 2)``: several where a neighbour cuts it in pieces."""
    free: tuple[npt.NDArray[np.bool_], ...]
    """For each of their points: whether it borders the background."""
    cover: npt.NDArray[np.uint8]
    """Where a hidden part may lie: the neighbours' regions, with the edges between."""
    area: float

    @property
    def points(self) -> Points:
        """All boundary points, ``(n, 2)``."""
        return np.concatenate(self.contours).astype(np.float64)


def complete(hidden: Hidden, shape: str) -> Figure | None:
    """The whole figure of which the region is the visible part, or ``None`` where there is none of that shape."""
    points = hidden.points[np.concatenate(hidden.free)]
    if len(points) < 12:
        return None
    for outline in _FITS[shape](hidden, points):
        if _agrees(hidden, points, outline):
            return Figure(shape, outline.astype(np.float32))
    return None


def _agrees(hidden: Hidden, points: Points, outline: Points) -> bool:
    """Whether the free boundary and the part of the outline that nothing covers are the same line."""
    area = abs(cv2.contourArea(outline.astype(np.float32)))
    if area <= 0 or hidden.area < _VISIBLE * area:
        return False
    allowed = _NEAR * np.sqrt(area) + _NEAR_PIXELS
    height, width = hidden.cover.shape
    dense = _dense(outline, 240)
    columns, rows = np.rint(dense[:, 0]).astype(int), np.rint(dense[:, 1]).astype(int)
    on_canvas = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    covered = np.zeros(len(dense), bool)
    covered[on_canvas] = hidden.cover[rows[on_canvas], columns[on_canvas]] > 0
    visible = hidden.points[:: max(1, len(hidden.points) // 400)]
    to_visible = np.sqrt(_squares(dense, visible).min(1))
    seen = to_visible <= allowed
    if seen.mean() < 0.35 or (~seen & ~covered).sum() > _OUTLIERS * (seen | ~covered).sum():
        return False
    to_outline = np.sqrt(_squares(points[:: max(1, len(points) // 200)], dense).min(1))
    near = max(to_visible[seen].mean(), to_outline.mean()) <= _MEAN * allowed
    return bool(near and (to_outline > allowed).mean() <= _OUTLIERS)


def _squares(points: Points, line: Points) -> Points:
    """Squared distances between two sets of points, ``(n, m)``; none below 0."""
    squares: Points = (points**2).sum(1)[:, None] - 2 * points @ line.T + (line**2).sum(1)[None]
    return np.maximum(squares, 0)


def _dense(outline: Points, number: int) -> Points:
    """``number`` points evenly along a closed outline."""
    closed = np.vstack([outline, outline[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, along[-1], number, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, 0]), np.interp(at, along, closed[:, 1])], axis=1)


# --- round shapes --------------------------------------------------------------------------------------------------


def _circle(hidden: Hidden, points: Points) -> Iterable[Points]:
    system = np.column_stack([2 * points, np.ones(len(points))])
    solution, *_ = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)
    radius = np.sqrt(max(solution[2] + (solution[:2] ** 2).sum(), 1e-6))
    if not _is_round(np.hypot(*(points - solution[:2]).T) / radius, radius):
        return []
    turns = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    return [solution[:2] + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)]


def _ellipse(hidden: Hidden, points: Points) -> Iterable[Points]:
    centre, axes, angle = cv2.fitEllipseDirect(points.astype(np.float32))
    if min(axes) < 2 or not np.isfinite([*centre, *axes]).all() or max(axes) / min(axes) < ELLIPSE_FROM:
        return []
    turns, tilt = np.linspace(0, 2 * np.pi, 160, endpoint=False), np.radians(angle)
    out = points - np.array(centre)
    along, across = out @ np.array([np.cos(tilt), np.sin(tilt)]), out @ np.array([-np.sin(tilt), np.cos(tilt)])
    if not _is_round(np.hypot(2 * along / axes[0], 2 * across / axes[1]), float(np.sqrt(axes[0] * axes[1]) / 2)):
        return []
    x, y = axes[0] / 2 * np.cos(turns), axes[1] / 2 * np.sin(turns)
    return [
        np.stack(
            [centre[0] + x * np.cos(tilt) - y * np.sin(tilt), centre[1] + x * np.sin(tilt) + y * np.cos(tilt)], axis=1
        )
    ]


def _is_round(radii: Points, size: float) -> bool:
    """Whether radii in units of the fitted one vary no more than those of a 12-gon, and by half a pixel."""
    return bool(np.sqrt(((radii - 1) ** 2).mean()) <= 0.0165 + 0.4 / size)


# --- polygons ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    point: Points
    direction: Points
    length: float


def _free_lines(hidden: Hidden) -> list[_Line]:
    """Straight stretches of the free boundary, collinear ones taken together."""
    size = float(np.sqrt(hidden.area))
    merged: list[_Line] = []
    for contour, free in zip(hidden.contours, hidden.free, strict=True):
        for line in _lines(contour, free, size):
            same = next((index for index, other in enumerate(merged) if _collinear(line, other, size)), None)
            if same is None:
                merged.append(line)
            else:
                merged[same] = _merged(line, merged[same])
    return merged


def _lines(contour: npt.NDArray[np.int32], free: npt.NDArray[np.bool_], size: float) -> list[_Line]:
    corners = cv2.approxPolyDP(contour[:, None], 0.025 * size + 1.0, True)[:, 0]
    indices = sorted(int(((contour - corner) ** 2).sum(1).argmin()) for corner in corners)
    lines = []
    for start, end in zip(indices, [*indices[1:], indices[0] + len(contour)], strict=True):
        trim = max(1, (end - start) // 10)
        at = np.arange(start + trim, end - trim + 1) % len(contour)
        at = at[free[at]]
        if len(at) < max(4.0, 0.05 * size):
            continue
        run = contour[at].astype(np.float64)
        centre = run.mean(0)
        _, _, axes = np.linalg.svd(run - centre, full_matrices=False)
        lines.append(_Line(centre, axes[0], float(len(run))))
    return lines


def _merged(a: _Line, b: _Line) -> _Line:
    weight = a.length + b.length
    direction = a.point - b.point
    return _Line((a.point * a.length + b.point * b.length) / weight, direction / np.hypot(*direction), weight)


def _collinear(a: _Line, b: _Line, size: float) -> bool:
    between = b.point - a.point
    across = abs(between[0] * a.direction[1] - between[1] * a.direction[0])
    turn = abs(a.direction[0] * b.direction[1] - a.direction[1] * b.direction[0])
    return bool(across < 0.03 * size + 1 and turn < 0.12)


def _crossing(a: _Line, b: _Line) -> Points | None:
    turn = a.direction[0] * b.direction[1] - a.direction[1] * b.direction[0]
    if abs(turn) < 0.05:
        return None
    between = b.point - a.point
    along = (between[0] * b.direction[1] - between[1] * b.direction[0]) / turn
    crossing: Points = a.point + along * a.direction
    return crossing


def _triangle(hidden: Hidden, points: Points) -> Iterable[Points]:
    lines = sorted(_free_lines(hidden), key=lambda line: -line.length)[:6]
    found = []
    for a, b, c in combinations(lines, 3):
        corners = [_crossing(a, b), _crossing(b, c), _crossing(c, a)]
        if all(corner is not None for corner in corners):
            outline = np.array(corners)
            if classify(_dense(outline, 90).astype(np.float32)).shape == "triangle":
                found.append(outline)
    return found


@dataclass(frozen=True, slots=True)
class _Box:
    """A box round the visible region, at right angles to one of its sides."""

    turn: Points
    low: Points
    high: Points
    free_low: npt.NDArray[np.bool_]
    """Whether the side at the low end of each axis is seen."""
    free_high: npt.NDArray[np.bool_]

    def outline(self, low: Points | None = None, high: Points | None = None) -> Points:
        """Its four corners on the canvas, or those of the box with other ends."""
        low, high = self.low if low is None else low, self.high if high is None else high
        corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
        outline: Points = corners @ self.turn.T
        return outline


def _boxes(hidden: Hidden, points: Points) -> list[_Box]:
    found = []
    size = np.sqrt(hidden.area)
    near, enough = 0.03 * size + 1.5, max(6.0, 0.12 * size)
    for line in sorted(_free_lines(hidden), key=lambda line: -line.length)[:3]:
        turn = np.array([[line.direction[0], -line.direction[1]], [line.direction[1], line.direction[0]]])
        free, every = points @ turn, hidden.points @ turn
        # A side is seen where free points lie along it; a stub of a neighbour's outline may reach a little further.
        low, high = free.min(0), free.max(0)
        free_low = ((free - low < near).sum(0) >= enough) & (low - every.min(0) < _STUB)
        free_high = ((high - free < near).sum(0) >= enough) & (every.max(0) - high < _STUB)
        low, high = np.where(free_low, low, every.min(0)), np.where(free_high, high, every.max(0))
        found.append(_Box(turn, low, high, free_low, free_high))
    return found


def _of_ratio(box: _Box, ratio: float) -> list[Points]:
    """The box grown over hidden sides until its longer side is ``ratio`` times its shorter one."""
    found = []
    span = box.high - box.low
    for axis in (0, 1):
        for length in (ratio * span[1 - axis], span[1 - axis] / ratio):
            grow = np.eye(2)[axis] * (length - span[axis])
            if length < span[axis] - 2:
                continue
            if not box.free_low[axis]:
                found.append(box.outline(low=box.low - grow))
            if not box.free_high[axis]:
                found.append(box.outline(high=box.high + grow))
    return found


def _square(hidden: Hidden, points: Points) -> Iterable[Points]:
    boxes = _boxes(hidden, points)
    whole = [box.outline() for box in boxes if _ratio(box.outline()) <= SQUARE_TO]
    return [*whole, *(outline for box in boxes for outline in _of_ratio(box, 1.0))]


def _rectangle(hidden: Hidden, points: Points) -> Iterable[Points]:
    boxes = _boxes(hidden, points)
    whole = [box.outline() for box in boxes if _ratio(box.outline()) >= RECTANGLE_FROM]
    return [*whole, *(outline for box in boxes for outline in _of_ratio(box, 1.5))]


def _ratio(outline: Points) -> float:
    one, other = np.hypot(*(outline[1] - outline[0])), np.hypot(*(outline[2] - outline[1]))
    return float(max(one, other) / max(min(one, other), 1e-6))


def _regular(corners: int, inner: float | None = None) -> Callable[[Hidden, Points], Iterator[Points]]:
    """Fits for a regular polygon, or a star whose bays are at ``inner`` of its reach."""
    number = corners if inner is None else 2 * corners
    turns = np.arange(number) * 2 * np.pi / number
    radii = np.ones(number)
    if inner is not None:
        radii[1::2] = inner
    template = radii * np.exp(1j * turns)
    line = _dense(_as_points(template), 150) @ _COMPLEX
    tries = np.exp(1j * np.arange(3) * 2 * np.pi / corners / 3)

    def fits(hidden: Hidden, points: Points) -> Iterator[Points]:
        some = points[:: max(1, len(points) // 90)]
        centre, radius = cv2.minEnclosingCircle(hidden.points.astype(np.float32))
        origins = np.array([centre, hidden.points.mean(0)]) @ _COMPLEX
        scale, shift = np.tile(radius * tries, 2), origins.repeat(len(tries))
        scale, shift = _moved(line, scale, shift, some, 8)
        best = np.argsort(_distances(line, scale, shift, some), kind="stable")[:3]
        scale, shift = _moved(line, scale[best], shift[best], some, 14)
        finished = [
            _stretched(_as_points(template * turn + to), _as_points(line * turn + to), some, 10)
            for turn, to in zip(scale, shift, strict=True)
        ]
        yield from sorted((outline for outline in finished if _is_regular(outline)), key=lambda o: _distance(some, o))

    return fits


def _as_points(z: Plane) -> Points:
    return np.column_stack([z.real, z.imag])


def _distance(points: Points, outline: Points) -> float:
    return float(np.sqrt(_squares(points, _dense(outline, 240)).min(1)).mean())


def _moved(line: Plane, scale: Plane, shift: Plane, points: Points, steps: int) -> tuple[Plane, Plane]:
    """Lines ``line * scale + shift``, ``(k,)`` each, moved, turned and scaled onto points, by iterated closest points."""
    wanted = points @ _COMPLEX
    target = wanted.mean()
    for _ in range(steps):
        placed = _placed(line, scale, shift)
        near = np.take_along_axis(placed, _gaps(placed, points).argmin(2), 1)
        about = near.mean(1)
        out = near - about[:, None]
        size = np.maximum((out.real**2 + out.imag**2).sum(1), 1e-9)
        change = (out.conj() * (wanted - target)).sum(1) / size
        scale, shift = scale * change, (shift - about) * change + target
    return scale, shift


def _placed(line: Plane, scale: Plane, shift: Plane) -> Plane:
    """A line scaled and shifted in each of ``k`` ways: ``(k, m)``."""
    lines: Plane = line * scale[:, None] + shift[:, None]
    return lines


def _distances(line: Plane, scale: Plane, shift: Plane, points: Points) -> Points:
    """Mean distance of points from each of the placed lines, ``(k,)``."""
    placed = _placed(line, scale, shift)
    distances: Points = np.sqrt(np.maximum(_gaps(placed, points).min(2), 0)).mean(1)
    return distances


def _gaps(lines: Plane, points: Points) -> Points:
    """Squared distances of points, ``(n, 2)``, from the points of lines, ``(k, m)``: ``(k, n, m)``."""
    there = np.stack([lines.real, lines.imag], 1)
    squares: Points = (points**2).sum(1)[None, :, None] - 2 * points @ there + (there**2).sum(1)[:, None]
    return squares


def _stretched(outline: Points, line: Points, points: Points, steps: int) -> Points:
    """An outline after affine changes that bring the dense points of its ``line`` onto points, for shapes not quite regular."""
    line = np.column_stack([line, np.ones(len(line))])
    outline = np.column_stack([outline, np.ones(len(outline))])
    change = np.eye(3)
    for _ in range(steps):
        near = line[_squares(points, line[:, :2]).argmin(1)]
        change[:, :2] = np.linalg.lstsq(near, points, rcond=None)[0]
        line, outline = line @ change, outline @ change
    return outline[:, :2]


def _is_regular(outline: Points) -> bool:
    """Whether an outline is still nearly as wide as long."""
    if not np.isfinite(outline).all():
        return False
    spread = np.linalg.svd(outline - outline.mean(0), compute_uv=False)
    return bool(spread[0] <= _STRETCH * spread[1])


def _star(hidden: Hidden, points: Points) -> Iterator[Points]:
    for fit in _STARS:
        yield from islice(fit(hidden, points), 1)


_STARS = tuple(_regular(5, inner) for inner in (0.382, 0.45, 0.5, 0.58))

_FITS: dict[str, Callable[[Hidden, Points], Iterable[Points]]] = {
    "circle": _circle,
    "ellipse": _ellipse,
    "triangle": _triangle,
    "square": _square,
    "rectangle": _rectangle,
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star": _star,
}
