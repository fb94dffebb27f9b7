"""Where the procedural baseline puts things: columns and rows in the order that the caption asks for.

Things that are inside or over each other make one unit; every unit gets a stripe of the canvas along one axis, and a
band of it along the other where the caption speaks of both. All lengths are in units of a 512 × 512 canvas.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from random import Random

import numpy as np

from sgpbench.models.baseline_figures import Figure, figure_of
from sgpbench.models.baseline_reading import Link, Reading

__all__ = ["CANVAS", "Placed", "layout"]

CANVAS = 512.0
_MARGIN = 14.0
_TALLER = 2.25
_OVERLAP = 0.2
"""Share of the smaller of two overlapping figures that the other one covers."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One figure on the canvas; later ones lie over earlier ones."""

    item: int
    figure: Figure
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class _Cell:
    x: float
    y: float
    width: float
    height: float


def layout(reading: Reading, rng: Random) -> list[Placed]:
    """A place for every thing of a reading, in drawing order."""
    units = _units(reading)
    cells = _cells(reading, units, rng)
    heights = _heights(reading, units, cells)
    placed: list[Placed] = []
    for unit, cell in zip(units, cells, strict=True):
        placed += _place(reading, unit, cell, heights, rng)
    return placed


def _linked(reading: Reading, unit: list[int], kind: str) -> list[Link]:
    return [link for link in reading.links if link.kind == kind and link.first in unit and link.second in unit]


def _units(reading: Reading) -> list[list[int]]:
    """Items in units, each in the caption's order."""
    owner = list(range(len(reading.items)))
    for link in _joins(reading):
        old, new = owner[link.second], owner[link.first]
        owner = [new if value == old else value for value in owner]
    return [[index for index, value in enumerate(owner) if value == unit] for unit in dict.fromkeys(owner)]


def _joins(reading: Reading) -> list[Link]:
    """The links that put things inside or over each other: one for each thing, so that no thing is in two places."""
    joins: list[Link] = []
    used: set[int] = set()
    for link in reading.links:
        inside = link.kind == "inside" and reading.items[link.second].count == 1
        over = link.kind == "overlap" and reading.items[link.first].count == reading.items[link.second].count == 1
        if (inside or over) and not {link.first, link.second} & used:
            joins.append(link)
            used |= {link.first, link.second}
    return joins


# --- stripes and bands ---------------------------------------------------------------------------------------------


def _edges(reading: Reading, units: list[list[int]], forward: str, backward: str) -> list[tuple[int, int]]:
    """Pairs (before, after) of units along one axis; what would contradict earlier words is left out."""
    of = {index: number for number, unit in enumerate(units) for index in unit}
    edges: list[tuple[int, int]] = []
    for link in reading.links:
        if link.kind not in (forward, backward) or of[link.first] == of[link.second]:
            continue
        pair = (of[link.first], of[link.second]) if link.kind == forward else (of[link.second], of[link.first])
        if not _reaches(edges, pair[1], pair[0]):
            edges.append(pair)
    return edges


def _reaches(edges: list[tuple[int, int]], start: int, end: int) -> bool:
    return start == end or any(_reaches(edges, after, end) for before, after in edges if before == start)


def _levels(edges: list[tuple[int, int]], number: int) -> list[int]:
    """Length of the longest way to each unit."""
    levels = [0] * number
    for _ in range(number):
        for before, after in edges:
            levels[after] = max(levels[after], levels[before] + 1)
    return levels


def _cells(reading: Reading, units: list[list[int]], rng: Random) -> list[_Cell]:
    across, down = _edges(reading, units, "left", "right"), _edges(reading, units, "above", "below")
    columns = len(across) > len(down) or (len(across) == len(down) and rng.random() < 0.7)
    main, other = (across, down) if columns else (down, across)
    main_levels, other_levels = _levels(main, len(units)), _levels(other, len(units))
    tied = {unit for edge in other for unit in edge}
    order = sorted(range(len(units)), key=lambda unit: (main_levels[unit], unit))
    weights = [_weight(reading, unit) for unit in units]
    span = CANVAS - 2 * _MARGIN
    start, cells = _MARGIN, [_Cell(0, 0, 0, 0)] * len(units)
    for unit in order:
        length = span * weights[unit] / sum(weights)
        low, size = _MARGIN, span
        if unit in tied:
            bands = max(other_levels) + 1
            low, size = _MARGIN + span * other_levels[unit] / bands, span / bands
        gap, inset = 0.05 * length, 0.05 * size
        along, over = (start + gap, length - 2 * gap), (low + inset, size - 2 * inset)
        cells[unit] = (
            _Cell(along[0], over[0], along[1], over[1]) if columns else _Cell(over[0], along[0], over[1], along[1])
        )
        start += length
    return cells


def _weight(reading: Reading, unit: list[int]) -> float:
    number = sum(reading.items[index].count for index in unit)
    tall = any(link.kind == "taller" and link.first in unit for link in reading.links)
    return float(sqrt(number) * (1.6 if tall else 1.0))


# --- sizes and places ----------------------------------------------------------------------------------------------


def _grid(count: int, cell: _Cell, figure: Figure) -> tuple[int, int, float]:
    """Columns, rows and the height of each of ``count`` figures so that they are as large as can be."""
    options = [(columns, ceil(count / columns)) for columns in range(1, count + 1)]
    sized = [(min(cell.width / columns / figure.width, cell.height / rows), columns, rows) for columns, rows in options]
    height, columns, rows = max(sized)
    return columns, rows, 0.78 * height


