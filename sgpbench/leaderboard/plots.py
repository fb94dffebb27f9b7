"""Plots that are made when the site is: SVG from numbers, coloured by the page's own styles, each with its table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from sgpbench.leaderboard import figures
from sgpbench.leaderboard.board import Board, BoardColumn, Row
from sgpbench.leaderboard.naming import plain, shortened
from sgpbench.results.intervals import Floats
from sgpbench.results.schema import Metric

__all__ = ["Plot", "PlotGroup", "pareto_front", "plot_groups"]

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 44
_MOST_BARS = 12
_MOST_DISTRIBUTIONS = 24
_BINS = 10


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture and the same as a table."""

    title: str
    note: str
    picture: Markup
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class PlotGroup:
    """The plots of one column."""

    id: str
    title: str
    column: str
    plots: tuple[Plot, ...]


@dataclass(frozen=True, slots=True)
class _Point:
    row: Row
    number: Metric

    @property
    def label(self) -> str:
        return shortened(plain(self.row.title), 40)


def plot_groups(boards: Sequence[Board]) -> list[PlotGroup]:
    """The plots of every column that has scores."""
    found = []
    for board in boards:
        for column in board.columns:
            cells = [(row, row.cells[column.key].number) for row in board.rows]
            points = [_Point(row, number) for row, number in cells if number is not None]
            if not points or column.scoring is None:
                continue
            points.sort(key=lambda p: (-p.number.mean if column.higher_is_better else p.number.mean, p.row.key))
            plots = [
                _scatter(
                    *(
                        column,
                        points,
                        "Score against cost",
                        "US dollars per 1,000 prompts, judging included",
                        figures.dollars,
                    ),
                    lambda row, c=column: _cost(row, c),  # type: ignore[misc]
                    front=True,
                ),
                _scatter(
                    *(column, points, "Score against size", "parameters", figures.size),
                    lambda row: row.size,
                    front=False,
                ),
                _categories(column, points),
                _distributions(column, points),
            ]
            shown = tuple(plot for plot in plots if plot is not None)
            title = f"{column.task} · {board.protocol}"
            found.append(PlotGroup(f"{column.id}-{board.protocol.lower()}", title, column.name, shown))
    return found


def _cost(row: Row, column: BoardColumn) -> float | None:
    entry = row.cells[column.key].entry
    return entry.cost.total if entry and entry.cost else None


def pareto_front(points: Sequence[tuple[float, float]], *, higher_is_better: bool = True) -> list[int]:
    """Indices of the points that no other beats in both: (cost, score), by rising cost. Of equal points the first."""
    order = sorted(
        range(len(points)), key=lambda i: (points[i][0], -points[i][1] if higher_is_better else points[i][1])
    )
    front: list[int] = []
    for index in order:
        value = points[index][1]
        best = points[front[-1]][1] if front else None
        if best is None or (value > best if higher_is_better else value < best):
            front.append(index)
    return front


