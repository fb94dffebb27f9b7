"""Outer boundaries: with a shape's own outline, and to a fraction of a pixel where it is small."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.segment import Canvas

__all__ = ["silhouette"]

_MARGIN = 16
"""Room for an outline around a part, in pixels."""
_SMALL = 110
"""Shapes up to this many pixels across are looked at four times as closely."""
_SMOOTHING = 0.7
"""Blur of small shapes in pixels, against the steps of edges drawn without anti-aliasing."""

Points = npt.NDArray[np.float32]


def silhouette(canvas: Canvas, index: int, ground: int | None) -> Points:
    """A part's outer boundary, ``(n, 2)``; where only one thing surrounds it (``ground``), its outline is a part of it.

    How much of an edge pixel is covered follows from its colour, between the ground's and the part's.
    """
    part = canvas.parts[index]
    if ground is None:
        return part.contour.astype(np.float32)
    height, width = canvas.owner.shape
    left, top = max(0, part.box[0] - _MARGIN), max(0, part.box[1] - _MARGIN)
    right, bottom = min(width, part.box[2] + _MARGIN), min(height, part.box[3] + _MARGIN)
    owner = canvas.owner[top:bottom, left:right]
    own, empty = owner == index + 1, owner == ground
    if not empty.any():
        return part.contour.astype(np.float32)
    crop = canvas.pixels[top:bottom, left:right]
    inside, outside = _typical(crop[own]), _typical(crop[empty])
    direction = inside - outside
    scale = direction / max(float(direction @ direction), 1.0)
    cover = np.clip((crop.astype(np.float32) - outside) @ scale, 0, 1)
    filled = np.zeros(owner.shape, np.uint8)
    shift = np.array([left, top], np.int32)
    cv2.drawContours(filled, [part.contour - shift], -1, 255, cv2.FILLED)
    # Shading and highlights of the shape itself count as covered, whatever their colour; neighbours do not count.
    cover[cv2.erode(filled, np.ones((3, 3), np.uint8)) > 0] = 1.0
    cover[(owner != index + 1) & (owner >= 0) & (filled == 0)] = 0.0
    times = 4 if max(right - left, bottom - top) <= _SMALL + 2 * _MARGIN else 1
    fine = cover.astype(np.float32)
    if times > 1:
        fine = np.asarray(cv2.resize(fine, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR), np.float32)
        fine = np.asarray(cv2.GaussianBlur(fine, (0, 0), _SMOOTHING * times), np.float32)
    contours, _ = cv2.findContours((fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    seed = ((part.contour[0] - shift) * times).tolist()
    holding = [c for c in contours if cv2.pointPolygonTest(c, (float(seed[0]), float(seed[1])), True) > -2.5 * times]
    if not holding:
        return part.contour.astype(np.float32)
    contour = max(holding, key=len)[:, 0].astype(np.float32)
    return np.asarray((contour + 0.5) / times - 0.5 + shift, np.float32)


def _typical(colors: npt.NDArray[np.uint8]) -> Points:
    return np.asarray(np.median(colors[:: max(1, len(colors) // 400)], axis=0), np.float32)
