"""Which parts are shapes, which are the outlines of shapes, and which are marks that nobody asked for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.colors import NAMES
from sgpbench.metrics.shapes.geometry import SHAPES, classify
from sgpbench.metrics.shapes.parts import SIDE, Mask, Part, meet, part_of, thickness

__all__ = ["sorted_out", "strays"]

_THIN = 13.0
"""Widest outline that is seen as the rim of a shape, not as a thing of its own (2.5 % of the canvas)."""
_FOLLOWED = 0.4
"""Share of a shape's boundary that lines of one colour must follow to be its outline."""
_HAIRLINE = 7.0
"""Lines up to this wide come in fragments; each of them need only touch a shape along most of its length."""
_MOST_STRAYS = 24
_MITER = 22
"""How far the mitred tip of an outline may reach beyond a star's tip."""
_NEAR = 5
"""Pixels between a shape and an outline that touches it."""
_RING = 60
"""Least pixels of a neighbour's outline that are cut off a part of the same colour."""
_STRAY = 14
"""Least pixels of a mark that is too small or thin to have a core."""


def sorted_out(drafts: Sequence[Part], empty: npt.NDArray[np.bool_]) -> tuple[list[Part], list[Part], list[Part]]:
    """Shapes, largest first, without their neighbours' outlines; outlines; and marks."""
    thin = [part for part in drafts if _is_thin(part)]
    rough = [part for part in drafts if not any(part is line for line in thin)]
    solid = [piece for part in rough for piece in _without_rings(part, rough, empty)]
    solid.sort(key=lambda part: -part.area)
    marks = _marks(thin, solid)
    return solid, [line for line in thin if not any(line is mark for mark in marks)], marks


def strays(
    names: npt.NDArray[np.uint8], background: int, parts: Sequence[Part], empty: npt.NDArray[np.bool_]
) -> list[Part]:
    """Dots and hairlines away from every part: pixels that are not the background's, though no 3 × 3 of them agree."""
    left_over = (names != background).astype(np.uint8)
    for part in parts:
        cv2.drawContours(left_over, [part.contour], -1, 0, cv2.FILLED)
        cv2.drawContours(left_over, [part.contour], -1, 0, 2 * _NEAR + 1)
    if np.count_nonzero(left_over) < _STRAY:
        return []
    number, blobs, stats, _ = cv2.connectedComponentsWithStats(left_over, connectivity=8)
    found: list[Part] = []
    for index in sorted(range(1, number), key=lambda index: -int(stats[index, cv2.CC_STAT_AREA]))[:_MOST_STRAYS]:
        x, y, width, height, area = (int(value) for value in stats[index])
        if area < _STRAY:
            continue
        box = (max(0, x - 2), max(0, y - 2), min(names.shape[1], x + width + 2), min(names.shape[0], y + height + 2))
        mask = (blobs[box[1] : box[3], box[0] : box[2]] == index).astype(np.uint8) * 255
        color = NAMES[int(np.bincount(names[box[1] : box[3], box[0] : box[2]][mask > 0]).argmax())]
        blob = part_of(mask, box, color, empty)
        if not (_touches(blob, parts) and _near_share(blob, parts, _MITER) >= 0.97):  # else it is a bit of an outline
            found.append(blob)
    return found


def _touches(blob: Part, parts: Sequence[Part]) -> bool:
    """Whether a blob comes within two pixels of the zone around a part that was cleared."""
    return _near_share(blob, parts, _NEAR + 2.5) > 0


def _is_thin(part: Part) -> bool:
    """A stroke, or a bit of one: nowhere wider than an outline may be, and much longer than wide unless very thin."""
    left, top, right, bottom = part.box
    width, height = right - left - 4, bottom - top - 4
    pixels = int(np.count_nonzero(part.mask))
    if pixels > 0.5 * width * height and min(width, height) > _THIN:
        return False
    return thickness(part.mask) <= _HAIRLINE or _is_long(part.mask, pixels)


def _is_long(mask: Mask, pixels: int) -> bool:
    """Whether a mask is no wider than an outline may be, and much longer than wide."""
    wide = thickness(mask)
    return bool(wide <= _THIN and wide * wide * 6 < pixels)