def _scatter(
    column: BoardColumn,
    points: Sequence[_Point],
    title: str,
    unit: str,
    spell: Callable[[float], str],
    where: Callable[[Row], float | None],
    *,
    front: bool,
) -> Plot | None:
    """Scores over a logarithmic axis; models without a value, or with 0, are named below."""
    placed = [(p, x) for p in points if not p.row.is_baseline and (x := where(p.row)) is not None and x > 0]
    if not placed:
        return None
    low, high = _span(column, points)
    least, most = (f(math.log10(x) for _, x in placed) for f in (min, max))
    least, most = least - 0.15, most + 0.15

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(x) - least) / (most - least)

    def up(y: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (y - low) / (high - low))

    top = column.scoring.high if column.scoring else None
    parts = _grid(low, high, up, top)
    for power in range(math.floor(least), math.ceil(most) + 1):
        for step in (1, 3):
            x = step * 10.0**power
            if least <= math.log10(x) <= most:
                parts.append(_text(across(x), _HEIGHT - _BOTTOM + 18, spell(x), "middle"))
                parts.append(_line(across(x), _TOP, across(x), _HEIGHT - _BOTTOM, "grid"))
    parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 6, unit, "end"))
    best = pareto_front([(x, p.number.mean) for p, x in placed], higher_is_better=column.higher_is_better)
    if front:
        for here, after in pairwise(best):
            y = up(placed[here][0].number.mean)
            parts.append(_line(across(placed[here][1]), y, across(placed[after][1]), y, "front"))
            parts.append(
                _line(across(placed[after][1]), y, across(placed[after][1]), up(placed[after][0].number.mean), "front")
            )
    labelled = set(best if front else range(min(len(placed), 12)))
    for index, (point, x) in enumerate(placed):
        ends = point.number.ci95 or [point.number.mean, point.number.mean]
        parts.append(_line(across(x), up(ends[0]), across(x), up(ends[1]), "range"))
        said = f"{point.label}: {figures.score(point.number.mean, top)} ({figures.interval(point.number, top)}), {spell(x)}"
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>').format(
                "dot best" if front and index in best else "dot", across(x), up(point.number.mean), said
            )
        )
        if index in labelled:
            left = across(x) < _WIDTH * 0.7
            parts.append(
                _text(across(x) + (8 if left else -8), up(point.number.mean) - 7, shortened(point.label, 26),
                      "start" if left else "end", "label")
            )  # fmt: skip
    rows = tuple(
        (p.label, figures.score(p.number.mean, top), figures.interval(p.number, top), spell(x), _mark(front, i in best))
        for i, (p, x) in enumerate(placed)
    )
    shown_keys = {point.row.key for point, _ in placed}
    left_out = [p for p in points if not p.row.is_baseline and p.row.key not in shown_keys]
    note = "The line joins models that no cheaper one reaches." if front else ""
    if left_out:
        note += f" Not shown, as the value is not known or zero: {', '.join(p.label for p in left_out[:8])}"
        note += f" and {len(left_out) - 8} more." if len(left_out) > 8 else "."
    headings = ("Model", "Score", "95 % interval", unit, *(("On the front",) if front else ()))
    return Plot(title, note.strip(), _svg(_HEIGHT, title, parts), headings, tuple(r[: len(headings)] for r in rows))


def _mark(front: bool, best: bool) -> str:
    return ("yes" if best else "no") if front else ""


def _span(column: BoardColumn, points: Sequence[_Point]) -> tuple[float, float]:
    """A scale that holds all intervals, within the column's bounds, a little wider than the data."""
    ends = [value for p in points for value in (p.number.ci95 or [p.number.mean])]
    low, high = min(ends), max(ends)
    margin = 0.08 * (high - low) or 0.05 * (abs(high) or 1)
    bounds = (column.scoring.low, column.scoring.high) if column.scoring else (None, None)
    low, high = low - margin, high + margin
    return (max(low, bounds[0]) if bounds[0] is not None else low), (
        min(high, bounds[1]) if bounds[1] is not None and bounds[1] > low else high
    )


