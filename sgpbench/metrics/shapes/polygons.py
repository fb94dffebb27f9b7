"""Small polygons around convex ones: side after side is taken away, the one first that costs the least area."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["polygons_around"]

_Point = tuple[float, float]


def polygons_around(hull: npt.NDArray[np.float32], most_sides: int) -> dict[int, npt.NDArray[np.float64]]:
    """Polygons of up to ``most_sides`` corners around a convex hull, by their number, each ``(k, 2)``.

    A side goes by letting its two neighbours meet beyond it; where they would not meet, it stays. A number of sides
    that cannot be reached is missing.
    """
    size = float(np.sqrt(cv2.contourArea(hull)))
    simple = cv2.approxPolyDP(hull, 0.005 * size + 0.25, True)[:, 0]
    corners: list[_Point] = [(float(x), float(y)) for x, y in simple]
    if _signed_area(corners) < 0:
        corners.reverse()
    found: dict[int, npt.NDArray[np.float64]] = {}
    while len(corners) >= 3:
        if len(corners) <= most_sides:
            found[len(corners)] = np.array(corners)
        cheapest = min(range(len(corners)), key=lambda index: _meeting(corners, index)[0])
        cost, point = _meeting(corners, cheapest)
        if cost == float("inf"):
            break
        following = (cheapest + 1) % len(corners)
        corners[cheapest] = point
        del corners[following]
    return found


def _meeting(corners: list[_Point], index: int) -> tuple[float, _Point]:
    """Area that is added where the neighbours of side ``index`` meet, and that point; infinite where they do not."""
    number = len(corners)
    (ax, ay), (bx, by) = corners[index - 1], corners[index]
    (cx, cy), (dx, dy) = corners[(index + 1) % number], corners[(index + 2) % number]
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    turn = ux * vy - uy * vx
    if turn <= 1e-6 * (abs(ux) + abs(uy)) * (abs(vx) + abs(vy)) or number <= 3:
        return float("inf"), (0.0, 0.0)
    along = ((cx - bx) * vy - (cy - by) * vx) / turn
    if along < 0:
        return float("inf"), (0.0, 0.0)
    x, y = bx + along * ux, by + along * uy
    return abs((cx - bx) * (y - by) - (cy - by) * (x - bx)) / 2, (x, y)


def _signed_area(corners: list[_Point]) -> float:
    ahead = [*corners[1:], corners[0]]
    return sum(x * v - u * y for (x, y), (u, v) in zip(corners, ahead, strict=True)) / 2
