"""Finer outlines of small shapes: anti-aliasing says how much of an edge pixel is covered."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.segment import Canvas, Part

__all__ = ["fine_contour"]

_SMALL = 90
"""Shapes up to this many pixels across are looked at more closely."""
_TIMES = 4


def fine_contour(canvas: Canvas, part: Part, *, alone: bool) -> npt.NDArray[np.float32]:
    """A part's outer boundary, ``(n, 2)``; to a fraction of a pixel where it is small and nothing touches it."""
    left, top, right, bottom = part.box
    if not alone or max(right - left, bottom - top) > _SMALL:
        return part.contour.astype(np.float32)
    owner = canvas.owner[top:bottom, left:right]
    empty = owner == 0
    if not empty.any():
        return part.contour.astype(np.float32)
    crop = canvas.pixels[top:bottom, left:right].astype(np.float32)
    inner = cv2.erode(part.filled, np.ones((3, 3), np.uint8)) > 0
    if not inner.any():
        return part.contour.astype(np.float32)
    inside, outside = np.median(crop[inner], axis=0), np.median(crop[empty], axis=0)
    direction = inside - outside
    cover = np.clip((crop - outside) @ direction / max(float(direction @ direction), 1.0), 0, 1)
    # Outlines, shading and highlights of the shape itself count as covered, whatever their colour.
    cover = np.where(cv2.erode(part.filled, np.ones((3, 3), np.uint8)) > 0, 1.0, cover)
    cover = np.where(cv2.dilate(part.filled, np.ones((5, 5), np.uint8)) > 0, cover, 0.0).astype(np.float32)
    fine = cv2.resize(cover, None, fx=_TIMES, fy=_TIMES, interpolation=cv2.INTER_CUBIC)
    contours, _ = cv2.findContours((fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return part.contour.astype(np.float32)
    contour = max(contours, key=len)[:, 0].astype(np.float32)
    return np.asarray((contour + 0.5) / _TIMES - 0.5 + np.array([left, top]), np.float32)
