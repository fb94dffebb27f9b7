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
    """A part's outer boundary, ``(n, 2)``, to a fraction of a pixel where it is small.

    How much of an edge pixel is covered follows from its colour, between the part's and that of whatever is nearest on
    the other side. ``ground`` is what alone surrounds the part, as in ``Canvas.owner``; then an outline around the part
    belongs to it. ``None``: it meets other shapes, and whose the outlines are is not known.
    """
    part = canvas.parts[index]
    left, top, right, bottom = part.box
    if ground is None and max(right - left, bottom - top) > _SMALL:
        return part.contour.astype(np.float32)
    height, width = canvas.owner.shape
    left, top = max(0, left - _MARGIN), max(0, top - _MARGIN)
    right, bottom = min(width, right + _MARGIN), min(height, bottom + _MARGIN)
    owner = canvas.owner[top:bottom, left:right]
    around = (owner >= 0) & (owner != index + 1)
    if not around.any():
        return part.contour.astype(np.float32)
    crop = canvas.pixels[top:bottom, left:right]
    small = max(right - left, bottom - top) <= _SMALL + 2 * _MARGIN
    cover = _cover(crop, owner, index + 1) if small else _whole(owner, index + 1)
    shift = np.array([left, top], np.int32)
    filled = np.zeros(owner.shape, np.uint8)
    cv2.drawContours(filled, [part.contour - shift], -1, 255, cv2.FILLED)
    # Shading and highlights of the shape itself count as covered, whatever their colour; neighbours do not count.
    cover[cv2.erode(filled, np.ones((3, 3), np.uint8)) > 0] = 1.0
    cover[around & (filled == 0)] = 0.0
    if ground is not None:
        cover[_nearer_to_others(owner, index + 1, ground)] = 0.0
    else:
        cover[cv2.dilate(filled, np.ones((3, 3), np.uint8)) == 0] = 0.0
    times = 4 if small else 1
    if times > 1:
        cover = np.asarray(cv2.resize(cover, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR), np.float32)
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), _SMOOTHING * times), np.float32)
    contours, _ = cv2.findContours((cover > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    x, y = ((part.contour[0] - shift) * times).tolist()
    holding = [c for c in contours if cv2.pointPolygonTest(c, (float(x), float(y)), True) > -2.5 * times]
    if not holding:
        return part.contour.astype(np.float32)
    contour = max(holding, key=len)[:, 0].astype(np.float32)
    return np.asarray((contour + 0.5) / times - 0.5 + shift, np.float32)


def _nearer_to_others(owner: npt.NDArray[np.int16], own: int, ground: int) -> npt.NDArray[np.bool_]:
    """Where outlines belong to other parts, which may come close enough for their outlines to meet."""
    others: npt.NDArray[np.bool_] = (owner > 0) & (owner != own) & (owner != ground)
    if not others.any():
        return others
    to_own = cv2.distanceTransform((owner != own).astype(np.uint8), cv2.DIST_L2, 3)
    to_others = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, 3)
    nearer: npt.NDArray[np.bool_] = to_others < to_own
    return nearer


def _whole(owner: npt.NDArray[np.int16], own: int) -> npt.NDArray[np.float32]:
    """The part with its outline, less the outer half of its edges; 0 or 1. To a pixel, which does for a large shape."""
    mask = ((owner == own) | (owner == -1)).astype(np.uint8)
    return np.asarray(cv2.erode(mask, np.ones((3, 3), np.uint8)), np.float32)


def _cover(crop: npt.NDArray[np.uint8], owner: npt.NDArray[np.int16], own: int) -> npt.NDArray[np.float32]:
    """How far each pixel's colour lies on the way to the part's own from that of its nearest neighbour, 0 to 1."""
    inside = _typical(crop[owner == own])
    others = [int(value) for value in np.unique(owner) if value >= 0 and value != own]
    best = np.full(owner.shape, np.inf, np.float32)
    cover = np.zeros(owner.shape, np.float32)
    for other in others:
        outside = _typical(crop[owner == other])
        direction = inside - outside
        here = np.clip((crop.astype(np.float32) - outside) @ (direction / max(float(direction @ direction), 1.0)), 0, 1)
        if len(others) == 1:
            return np.asarray(here, np.float32)
        distance = cv2.distanceTransform((owner != other).astype(np.uint8), cv2.DIST_L2, 3)
        nearer = distance < best
        cover[nearer], best[nearer] = here[nearer], distance[nearer]
    return cover


def _typical(colors: npt.NDArray[np.uint8]) -> Points:
    return np.asarray(np.median(colors[:: max(1, len(colors) // 400)], axis=0), np.float32)