def _heights(reading: Reading, units: list[list[int]], cells: list[_Cell]) -> list[float]:
    """The height of each item's figures: as large as fits, and less where another must be much taller."""
    heights = [0.0] * len(reading.items)
    for unit, cell in zip(units, cells, strict=True):
        share = 0.62 if _linked(reading, unit, "overlap") else 1.0
        for index in unit:
            item = reading.items[index]
            heights[index] = share * _grid(item.count, cell, figure_of(item.noun))[2]
        for link in _joins(reading):
            if link.kind == "inside" and link.first in unit:
                outer = figure_of(reading.items[link.second].noun)
                cell_height = min(cell.height, cell.width / outer.width)
                heights[link.second] = 0.9 * cell_height
                inner, count = figure_of(reading.items[link.first].noun), reading.items[link.first].count
                reach = max(sqrt(1 + inner.width**2) / 2, 0.5)
                heights[link.first] = 0.78 * _inner_radius(outer, count) * heights[link.second] / reach
    for _ in reading.items:
        for link in reading.links:
            if link.kind == "taller":
                heights[link.second] = min(heights[link.second], heights[link.first] / _TALLER)
    return heights


def _inner_radius(outer: Figure, count: int) -> float:
    """Radius of each of ``count`` round spaces beside each other in a figure 1 high."""
    return outer.room[2] if count == 1 else (outer.room[2] + outer.wide_room * 0.5) / count


def _place(reading: Reading, unit: list[int], cell: _Cell, heights: list[float], rng: Random) -> list[Placed]:
    joins = [link for link in _joins(reading) if link.first in unit]
    middle = (cell.x + cell.width / 2, cell.y + cell.height / 2)
    if not joins:
        return _place_group(reading, unit[0], cell, heights[unit[0]], rng)
    link = joins[0]
    first, second = figure_of(reading.items[link.first].noun), figure_of(reading.items[link.second].noun)
    if link.kind == "overlap":
        size = min(heights[link.first], heights[link.second])
        dx, dy = _overlap_shift(first, second, rng)
        size = min(size, *_fitting(first, second, dx, dy, cell))
        left, top, right, bottom = _pair_box(first, second, dx, dy)
        x, y = middle[0] - (left + right) / 2 * size, middle[1] - (top + bottom) / 2 * size
        return [Placed(link.first, first, x, y, size), Placed(link.second, second, x + dx * size, y + dy * size, size)]
    placed = [Placed(link.second, second, *middle, heights[link.second])]
    count = reading.items[link.first].count
    centre = middle[0] + second.room[0] * heights[link.second], middle[1] + second.room[1] * heights[link.second]
    step = 2 * _inner_radius(second, count) * heights[link.second]
    for number in range(count):
        x = centre[0] + (number - (count - 1) / 2) * step
        placed.append(Placed(link.first, first, x, centre[1], heights[link.first]))
    return placed


def _place_group(reading: Reading, index: int, cell: _Cell, height: float, rng: Random) -> list[Placed]:
    figure, count = figure_of(reading.items[index].noun), reading.items[index].count
    columns, rows, _ = _grid(count, cell, figure)
    width, depth = cell.width / columns, cell.height / rows
    slack_x, slack_y = max(0.0, width - 1.25 * height * figure.width), max(0.0, depth - 1.25 * height)
    placed = []
    for number in range(count):
        row, column = divmod(number, columns)
        x = cell.x + (column + 0.5) * width + slack_x * rng.uniform(-0.3, 0.3)
        y = cell.y + (row + 0.5) * depth + slack_y * rng.uniform(-0.3, 0.3)
        placed.append(Placed(index, figure, x, y, height))
    return placed


# --- overlap -------------------------------------------------------------------------------------------------------


def _pair_box(first: Figure, second: Figure, dx: float, dy: float) -> tuple[float, float, float, float]:
    halves = first.width / 2, second.width / 2
    return min(-halves[0], dx - halves[1]), min(-0.5, dy - 0.5), max(halves[0], dx + halves[1]), max(0.5, dy + 0.5)


def _fitting(first: Figure, second: Figure, dx: float, dy: float, cell: _Cell) -> tuple[float, float]:
    left, top, right, bottom = _pair_box(first, second, dx, dy)
    return 0.95 * cell.width / (right - left), 0.95 * cell.height / (bottom - top)


def _overlap_shift(first: Figure, second: Figure, rng: Random) -> tuple[float, float]:
    """How far to move the second figure (in heights) so that about a fifth of the smaller one is covered."""
    slope = rng.choice((0.35, 0.55, -0.35, -0.55))
    best, found = 1.0, (0.7, 0.3)
    for step in range(4, 26):
        shift = (0.06 * step, 0.06 * step * slope)
        miss = abs(_covered(first, second, *shift) - _OVERLAP)
        if miss < best:
            best, found = miss, shift
    return found


def _covered(first: Figure, second: Figure, dx: float, dy: float) -> float:
    """The area that two figures share, over that of the smaller one, on a grid of 40 × 40 points."""
    left, top, right, bottom = _pair_box(first, second, dx, dy)
    x, y = np.meshgrid(np.linspace(left, right, 40), np.linspace(top, bottom, 40))
    a, b = _contains(first, x, y), _contains(second, x - dx, y - dy)
    return float((a & b).sum() / max(1, min(a.sum(), b.sum())))


def _contains(figure: Figure, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points lie within an outline (crossing numbers)."""
    inside = np.zeros(x.shape, bool)
    corners = figure.outline
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside
