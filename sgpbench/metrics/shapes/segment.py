"""Pixels to parts: flat regions of one colour name, and what lies between them.

A pixel belongs to a region when its 3 × 3 neighbourhood has one colour name; regions of different names are therefore
never adjacent, and one pass of connected components finds them all. Anti-aliased edges fall out by themselves. Lengths
are pixels of an image whose longer side is ``SIDE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.colors import BACKGROUND, NAMES, color_names, lab

__all__ = ["SIDE", "Canvas", "Part", "segment"]

SIDE = 512
_THIN = 13.0
"""Widest outline that is seen as the rim of a shape, not as a thing of its own (2.5 % of the canvas)."""
_FOLLOWED = 0.4
"""Share of a shape's boundary that lines of one colour must follow to be its outline."""
_HAIRLINE = 5.0
_SPECK = 24
"""Regions of fewer core pixels are not seen."""
_REACH = 4
"""Regions this near have nothing but an anti-aliased edge between them."""
_SMOOTH = 12.0
"""Colour step over an edge (CIELAB distance) below which two regions are one shaded one."""
_MOST_PARTS = 48

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


@dataclass(frozen=True, slots=True)
class Canvas:
    """What was found: the shapes (largest first), the background, and the pixels of neither."""

    pixels: npt.NDArray[np.uint8]
    background: str
    parts: tuple[Part, ...]
    marks: tuple[Part, ...]
    """Lines and other thin things that are nobody's outline."""
    owner: npt.NDArray[np.int16] = field(repr=False)
    """Index of the part + 1 at every core pixel, 0 for background, -1 for edges, outlines and marks."""


def segment(pixels: npt.NDArray[np.uint8]) -> Canvas:
    """The parts of an image, ``(h, w, 3) uint8``."""
    pixels = _at_side(pixels)
    names = color_names(pixels)
    background = _background(names)
    # In OpenCV the lowest and highest name of a neighbourhood are an erosion and a dilation of the index image.
    kernel = np.ones((3, 3), np.uint8)
    core = cv2.erode(names, kernel) == cv2.dilate(names, kernel)
    flat = (core & (names != background)).astype(np.uint8)
    number, regions, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4, ltype=cv2.CV_16U)
    order = [index for index in range(1, number) if stats[index, cv2.CC_STAT_AREA] >= _SPECK]
    order.sort(key=lambda index: -stats[index, cv2.CC_STAT_AREA])
    order = order[:_MOST_PARTS]
    groups = _joined(pixels, regions, order)
    empty = core & (names == background)
    drafts = [_part(regions, stats, names, members, empty) for members in groups]
    solid, thin = _solid_and_thin(drafts)
    marks = _marks(thin, solid)
    owner = np.where(empty, 0, -1).astype(np.int16)
    for index, part in enumerate(solid):
        left, top, right, bottom = part.box
        view = owner[top:bottom, left:right]
        view[part.mask > 0] = index + 1
    return Canvas(pixels, NAMES[background], tuple(solid), tuple(marks), owner)


def _at_side(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    if scale == 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def _background(names: npt.NDArray[np.uint8]) -> int:
    """The commonest name along the image's border; white where a third of the border is white."""
    border = np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]])
    counts = np.bincount(border, minlength=len(NAMES))
    return BACKGROUND if counts[BACKGROUND] * 3 >= len(border) else int(counts.argmax())


def _joined(pixels: npt.NDArray[np.uint8], regions: npt.NDArray[np.uint16], order: Sequence[int]) -> list[list[int]]:
    """Regions in groups that one smooth shading runs through (most are alone)."""
    parent = {index: index for index in order}

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    if len(order) > 1:
        for first, second in _smooth_pairs(pixels, regions):
            if first in parent and second in parent:
                one, other = sorted((root(first), root(second)), key=order.index)
                parent[other] = one
    groups: dict[int, list[int]] = {}
    for index in order:
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _smooth_pairs(pixels: npt.NDArray[np.uint8], regions: npt.NDArray[np.uint16]) -> list[tuple[int, int]]:
    """Pairs of regions whose colours hardly differ across the edge between them."""
    firsts, seconds, steps = [], [], []
    for axis in (0, 1):
        a, b = (regions[:-_REACH], regions[_REACH:]) if axis == 0 else (regions[:, :-_REACH], regions[:, _REACH:])
        rows, columns = np.nonzero((a != b) & (a > 0) & (b > 0))
        if len(rows) == 0:
            continue
        shift = (_REACH, 0) if axis == 0 else (0, _REACH)
        firsts.append(a[rows, columns])
        seconds.append(b[rows, columns])
        difference = lab(pixels[rows, columns]) - lab(pixels[rows + shift[0], columns + shift[1]])
        steps.append(np.sqrt((difference**2).sum(1)))
    if not firsts:
        return []
    one, other = np.concatenate(firsts).astype(np.int64), np.concatenate(seconds).astype(np.int64)
    keys, where, counts = np.unique(
        np.minimum(one, other) * 65536 + np.maximum(one, other), return_inverse=True, return_counts=True
    )
    means = np.bincount(where, weights=np.concatenate(steps)) / counts
    return [(int(key >> 16), int(key & 65535)) for key, mean in zip(keys, means, strict=True) if mean < _SMOOTH]


