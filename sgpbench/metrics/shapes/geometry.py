"""Which shape a whole outline is, from measures that do not depend on place, size or rotation.

An ellipse keeps the same distance from its centre once its second moments are made round. A convex polygon with k
sides fills the smallest k-gon around it. A star has a five-cornered hull with five bays. The thresholds, and what they
make of near misses, are stated in the task's data card and held by tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.polygons import polygons_around

__all__ = ["ELLIPSE_FROM", "RECTANGLE_FROM", "ROUND_TO", "SHAPES", "SQUARE_TO", "Figure", "classify"]

Points = npt.NDArray[np.float32]

SHAPES = frozenset({"circle", "square", "triangle", "rectangle", "ellipse", "pentagon", "hexagon", "star"})
ROUND_TO = 1.12
"""Longest axis over shortest, up to which a round shape is a circle."""
ELLIPSE_FROM = 1.33
"""... and from which it is an ellipse. The caption asks for 1.5."""
SQUARE_TO = 1.14
RECTANGLE_FROM = 1.33
_ROUNDNESS = 0.0195
"""Largest deviation of the radius (standard deviation over mean): a regular octagon has 0.025, a 12-gon 0.011."""
_PIXEL_NOISE = 0.08
"""What edges that are stepped add to it, in pixels."""
_CONVEX = 0.95
"""Least share of the hull that a convex shape fills."""
_FILLS = {3: 0.935, 4: 0.95, 5: 0.95, 6: 0.95, 7: 0.97, 8: 0.97}
"""Least share of the smallest k-gon around it that a k-gon fills: a square with corners rounded at 20 % of its side."""
_SIDES = 0.35
"""Shortest side of a pentagon or hexagon over its longest."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What an outline is. ``shape`` is one of the eight names, or says in words what it is instead."""

    shape: str
    outline: Points
    """Its outer boundary on the canvas, ``(n, 2)``; the completed one where part of it is hidden."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        low, high = self.outline.min(0), self.outline.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def classify(contour: Points) -> Figure:
    """The figure of a closed outline, ``(n, 2)`` points in order."""
    return Figure(_shape(contour.astype(np.float32)), contour)


def _shape(contour: Points) -> str:
    hull = np.asarray(cv2.convexHull(contour), np.float32)
    hull_area, area = cv2.contourArea(hull), cv2.contourArea(contour)
    if hull_area <= 1:
        return "line"
    if area < _CONVEX * hull_area:
        return _star(contour, hull, area)
    roundness, stretch, radius = _roundness(contour)
    if roundness <= _ROUNDNESS + _PIXEL_NOISE / radius:
        if stretch <= ROUND_TO:
            return "circle"
        return "ellipse" if stretch >= ELLIPSE_FROM else f"oval {stretch:.2f}:1"
    polygons = polygons_around(hull, 8)
    for sides, polygon in sorted(polygons.items()):
        if hull_area >= _FILLS[sides] * _area(polygon):
            return _POLYGONS[sides](polygon) if sides in _POLYGONS else f"shape with {sides} sides"
    return "rounded shape"


def _area(polygon: npt.NDArray[np.float64]) -> float:
    return float(abs(cv2.contourArea(polygon.astype(np.float32))))


def _roundness(contour: Points) -> tuple[float, float, float]:
    """Deviation of the radius once the second moments are made round, the ratio of the axes, and the shorter radius."""
    moments = cv2.moments(contour)
    area = moments["m00"]
    centre = np.array([moments["m10"], moments["m01"]]) / area
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / area
    values, vectors = np.linalg.eigh(spread)
    axes = 2 * np.sqrt(np.maximum(values, 1e-9))
    closed = np.vstack([contour, contour[:1]]).astype(np.float64)
    steps = np.hypot(*np.diff(closed, axis=0).T)
    radius = np.hypot(*(((contour - centre) @ vectors) / axes).T)
    mean = np.average(radius, weights=steps)
    deviation = np.sqrt(np.average((radius - mean) ** 2, weights=steps))
    return float(deviation / mean), float(axes[1] / axes[0]), float(axes[0])


def _sides_and_angles(polygon: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Side lengths, and the angle in degrees at the start of each side."""
    ahead, behind = np.roll(polygon, -1, 0) - polygon, np.roll(polygon, 1, 0) - polygon
    lengths = np.hypot(*ahead.T)
    cosines = (ahead * behind).sum(1) / np.maximum(lengths * np.hypot(*behind.T), 1e-9)
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def _triangle(polygon: npt.NDArray[np.float64]) -> str:
    _, angles = _sides_and_angles(polygon)
    return "triangle" if angles.min() >= 15 else "sliver"