def _categories(column: BoardColumn, points: Sequence[_Point]) -> Plot | None:
    """A bar per category and model: the best models, one panel each."""
    names = list(dict.fromkeys(name for p in points for name in p.number.categories))
    majors = [name for name in names if "/" not in name]
    names = majors if len(majors) > 1 else names
    if len(names) < 2:
        return None
    chosen = points[:_MOST_BARS]
    low, high = (column.scoring.low or 0.0, column.scoring.high) if column.scoring else (0.0, None)
    top = high if high is not None else max(p.number.mean for p in chosen) or 1.0
    panel_width, columns = 232, 3
    panel_height = 26 + 18 * len(names) + 14
    parts: list[Markup] = []
    for index, point in enumerate(chosen):
        x0, y0 = (index % columns) * (panel_width + 12), (index // columns) * panel_height
        parts.append(_text(x0, y0 + 16, shortened(point.label, 30), "start", "heading"))
        for line, name in enumerate(names):
            y = y0 + 24 + 18 * line
            number = point.number.categories.get(name)
            parts.append(_text(x0 + 78, y + 12, shortened(plain(name), 13), "end"))
            if number is None:
                parts.append(_text(x0 + 84, y + 12, "no value", "start"))
                continue
            width = 104 * max(0.0, min(1.0, (number.mean - low) / (top - low)))
            said = (
                f"{point.label}, {plain(name)}: {figures.score(number.mean, high)} ({figures.interval(number, high)})"
            )
            parts.append(
                Markup('<rect class="bar" x="{}" y="{}" width="{:.1f}" height="13" rx="2"><title>{}</title></rect>')
                .format(x0 + 84, y + 2, width, said)
            )  # fmt: skip
            parts.append(_text(x0 + 88 + width, y + 12, figures.score(number.mean, high), "start"))
    height = -(-len(chosen) // columns) * panel_height
    rows = tuple(
        (
            p.label,
            *(figures.score(n.mean, high) if (n := p.number.categories.get(name)) else "no value" for name in names),
        )
        for p in chosen
    )
    note = f"The best {_MOST_BARS} models; all are on their own pages." if len(points) > _MOST_BARS else ""
    return Plot("By category", note, _svg(height, "By category", parts), ("Model", *map(plain, names)), rows)


def _distributions(column: BoardColumn, points: Sequence[_Point]) -> Plot | None:
    """How many prompts got which score: a row of bars per model."""
    drawn: list[tuple[_Point, Floats]] = []
    for point in points[:_MOST_DISTRIBUTIONS]:
        entry = point.row.cells[column.key].entry
        if entry is not None and entry.digest is not None and column.name in entry.digest.values:
            values = entry.digest.values[column.name]
            drawn.append((point, values[~np.isnan(values)]))
    drawn = [(point, values) for point, values in drawn if values.size]
    if not drawn or column.scoring is None:
        return None
    low = column.scoring.low if column.scoring.low is not None else min(float(v.min()) for _, v in drawn)
    high = column.scoring.high if column.scoring.high is not None else max(float(v.max()) for _, v in drawn)
    low = min(low, *(float(v.min()) for _, v in drawn))
    if column.scoring.low is not None and column.scoring.low < 0:
        low, high = min(float(v.min()) for _, v in drawn), max(float(v.max()) for _, v in drawn)
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, _BINS + 1)
    left, width, row_height = 190, _WIDTH - 206, 34
    step = width / _BINS
    parts: list[Markup] = []
    rows: list[tuple[str, ...]] = []
    for index, (point, values) in enumerate(drawn):
        shares = np.histogram(np.clip(values, low, high), edges)[0] / values.size
        base = (index + 1) * row_height
        parts.append(_text(left - 10, base - 8, shortened(point.label, 26), "end"))
        parts.append(_line(left, base, left + width, base, "grid"))
        for place, share in enumerate(shares):
            if share:
                tall = max(1.5, 28 * math.sqrt(float(share)))
                said = f"{point.label}: {figures.percent(float(share))} of prompts score {_bin(edges, place, high)}"
                parts.append(
                    Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
                    .format(left + place * step + 1, base - tall, step - 2, tall, said)
                )  # fmt: skip
        rows.append((point.label, *(figures.percent(float(share)) for share in shares)))
    foot = len(drawn) * row_height + 18
    parts += [
        _text(left + width * k / 4, foot, figures.score(low + (high - low) * k / 4, high), "middle") for k in range(5)
    ]
    headings = ("Model", *(_bin(edges, place, high) for place in range(_BINS)))
    note = "Height is the square root of the share, so that rare scores stay visible."
    if len(points) > _MOST_DISTRIBUTIONS:
        note += f" The best {_MOST_DISTRIBUTIONS} models."
    return Plot("Distribution of scores", note, _svg(foot + 10, "Distribution of scores", parts), headings, tuple(rows))


def _bin(edges: Floats, place: int, high: float) -> str:
    return f"{figures.score(float(edges[place]), high)}–{figures.score(float(edges[place + 1]), high)}"


def _grid(low: float, high: float, up: Callable[[float], float], top: float | None) -> list[Markup]:
    """Horizontal lines at four or so round values."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    parts = []
    value = math.ceil(low / step) * step
    while value <= high + 1e-9:
        parts.append(_line(_LEFT, up(value), _WIDTH - _RIGHT, up(value), "grid"))
        parts.append(_text(_LEFT - 8, up(value) + 4, figures.score(value + 0.0, top), "end"))
        value += step
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, words: str, anchor: str, kind: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, words)


def _svg(height: float, title: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, title, Markup("").join(parts)
    )
