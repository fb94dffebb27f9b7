"""The main table: models × tasks under one protocol, with ranks.

A column is what may be ranked together (``schema.column_key``): another judge or answerer, another version of anything
that decides a number, is another column.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgpbench.leaderboard.costs import Cost, cost_of
from sgpbench.leaderboard.entries import Entry, preferred
from sgpbench.leaderboard.naming import plain, slug
from sgpbench.leaderboard.standings import Standings
from sgpbench.records import HARNESS_OUTCOMES
from sgpbench.results.counting import metric_of
from sgpbench.results.ranking import Rank
from sgpbench.results.schema import Metric, ScoringColumn, column_key, rankable
from sgpbench.results.unfinished import in_words

__all__ = [
    "TASK_ORDER",
    "Board",
    "BoardColumn",
    "Cell",
    "Row",
    "make_boards",
    "rankable_entries",
]

Missing = Literal["not-run", "not-scored", "other-scorer", "unfinished"]
TASK_ORDER = ("comp", "scene", "object", "shapes")


@dataclass(frozen=True, slots=True)
class BoardColumn:
    """One column of scores."""

    key: str
    """``schema.column_key``; for a task that nobody scored, ``none:<task>``."""
    id: str
    """Safe in ids and addresses."""
    task: str
    name: str
    """``judge[gemini-2.5-flash]``."""
    note: str
    """What tells it from another column of the same name; usually empty."""
    scoring: ScoringColumn | None

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better."""
        return self.scoring is None or self.scoring.higher_is_better is not False


@dataclass(frozen=True, slots=True)
class Cell:
    """One score, or why there is none."""

    entry: Entry | None
    number: Metric | None
    rank: Rank | None
    reasons: tuple[str, ...]
    """Why it is not ranked."""
    missing: Missing | None
    so_far: str = ""
    """How far a column has come that has no number yet: ``270 of 300 judged``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model with its arguments under one protocol."""

    key: str
    slug: str
    model: str
    title: str
    """Safe to read, of any length."""
    arguments: str
    """What the user set, safe to read; usually empty."""
    entries: Mapping[str, Entry]
    """Task → the result that is shown."""
    cells: Mapping[str, Cell]
    """Column key → score."""
    is_baseline: bool

    @property
    def info(self) -> Mapping[str, object]:
        """What the catalog said of the model when it was run."""
        return next((e.result.model_info for e in self.entries.values() if e.result.model_info), {})

    @property
    def size(self) -> float | None:
        """Billions of parameters."""
        value = self.info.get("parameters_b")
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def date(self) -> str:
        """Day of the newest result."""
        return max((entry.date for entry in self.entries.values()), default="")

    def text(self, name: str) -> str | None:
        """A text of the catalog's, such as ``provider``."""
        value = self.info.get(name)
        return plain(value) if isinstance(value, str) and value else None

    @property
    def validity(self) -> float | None:
        """Drawings per sample over all its tasks; ``None`` while samples of one are pending."""
        if self.validity_pending:
            return None
        samples = sum(entry.result.samples for entry in self.entries.values())
        good = sum(n for e in self.entries.values() for outcome, n in e.result.outcomes.items() if outcome == "ok")
        return good / samples if samples else None

    @property
    def validity_pending(self) -> bool:
        """Whether samples of a task are still pending, so that no share can be given."""
        return any(
            entry.result.samples < entry.result.prompts * entry.result.identity.samples
            or any(entry.result.outcomes.get(outcome) for outcome in HARNESS_OUTCOMES)
            for entry in self.entries.values()
        )

    @property
    def cost(self) -> Cost | None:
        """What 1,000 prompts that were answered cost, over all its tasks; ``None`` unless all know their price."""
        entries = self.entries.values()
        executions = [entry.result.execution for entry in entries]
        prompts = sum(entry.prompts_answered for entry in entries)
        return cost_of(executions, prompts, asks=[entry.asks_answerers for entry in entries])

    @property
    def tokens_per_drawing(self) -> float | None:
        """Output tokens per sample over all its tasks; ``None`` unless all are known."""
        counts = [entry.tokens_per_drawing for entry in self.entries.values()]
        samples = [entry.answered for entry in self.entries.values()]
        known = [(count, n) for count, n in zip(counts, samples, strict=True) if count is not None]
        total = sum(n for _, n in known)
        return sum(count * n for count, n in known) / total if total and len(known) == len(counts) else None


@dataclass(frozen=True, slots=True)
class Board:
    """The table of one protocol."""

    protocol: str
    columns: tuple[BoardColumn, ...]
    rows: tuple[Row, ...]
    """Best first by the first column; models without it after, by name."""

    @property
    def tasks(self) -> list[str]:
        """In the order of the columns."""
        return list(dict.fromkeys(column.task for column in self.columns))


def make_boards(entries: Sequence[Entry], standings: Mapping[str, Standings]) -> list[Board]:
    """A board per protocol, ``v1`` first. ``standings``: column key → ranks."""
    official = [entry for entry in entries if entry.result.identity.split == "official"]
    protocols = sorted({e.result.identity.protocol for e in official}, key=lambda name: (name != "v1", name))
    return [_board(name, [e for e in official if e.result.identity.protocol == name], standings) for name in protocols]