def _quadrilateral(polygon: npt.NDArray[np.float64]) -> str:
    lengths, angles = _sides_and_angles(polygon)
    if np.abs(angles - 90).max() > 8:
        return "quadrilateral without right angles"
    one, other = (lengths[0] + lengths[2]) / 2, (lengths[1] + lengths[3]) / 2
    ratio = max(one, other) / min(one, other)
    if ratio <= SQUARE_TO:
        return "square"
    return "rectangle" if ratio >= RECTANGLE_FROM else f"rectangle of only {ratio:.2f}:1"


def _pentagon(polygon: npt.NDArray[np.float64]) -> str:
    lengths, angles = _sides_and_angles(polygon)
    clear = lengths.min() >= _SIDES * lengths.max() and angles.min() >= 60 and angles.max() <= 150
    return "pentagon" if clear else "five-sided shape"


def _hexagon(polygon: npt.NDArray[np.float64]) -> str:
    lengths, angles = _sides_and_angles(polygon)
    clear = lengths.min() >= _SIDES * lengths.max() and angles.min() >= 75 and angles.max() <= 158
    return "hexagon" if clear else "six-sided shape"


_POLYGONS = {3: _triangle, 4: _quadrilateral, 5: _pentagon, 6: _hexagon}


def _star(contour: Points, hull: npt.NDArray[np.float32], area: float) -> str:
    """``star`` for five straight tips of about one length with clear bays between them."""
    tips = _tips(contour, hull)
    if len(tips) != 5:
        return f"star with {len(tips)} points" if len(tips) in (3, 4, 6, 7, 8) else "concave shape"
    points = contour[tips].astype(np.float64)
    centre = points.mean(0)
    bays = np.array([_bay(contour, start, end, centre) for start, end in zip(tips, np.roll(tips, -1), strict=True)])
    reach, depth = np.hypot(*(points - centre).T), np.hypot(*(bays - centre).T)
    gaps = np.diff(np.degrees(np.unwrap(np.arctan2(*(np.vstack([points, points[:1]]) - centre).T[::-1]))))
    drawn = np.empty((10, 2))
    drawn[0::2], drawn[1::2] = points, bays
    straight = _agreement(contour, drawn.astype(np.float32), area)
    regular = reach.min() >= 0.72 * reach.max() and np.abs(np.abs(gaps) - 72).max() <= 22
    clear = 0.18 <= depth.mean() / reach.mean() <= 0.70 and depth.max() <= 0.78 * reach.mean()
    return "star" if regular and clear and straight >= 0.88 else "irregular star"


def _tips(contour: Points, hull: npt.NDArray[np.float32]) -> list[int]:
    """Indices into the contour of the corners of its hull, near ones taken together, in the contour's order."""
    size = float(np.sqrt(cv2.contourArea(hull)))
    corners = cv2.approxPolyDP(hull, 0.05 * size, True)[:, 0]
    indices = sorted({int(np.argmin(((contour - corner) ** 2).sum(1))) for corner in corners})
    kept: list[int] = []
    for index in indices:
        if not kept or np.hypot(*(contour[index] - contour[kept[-1]])) > 0.2 * size:
            kept.append(index)
    if len(kept) > 1 and np.hypot(*(contour[kept[0]] - contour[kept[-1]])) <= 0.2 * size:
        kept.pop()
    return kept


def _bay(contour: Points, start: int, end: int, centre: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The point nearest to the centre between two tips."""
    run = contour[start : end + 1] if start < end else np.vstack([contour[start:], contour[: end + 1]])
    nearest: npt.NDArray[np.float64] = run[int(((run - centre) ** 2).sum(1).argmin())].astype(np.float64)
    return nearest


def _agreement(contour: Points, drawn: Points, area: float) -> float:
    """Intersection over union of two outlines, on a grid of about 64 cells."""
    low = np.minimum(contour.min(0), drawn.min(0))
    scale = 96.0 / float((np.maximum(contour.max(0), drawn.max(0)) - low).max())
    masks = []
    for outline in (contour, drawn):
        mask = np.zeros((100, 100), np.uint8)
        cv2.fillPoly(mask, [np.rint((outline - low) * scale * 16 + 32).astype(np.int32)], 1, shift=4)
        masks.append(mask)
    both, either = int(np.count_nonzero(masks[0] & masks[1])), int(np.count_nonzero(masks[0] | masks[1]))
    return both / max(1, either)
