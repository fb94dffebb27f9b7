"""The numbers of papers as tables: models × (task or category, metric), as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgpbench.results.reported import Report, ReportedRow

__all__ = ["Pivot", "overall_pivots", "pivots"]


@dataclass(frozen=True, slots=True)
class Pivot:
    """One printed table."""

    report: str
    number: int
    title: str
    protocol: str
    columns: tuple[tuple[str, str], ...]
    """Upper and lower line of each heading."""
    rows: tuple[tuple[str, tuple[ReportedRow | None, ...]], ...]
    marks: Mapping[str, int]
    """Footnote → its number."""


def pivots(reports: Sequence[Report]) -> list[Pivot]:
    """Every table of every report."""
    return [_pivot(report, table.number, report.rows) for report in reports for table in report.tables]


def overall_pivots(reports: Sequence[Report]) -> list[Pivot]:
    """The same for the first page: overall numbers only, and no tables about one model alone."""
    found = []
    for report in reports:
        rows = [row for row in report.rows if row.category == "overall"]
        for table in report.tables:
            own = {row.model for row in rows if row.table == table.number}
            stepwise = sum(" step " in model for model in own) > len(own) / 2
            if own and not stepwise:
                found.append(_pivot(report, table.number, rows))
    return found


def _pivot(report: Report, number: int, rows: Sequence[ReportedRow]) -> Pivot:
    table = next(table for table in report.tables if table.number == number)
    own = [row for row in rows if row.table == number]
    places = list(dict.fromkeys((row.task, row.category, row.metric) for row in own))
    tasks, metrics = {place[0] for place in places}, {place[2] for place in places}
    cells = {(row.model, row.task, row.category, row.metric): row for row in own}

    def heading(task: str, category: str, metric: str) -> tuple[str, str]:
        if len(tasks) > 1:
            return (task, metric if category == "overall" else f"{category} {metric}")
        top, _, low = category.partition("/")
        return (top, low or (metric if len(metrics) > 1 else "all"))

    models = list(dict.fromkeys(row.model for row in own))
    return Pivot(
        report.name,
        number,
        table.title,
        table.protocol,
        tuple(heading(*place) for place in places),
        tuple((model, tuple(cells.get((model, *place)) for place in places)) for model in models),
        {footnote.id: index for index, footnote in enumerate(report.footnotes, start=1)},
    )
