"""What a model's page says of each of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgpbench.leaderboard.board import Board, BoardColumn, Cell, Row
from sgpbench.leaderboard.captions import TaskWords
from sgpbench.leaderboard.downloads import Published
from sgpbench.leaderboard.entries import Entry
from sgpbench.leaderboard.figures import OUTCOME_WORDS
from sgpbench.leaderboard.gallery import Gallery, Shown
from sgpbench.leaderboard.naming import plain, shortened
from sgpbench.leaderboard.pages import Site
from sgpbench.results.counting import metric_of
from sgpbench.results.schema import Number

__all__ = ["Part", "Table", "parts_of"]

_COLUMNS_A_TABLE = 6
_STRUCTURE = "structure"


@dataclass(frozen=True, slots=True)
class Table:
    """Scores by category for some columns."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """Name and description."""
    rows: tuple[tuple[str, int, tuple[tuple[Number, float | None] | None, ...]], ...]
    """Label, depth, and per column the number with the top of its scale."""


@dataclass(frozen=True, slots=True)
class Part:
    """One task of one model."""

    entry: Entry
    title: str
    unranked: tuple[str, ...]
    heads: tuple[tuple[BoardColumn, Cell], ...]
    high: float | None
    drawings: tuple[tuple[str, float | None, str | None, str, str | None], ...]
    """Kind, score, picture, caption, program."""
    problem: str | None
    gallery: str | None
    tables: tuple[Table, ...]
    outcomes: Mapping[str, int]
    flags: Mapping[str, int]
    structure: tuple[tuple[str, Number], ...]
    evidence: str | None
    """Link to the evidence, if it can be had."""
    others: tuple[Entry, ...]


def parts_of(
    site: Site,
    board: Board,
    row: Row,
    entries: Sequence[Entry],
    words: Mapping[str, TaskWords],
    evidence: Mapping[str, Published],
) -> list[Part]:
    """A part per task, in the order of the board."""
    own = [e for e in entries if e.row_key == row.key and e.result.identity.protocol == board.protocol]
    found = []
    for task in board.tasks:
        entry = row.entries.get(task)
        if entry is None:
            continue
        place = site.shown(row, entry)
        address = evidence[entry.path].address
        found.append(
            _part(
                board,
                row,
                entry,
                shortened(plain(words[task].title), 80),
                place,
                f"../{address}" if address and not address.startswith("https") else address,
                [e for e in own if e is not entry and e.result.identity.task == task],
            )
        )
    return found


def _part(
    board: Board,
    row: Row,
    entry: Entry,
    title: str,
    place: tuple[Gallery, Shown] | None,
    evidence: str | None,
    others: Sequence[Entry],
) -> Part:
    result = entry.result
    heads = [
        (column, cell)
        for column in board.columns
        if (cell := row.cells[column.key]).entry is entry and cell.number is not None and column.scoring is not None
    ]
    outcomes = {name: result.outcomes.get(name, 0) for name in OUTCOME_WORDS}  # type: ignore[call-overload]
    structure = [(n.partition(".")[2], m) for n, m in result.metrics.items() if metric_of(n) == _STRUCTURE]
    structure.sort(key=lambda pair: (pair[0].startswith("elements."), pair[0]))
    return Part(
        entry=entry,
        title=title,
        unranked=tuple(entry.unranked()),
        heads=tuple(heads),
        high=heads[0][0].scoring.high if heads and heads[0][0].scoring else None,
        drawings=tuple(_drawings(*place)) if place else (),
        problem=(place[1].shelf.problem if place else None) or entry.problem,
        gallery=place[0].id if place else None,
        tables=tuple(_tables(entry)),
        outcomes={name: count for name, count in outcomes.items() if count},
        flags={str(flag): count for flag, count in sorted(result.flags.items()) if count},
        structure=tuple((name, m) for name, m in structure if m.mean or not name.startswith("elements.")),
        evidence=evidence,
        others=tuple(others),
    )


def _drawings(gallery: Gallery, one: Shown) -> list[tuple[str, float | None, str | None, str, str | None]]:
    """Best, median and worst; without scores, the first few that rendered."""

    def drawing(
        kind: str, value: float | None, prompt_id: str
    ) -> tuple[str, float | None, str | None, str, str | None]:
        words = gallery.caption(prompt_id) or plain(prompt_id)
        return kind, value, one.shelf.pictures.get(prompt_id), words, one.shelf.programs.get(prompt_id)

    if one.extremes:
        return [drawing(extreme.kind, extreme.value, extreme.prompt_id) for extreme in one.extremes]
    drawn = [prompt.id for prompt in gallery.prompts if prompt.id in one.shelf.pictures][:3]
    return [drawing("drawing", None, prompt_id) for prompt_id in drawn]


def _tables(entry: Entry) -> list[Table]:
    """All metrics but structure by category, a few columns per table, headline first."""
    result = entry.result
    names = [name for name in result.metrics if metric_of(name) != _STRUCTURE]
    names.sort(key=lambda name: (metric_of(name) != result.headline, name == "validity", name))
    labels = dict.fromkeys(label for name in names for label in result.metrics[name].categories)
    majors = list(dict.fromkeys(label.split("/")[0] for label in labels))
    categories = sorted(labels, key=lambda label: (majors.index(label.split("/")[0]), label.count("/"), label))
    variants = sorted({label for name in names for label in result.metrics[name].variants})
    tables = []
    for start in range(0, len(names), _COLUMNS_A_TABLE):
        columns = names[start : start + _COLUMNS_A_TABLE]
        rows: list[tuple[str, int, tuple[tuple[Number, float | None] | None, ...]]] = []

        def add(label: str, depth: int, numbers: Sequence[Number | None], tops: Sequence[float | None]) -> None:
            pairs = zip(numbers, tops, strict=True)
            rows.append((label, depth, tuple(None if n is None else (n, top) for n, top in pairs)))  # noqa: B023

        highs = [result.scoring[name].high for name in columns]
        metrics = [result.metrics[name] for name in columns]
        add("overall", 0, metrics, highs)
        for label in categories:
            add(label.split("/")[-1], 1 + label.count("/"), [m.categories.get(label) for m in metrics], highs)
        for label in variants:
            add(label, 0, [m.variants.get(label) for m in metrics], highs)
        if any(m.valid_only for m in metrics):
            add("valid drawings alone", 0, [_valid_only(m) for m in metrics], highs)
        described = tuple((name, result.scoring[name].description) for name in columns)
        tables.append(Table("Means with 95 % intervals", described, tuple(rows)))
    return tables


def _valid_only(number: Number) -> Number | None:
    """As a number without an interval."""
    if number.valid_only is None or not number.valid_only.n:
        return None
    return Number(mean=number.valid_only.mean, ci95=None, n=number.valid_only.n, clusters=1)
