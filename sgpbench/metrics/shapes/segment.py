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
from sgpbench.metrics.shapes.outlines import sorted_out, strays
from sgpbench.metrics.shapes.parts import SIDE, Part, part_of

__all__ = ["Canvas", "segment"]

_SPECK = 24
"""Regions of fewer core pixels are not seen."""
_REACH = 4
"""Regions this near have nothing but an anti-aliased edge between them."""
_SMOOTH = 12.0
"""Colour step over an edge (CIELAB distance) below which two regions are one shaded one."""
_SMOOTH_SHARE = 0.4
"""... on at least this share of the edge."""
_MOST_PARTS = 48


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
    regions, stats = _regions(flat)
    number = len(stats)
    order = [index for index in range(1, number) if stats[index, cv2.CC_STAT_AREA] >= _SPECK]
    order.sort(key=lambda index: -stats[index, cv2.CC_STAT_AREA])
    order = order[:_MOST_PARTS]
    groups = _joined(pixels, regions, order)
    empty = core & (names == background)
    solid, outlines, marks = sorted_out(_drafts(regions, stats, names, groups, empty), empty)
    owner = empty.astype(np.int16) - 1
    for index, part in enumerate(solid):
        left, top, right, bottom = part.box
        view = owner[top:bottom, left:right]
        view[part.mask > 0] = index + 1
    marks += strays(names, background, [*solid, *outlines, *marks], empty)
    return Canvas(pixels, NAMES[background], tuple(solid), tuple(marks), owner)


def _regions(flat: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Connected components of a mask and their statistics, looked for only where anything is."""
    regions = np.zeros(flat.shape, np.uint16)
    x, y, width, height = cv2.boundingRect(flat)
    if width == 0:
        return regions, np.zeros((1, 5), np.int32)
    _, found, stats, _ = cv2.connectedComponentsWithStats(
        flat[y : y + height, x : x + width], connectivity=4, ltype=cv2.CV_16U
    )
    regions[y : y + height, x : x + width] = found
    stats[:, cv2.CC_STAT_LEFT] += x
    stats[:, cv2.CC_STAT_TOP] += y
    return regions, np.asarray(stats, np.int32)


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
    x, y, width, height = cv2.boundingRect((regions > 0).astype(np.uint8))
    regions, pixels = regions[y : y + height, x : x + width], pixels[y : y + height, x : x + width]
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
    smooth = np.bincount(where, weights=np.concatenate(steps) < _SMOOTH) / counts
    return [
        (int(key >> 16), int(key & 65535)) for key, share in zip(keys, smooth, strict=True) if share >= _SMOOTH_SHARE
    ]


def _drafts(
    regions: npt.NDArray[np.uint16],
    stats: npt.NDArray[np.int32],
    names: npt.NDArray[np.uint8],
    groups: Sequence[Sequence[int]],
    empty: npt.NDArray[np.bool_],
) -> list[Part]:
    """Each group of regions as one part."""
    height, width = regions.shape
    parts = []
    for members in groups:
        boxes = stats[list(members)]
        left = max(0, int(boxes[:, cv2.CC_STAT_LEFT].min()) - 3)
        top = max(0, int(boxes[:, cv2.CC_STAT_TOP].min()) - 3)
        right = min(width, int((boxes[:, cv2.CC_STAT_LEFT] + boxes[:, cv2.CC_STAT_WIDTH]).max()) + 3)
        bottom = min(height, int((boxes[:, cv2.CC_STAT_TOP] + boxes[:, cv2.CC_STAT_HEIGHT]).max()) + 3)
        view = regions[top:bottom, left:right]
        mask = (view == members[0] if len(members) == 1 else np.isin(view, members)).astype(np.uint8) * 255
        if len(members) > 1:  # close the seams between shades
            mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)
        mask = np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)), np.uint8)
        row, column = divmod(int((view == members[0]).argmax()), right - left)
        color = NAMES[int(names[top + row, left + column])]
        parts.append(part_of(mask, (left, top, right, bottom), color, empty))
    return parts