def rankable_entries(entries: Sequence[Entry]) -> dict[str, list[tuple[str, Entry]]]:
    """Column key → (column name, entry) of all that take part in its ranking, one per model, sorted by path."""
    by_column: dict[str, dict[str, list[tuple[str, Entry]]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.digest is None or entry.unranked():
            continue
        for name in entry.digest.values:
            if rankable(entry.result, name):
                by_column[column_key(entry.result, name)][entry.row_key].append((name, entry))
    found = {}
    for key, rows in by_column.items():
        chosen = [(members[0][0], preferred([entry for _, entry in members])) for members in rows.values()]
        found[key] = sorted(((name, e) for name, e in chosen if e is not None), key=lambda pair: pair[1].path)
    return dict(sorted(found.items()))


def _board(protocol: str, entries: Sequence[Entry], standings: Mapping[str, Standings]) -> Board:
    columns = _columns(entries)
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.row_key].append(entry)
    rows = [_row(key, members, columns, standings) for key, members in groups.items()]
    first = columns[0] if columns else None

    def place(row: Row) -> tuple[int, float, str, str]:
        number = row.cells[first.key].number if first else None
        sign = -1 if first is None or first.higher_is_better else 1
        return (number is None, sign * number.mean if number else 0.0, row.title.lower(), row.key)

    return Board(protocol, columns, tuple(sorted(rows, key=place)))


def _columns(entries: Sequence[Entry]) -> tuple[BoardColumn, ...]:
    """Columns by task, those with most models first; a task that nobody scored has one empty column."""
    members: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
    for entry in entries:
        for name in (*_headlines(entry), *_unfinished_headlines(entry)):
            members[column_key(entry.result, name)].append((name, entry))
    scored = {entry.result.identity.task for pairs in members.values() for _, entry in pairs}
    columns: list[tuple[tuple[int, str, int, str], BoardColumn]] = []
    names = [(pairs[0][1].result.identity.task, pairs[0][0]) for pairs in members.values()]
    for key, pairs in members.items():
        name, entry = pairs[0]
        task = entry.result.identity.task
        note = key[:4] if names.count((task, name)) > 1 else ""
        column = BoardColumn(key, slug(f"{task} {key}"), task, name, note, entry.result.scoring[name])
        columns.append((_order(task, len(pairs), key), column))
    for entry in entries:
        task = entry.result.identity.task
        if task not in scored:
            scored.add(task)
            name = entry.result.headline or "score"
            columns.append((_order(task, 0, ""), BoardColumn(f"none:{task}", slug(task), task, name, "", None)))
    return tuple(column for _, column in sorted(columns, key=lambda pair: pair[0]))


def _headlines(entry: Entry) -> list[str]:
    from sgpbench.leaderboard.digest import headline_columns

    return headline_columns(entry.result)


def _unfinished_headlines(entry: Entry) -> list[str]:
    """Headline columns that a result holds no number of yet."""
    result = entry.result
    return [
        name
        for name in sorted(result.unfinished)
        if name == result.scoring[name].metric and metric_of(name) == result.headline
    ]


def _order(task: str, models: int, key: str) -> tuple[int, str, int, str]:
    known = TASK_ORDER.index(task) if task in TASK_ORDER else len(TASK_ORDER)
    return (known + (10 if not models else 0), task, -models, key)


def _row(key: str, entries: Sequence[Entry], columns: Sequence[BoardColumn], standings: Mapping[str, Standings]) -> Row:
    by_task: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_task[entry.result.identity.task].append(entry)
    shown = {task: one for task, members in sorted(by_task.items()) if (one := preferred(members))}
    identity = entries[0].result.identity
    info = next((entry.result.model_info for entry in entries if entry.result.model_info), {})
    title = info.get("title")
    return Row(
        key=key,
        slug=slug(f"{identity.model} {key}") if identity.model_args else slug(identity.model),
        model=identity.model,
        title=plain(title if isinstance(title, str) and title else identity.model),
        arguments=plain(", ".join(f"{name}={_spelt(value)}" for name, value in sorted(identity.model_args.items()))),
        entries=shown,
        cells={column.key: _cell(column, by_task.get(column.task, []), standings) for column in columns},
        is_baseline=entries[0].is_baseline,
    )


def _spelt(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _cell(column: BoardColumn, entries: Sequence[Entry], standings: Mapping[str, Standings]) -> Cell:
    if not entries:
        return Cell(None, None, None, (), "not-run")
    scored = [
        entry
        for entry in entries
        if column.name in _headlines(entry) and column_key(entry.result, column.name) == column.key
    ]
    entry = preferred(scored)
    if entry is None and (waiting := preferred([one for one in entries if _waits(column, one)])):
        so_far = in_words(waiting.result.unfinished[column.name].model_dump())
        return Cell(waiting, None, None, tuple(waiting.unranked()), "unfinished", so_far)
    if entry is None:
        other = any(_headlines(one) for one in entries)
        return Cell(preferred(entries), None, None, (), "other-scorer" if other else "not-scored")
    ranked = standings[column.key].rank_of(entry.path) if column.key in standings else None
    reasons = list(entry.unranked())
    if ranked is None and not reasons:
        reasons.append("scored with weights that are not the published ones")
    return Cell(entry, entry.result.metrics[column.name], ranked, tuple(reasons), None)


def _waits(column: BoardColumn, entry: Entry) -> bool:
    """Whether a result is to have this column and has no number in it yet."""
    return column.name in _unfinished_headlines(entry) and column_key(entry.result, column.name) == column.key