def _marks(thin: Sequence[Part], solid: Sequence[Part]) -> list[Part]:
    """The thin parts that are nobody's outline.

    An outline hugs the boundary of a shape. The lines of one colour together must follow a good part of that boundary;
    hairlines, which come in fragments, need not.
    """
    marks = []
    for line in thin:
        wide = thickness(line.mask)
        reach = 2 * wide + _NEAR
        alike = [other for other in thin if other.color == line.color]
        near = [part for part in solid if meet(part, line, reach)]
        outlined = [part for part in near if _is_followed(part, alike)]
        if _near_share(line, outlined, reach) >= 0.97:
            continue
        touches = wide <= _HAIRLINE and _near_share(line, near, 1.2 * _NEAR) >= 0.5
        if touches and _near_share(line, near, _MITER) >= 0.97:
            continue
        marks.append(line)
    return marks


def _is_followed(part: Part, lines: Sequence[Part]) -> bool:
    """Whether lines run along a good part of a shape's boundary."""
    left, top, right, bottom = (part.box[0] - 8, part.box[1] - 8, part.box[2] + 8, part.box[3] + 8)
    near = np.zeros((bottom - top, right - left), np.uint8)
    for line in lines:
        if meet(part, line, 8):
            _paste(line, near, left, top)
    near = np.asarray(cv2.dilate(near, np.ones((2 * _NEAR - 1, 2 * _NEAR - 1), np.uint8)), np.uint8)
    x, y = part.contour.T
    return bool((near[y - top, x - left] > 0).mean() >= _FOLLOWED)


def _paste(part: Part, onto: Mask, left: int, top: int) -> None:
    """Sets a part's pixels in a picture whose corner is at ``left``, ``top``; what lies outside is left out."""
    x0, y0 = max(part.box[0], left), max(part.box[1], top)
    x1, y1 = min(part.box[2], left + onto.shape[1]), min(part.box[3], top + onto.shape[0])
    if x0 < x1 and y0 < y1:
        own = part.mask[y0 - part.box[1] : y1 - part.box[1], x0 - part.box[0] : x1 - part.box[0]]
        view = onto[y0 - top : y1 - top, x0 - left : x1 - left]
        view[own > 0] = 255


def _near_share(line: Part, parts: Sequence[Part], reach: float) -> float:
    """Share of a line that is within reach of the boundaries of shapes."""
    near = _band(line.mask, line.box, parts, reach)
    return float(np.count_nonzero(near[line.mask > 0]) / np.count_nonzero(line.mask))


def _band(mask: Mask, box: tuple[int, int, int, int], parts: Sequence[Part], reach: float) -> Mask:
    """Pixels of a box that are within reach of the boundaries of parts."""
    near = np.zeros_like(mask)
    for part in parts:
        contour = part.contour - np.array(box[:2], np.int32)
        cv2.polylines(near, [contour], True, 255, min(2 * int(reach), SIDE))
    return near


def _without_rings(part: Part, others: Sequence[Part], empty: npt.NDArray[np.bool_]) -> list[Part]:
    """A part without what hangs on to it of the outlines of its neighbours: thin, and along their boundaries."""
    neighbours = [other for other in others if other is not part and meet(part, other, _NEAR)]
    if not neighbours:
        return [part]
    padded = cv2.copyMakeBorder(part.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    core = cv2.distanceTransform(padded, cv2.DIST_L2, 3) > _THIN / 2
    if not core.any():
        return [part]
    reach = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    thin = ((part.mask > 0) & (reach > _THIN / 2 + 2)).astype(np.uint8)
    if np.count_nonzero(thin) < _RING or classify(part.contour.astype(np.float32)).shape in SHAPES:
        return [part]
    band = _band(part.mask, part.box, neighbours, _THIN + _NEAR)
    number, pieces, stats, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    kept = part.mask.copy()
    for index in range(1, number):
        piece = pieces == index
        long = _is_long(piece.astype(np.uint8) * 255, int(stats[index, cv2.CC_STAT_AREA]))
        if long and stats[index, cv2.CC_STAT_AREA] >= _RING and (band[piece] > 0).mean() >= 0.97:
            kept[piece] = 0
    if np.count_nonzero(kept) == np.count_nonzero(part.mask):
        return [part]
    stub = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))  # takes the stubs of the rings off
    kept = np.asarray(cv2.morphologyEx(kept, cv2.MORPH_OPEN, stub), np.uint8)
    number, pieces, stats, _ = cv2.connectedComponentsWithStats(kept, connectivity=4)
    masks = [(pieces == index).astype(np.uint8) * 255 for index in range(1, number)]
    return [part_of(mask, part.box, part.color, empty) for mask in masks if np.count_nonzero(mask) >= _RING]
