"""Numbers that papers report, with their source and footnotes. Never ranked with measured ones."""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sgpbench.errors import ResultError
from sgpbench.paths import root_folder

__all__ = ["Footnote", "Report", "ReportedRow", "ReportedTable", "Source", "read_reported"]

_COLUMNS = ["table", "model", "task", "category", "metric", "value"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(_Frozen):
    """The paper."""

    title: str
    authors: str
    year: int
    arxiv: str
    url: str
    code: str | None = None
    notice: str
    """What must stand beside its numbers."""


class ReportedTable(_Frozen):
    """One of its tables."""

    number: int
    title: str
    protocol: str
    """How its numbers were made, as far as the paper says."""


class Footnote(_Frozen):
    """A remark on all values that fit every condition; an empty condition fits all."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    text: str
    tables: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    def fits(self, table: int, model: str, task: str, category: str, metric: str) -> bool:
        """Whether it belongs to a value."""
        conditions = (
            (self.tables, table),
            (self.models, model),
            (self.tasks, task),
            (self.categories, category),
            (self.metrics, metric),
        )
        return all(not wanted or value in wanted for wanted, value in conditions)


class _Notes(_Frozen):
    source: Source
    tables: tuple[ReportedTable, ...]
    footnotes: tuple[Footnote, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportedRow:
    """One printed value. ``task`` may be ``average``: the plain mean of scene and object."""

    table: int
    model: str
    task: str
    category: str
    metric: str
    value: float
    text: str
    """As printed."""
    footnotes: tuple[str, ...]
    """Ids of the footnotes that belong to it."""


@dataclass(frozen=True, slots=True)
class Report:
    """A paper's numbers."""

    name: str
    source: Source
    tables: tuple[ReportedTable, ...]
    footnotes: tuple[Footnote, ...]
    rows: tuple[ReportedRow, ...]


def read_reported(folder: Path | None = None) -> tuple[Report, ...]:
    """All reports in a folder (``results/reported`` of the project), sorted by name.

    Raises:
        ResultError: a file is missing or broken; the message names file and line or key.
    """
    place = folder or root_folder("results") / "reported"
    return tuple(_read(path) for path in sorted(place.glob("*.csv")))


def _read(path: Path) -> Report:
    notes = _read_notes(path.with_suffix(".toml"))
    known = {table.number for table in notes.tables}
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _COLUMNS:
            raise ResultError(f"{path}: its columns are not {', '.join(_COLUMNS)}.")
        for record in reader:
            try:
                row = _row(record, notes.footnotes)
            except (TypeError, ValueError):
                raise ResultError(f"{path}, line {reader.line_num}: not a table number and a value.") from None
            if row.table not in known:
                raise ResultError(f"{path}, line {reader.line_num}: table {row.table} is not described.")
            rows.append(row)
    used = {footnote for row in rows for footnote in row.footnotes}
    if idle := sorted({footnote.id for footnote in notes.footnotes} - used):
        raise ResultError(f"{path.with_suffix('.toml')}: no value fits the footnote {', '.join(idle)}.")
    return Report(path.stem, notes.source, notes.tables, notes.footnotes, tuple(rows))


def _row(record: dict[str, str], footnotes: tuple[Footnote, ...]) -> ReportedRow:
    table = int(record["table"])
    place = (table, record["model"], record["task"], record["category"], record["metric"])
    marks = tuple(footnote.id for footnote in footnotes if footnote.fits(*place))
    return ReportedRow(*place, value=float(record["value"]), text=record["value"], footnotes=marks)


def _read_notes(path: Path) -> _Notes:
    try:
        return _Notes.model_validate_json(json.dumps(tomllib.loads(path.read_text("utf-8"))))
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ResultError(f"{path} is not valid TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{path}: {where}: {first['msg']}.") from None
