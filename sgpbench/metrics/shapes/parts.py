"""A part: one region of one colour. Lengths are pixels of an image whose longer side is ``SIDE``."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["SIDE", "Mask", "Part", "meet", "part_of", "thickness"]

SIDE = 512

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Part:
    """A region of one colour: a shape, or a mark."""

    color: str
    box: tuple[int, int, int, int]
    """Left, top, right, bottom on the canvas (right and bottom exclusive), two pixels wider than the region."""
    mask: Mask
    """The region (0 or 255) within ``box``, edges included to about half a pixel."""
    contour: npt.NDArray[np.int32]
    """Its outer boundary on the canvas, ``(n, 2)``."""
    filled: Mask
    """The region with all its holes filled, within ``box``."""
    area: float
    """Pixels within the outer boundary."""
    hollow: float
    """Share of that area which shows the background."""


def part_of(mask: Mask, box: tuple[int, int, int, int], color: str, empty: npt.NDArray[np.bool_]) -> Part:
    """The part that a mask (0 or 255, within ``box``) makes; ``empty`` marks the background's pixels on the canvas."""
    left, top, right, bottom = box
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = np.asarray(max(contours, key=len)[:, 0], np.int32)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, [contour], -1, 255, cv2.FILLED)
    area = float(np.count_nonzero(filled))
    holes = np.count_nonzero(filled[empty[top:bottom, left:right]])
    return Part(color, box, mask, contour + np.array([left, top], np.int32), filled, area, holes / area)


def thickness(mask: Mask) -> float:
    """Twice the greatest distance of a pixel from the outside."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return 2.0 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) - 1.0


def meet(a: Part, b: Part, reach: float) -> bool:
    """Whether the boxes of two parts are within ``reach`` of each other."""
    (left, top, right, bottom), (x0, y0, x1, y1) = a.box, b.box
    return left - reach < x1 and x0 - reach < right and top - reach < y1 and y0 - reach < bottom