def _part(
    regions: npt.NDArray[np.uint16],
    stats: npt.NDArray[np.int32],
    names: npt.NDArray[np.uint8],
    members: list[int],
    empty: npt.NDArray[np.bool_],
) -> Part:
    height, width = regions.shape
    boxes = stats[members]
    left = max(0, int(boxes[:, cv2.CC_STAT_LEFT].min()) - 3)
    top = max(0, int(boxes[:, cv2.CC_STAT_TOP].min()) - 3)
    right = min(width, int((boxes[:, cv2.CC_STAT_LEFT] + boxes[:, cv2.CC_STAT_WIDTH]).max()) + 3)
    bottom = min(height, int((boxes[:, cv2.CC_STAT_TOP] + boxes[:, cv2.CC_STAT_HEIGHT]).max()) + 3)
    view = regions[top:bottom, left:right]
    inside = view == members[0] if len(members) == 1 else np.isin(view, members)
    mask = inside.astype(np.uint8) * 255
    if len(members) > 1:  # close the seams between shades
        mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)
    mask = np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)), np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = np.asarray(max(contours, key=len)[:, 0], np.int32)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, [contour], -1, 255, cv2.FILLED)
    area = float(np.count_nonzero(filled))
    holes = np.count_nonzero(filled[empty[top:bottom, left:right]])
    rows, columns = np.nonzero(view == members[0])
    color = NAMES[int(names[top + rows[0], left + columns[0]])]
    shifted = contour + np.array([left, top], np.int32)
    return Part(color, (left, top, right, bottom), mask, shifted, filled, area, holes / area)


def _solid_and_thin(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    solid: list[Part] = []
    thin: list[Part] = []
    for part in parts:
        (thin if _is_thin(part) else solid).append(part)
    return solid, thin


def _is_thin(part: Part) -> bool:
    """A stroke: nowhere wider than an outline may be, and much longer than wide."""
    left, top, right, bottom = part.box
    width, height = right - left - 4, bottom - top - 4
    pixels = np.count_nonzero(part.mask)
    if pixels > 0.5 * width * height and min(width, height) > _THIN:
        return False
    thickness = _thickness(part.mask)
    return bool(thickness <= _THIN and thickness * thickness * 6 < pixels)


def _thickness(mask: Mask) -> float:
    """Twice the greatest distance of a pixel from the outside."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return 2.0 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max()) - 1.0


def _marks(thin: Sequence[Part], solid: Sequence[Part]) -> list[Part]:
    """The thin parts that are nobody's outline.

    An outline hugs the boundary of a shape. The lines of one colour together must follow a good part of that boundary;
    hairlines, which come in fragments, need not.
    """
    marks = []
    for line in thin:
        width = _thickness(line.mask)
        alike = [other for other in thin if other.color == line.color]
        outlined = [part for part in solid if _meet(part, line, 2 * width + _REACH) and _is_followed(part, alike)]
        if _hugs(line, outlined, 2 * width + _REACH) or _hugs(line, solid, 1.5 * _REACH, most=_HAIRLINE):
            continue
        marks.append(line)
    return marks


def _is_followed(part: Part, lines: Sequence[Part]) -> bool:
    """Whether lines run along a good part of a shape's boundary."""
    left, top, right, bottom = (part.box[0] - 8, part.box[1] - 8, part.box[2] + 8, part.box[3] + 8)
    near = np.zeros((bottom - top, right - left), np.uint8)
    for line in lines:
        if _meet(part, line, 8):
            cv2.drawContours(near, [line.contour - np.array([left, top], np.int32)], -1, 255, 2 * _REACH + 1)
    x, y = part.contour.T
    return bool((near[y - top, x - left] > 0).mean() >= _FOLLOWED)


def _hugs(line: Part, parts: Sequence[Part], reach: float, most: float = SIDE) -> bool:
    """Whether nearly all of a line is within reach of the boundaries of shapes, and it is no wider than ``most``."""
    if not parts or _thickness(line.mask) > most:
        return False
    left, top = line.box[:2]
    near = np.zeros_like(line.mask)
    for part in parts:
        cv2.polylines(near, [part.contour - np.array([left, top], np.int32)], True, 255, 2 * int(reach))
    return bool(np.count_nonzero(near[line.mask > 0]) >= 0.97 * np.count_nonzero(line.mask))


def _meet(a: Part, b: Part, reach: float) -> bool:
    (left, top, right, bottom), (x0, y0, x1, y1) = a.box, b.box
    return left - reach < x1 and x0 - reach < right and top - reach < y1 and y0 - reach < bottom
