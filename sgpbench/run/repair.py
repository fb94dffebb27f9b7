"""Makes a damaged ``run.db`` anew out of every row that is still as it was written, and lets the run go on.

The old file is never changed: it is kept beside the new one. A row is saved where it fits its digest; what depended on a
row that is lost is left out with it, so that the next ``sgpbench run`` asks, draws or scores exactly that again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sgpbench.errors import StoreError
from sgpbench.protocol import Extraction, canonical_hash
from sgpbench.records import FinishReason, Outcome
from sgpbench.run.database import check_header, check_rows, connect, create_schema, lock_run
from sgpbench.run.durable import sync_folder
from sgpbench.run.identity import read_identity
from sgpbench.run.integrity import SEALED, SETTINGS, Table, Value, damage, row_digest
from sgpbench.run.pages import stored_records
from sgpbench.svg.extract import extract

__all__ = ["RepairReport", "repair"]

_BY_NAME = {table.name: table for table in (*SEALED, SETTINGS)}
_OUTCOMES = frozenset(map(str, Outcome))
_REASONS = frozenset(map(str, FinishReason))
_Row = tuple[Table, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What became of a damaged database."""

    damage: str
    """What was found, in a few words."""
    kept: Path
    """The old file."""
    saved: dict[str, int]
    """Table → rows that are in the new one."""
    lost: tuple[str, ...]
    """What could not be saved and what follows from it, a sentence each."""


def repair(folder: Path) -> RepairReport | None:
    """Repairs a run's database where it is damaged; ``None`` where it is not, and then nothing is touched.

    Raises:
        StoreError: the folder holds no run, another process works on it, its database is of another program or a newer
            sgpbench, or the new one cannot be written (the old one is unchanged then).
    """
    read_identity(folder)
    path = folder / "run.db"
    if not path.is_file():
        raise StoreError(f"{folder} has no run.db.", remedy="Run the same `sgpbench run` command again.")
    with lock_run(folder):
        what = _what_is_wrong(path)
        if what is None:
            return None
        fresh = folder / "run.db.repaired"
        fresh.unlink(missing_ok=True)
        try:
            saved, lost = _make_anew(path, fresh)
            kept = _replace(path, fresh)
        except (OSError, sqlite3.Error) as error:
            fresh.unlink(missing_ok=True)
            raise StoreError(
                f"{fresh} cannot be written: {error}.",
                remedy="Free some space or make the folder writable, and repair again; nothing was changed.",
            ) from None
        return RepairReport(what, kept, saved, lost)


def _what_is_wrong(path: Path) -> str | None:
    # The same checks as at every start. Those that say 'damaged' name this command; other faults are not ours to mend.
    try:
        connection = connect(path, read_only=True)
        try:
            if not check_header(connection, path):
                return "it is empty"
            check_rows(path)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    except StoreError as error:
        if "sgpbench repair" not in (error.remedy or ""):
            raise
        return error.message.partition(" is damaged: ")[2].rstrip(".")
    return None


def _make_anew(path: Path, fresh: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    database = connect(fresh, read_only=False)
    try:
        create_schema(database)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        _insert(database, _sealed_rows(path))
        if not any(_counts(database).values()):
            _insert(database, _plain_rows(path))
        lost = _leave_out_what_cannot_stand(database)
        database.execute("COMMIT")
        if (still := damage(database, sealed=True)) is not None:
            raise StoreError(f"The repair of {path} failed: {still}.", remedy="Report this; the old file is unchanged.")
        return _counts(database), lost
    finally:
        database.close()


def _insert(database: sqlite3.Connection, rows: Iterator[_Row]) -> None:
    for table, row in rows:
        digest = () if table is SETTINGS else (None,)
        places = ", ".join("?" * (len(row) + len(digest)))
        # The first version of a row that comes is the newest.
        database.execute(f"INSERT OR IGNORE INTO {table.name} VALUES ({places})", (*row, *digest))


def _counts(database: sqlite3.Connection) -> dict[str, int]:
    return {
        name: int(database.execute(f"SELECT count(*) FROM {name}").fetchone()[0])
        for name in _BY_NAME
        if name != "failures"
    }


def _as_stored(table: Table, rowid: int | None, values: tuple[Value, ...]) -> tuple[Value, ...]:
    """A record's values as SQLite would give them back: the rowid in its column, whole numbers in REAL columns as floats."""
    row = [rowid, *values[1:]] if table.rowid else list(values)
    for index, column in enumerate(table.columns):
        if column in table.reals and isinstance(value := row[index], int):
            row[index] = float(value)
    return tuple(row)


def _sealed_rows(path: Path) -> Iterator[_Row]:
    """The rows that fit their digests."""
    candidates: dict[tuple[bool, int], list[Table]] = defaultdict(list)
    for table in SEALED:
        candidates[table.rowid, len(table.columns) + 1].append(table)
    pairs: dict[tuple[str, str], None] = {}
    for rowid, values in stored_records(path):
        for table in candidates.get((rowid is not None, len(values)), ()):
            row = _as_stored(table, rowid, values[:-1])
            if values[-1] == row_digest(table.name, *row):
                yield table, row
        if rowid is None and len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], str):
            pairs[values[0], values[1]] = None
    # A setting and its digest are rows of the same shape in two tables.
    yield from ((SETTINGS, pair) for pair in pairs if (pair[0], row_digest("settings", *pair)) in pairs)


def _plain_rows(path: Path) -> Iterator[_Row]:
    """The rows of a database that had no digests yet, told apart by their shapes."""
    for rowid, values in stored_records(path):
        name = _shape(rowid, values)
        # Without a digest, what is to be one of our words tells a whole row from a garbled one.
        if name == "completions" and not (values[5] in _OUTCOMES and values[10] in _REASONS):
            continue
        if name == "renderings" and values[3] not in _OUTCOMES:
            continue
        if name is not None:
            yield _BY_NAME[name], _as_stored(_BY_NAME[name], rowid, values)


def _shape(rowid: int | None, values: tuple[Value, ...]) -> str | None:
    width = len(values)
    if rowid is not None:
        # Five columns: the schema's own table.
        return {21: "completions", 2: "sessions"}.get(width)
    if width == 2:
        return "programs" if canonical_hash(values[1], 32) == values[0] else "settings"
    if width == 6:
        return "prompts" if isinstance(values[1], int) else "metrics"
    return {12: "renderings", 5: "scores", 8: "failures", 7: "replies"}.get(width)


def _leave_out_what_cannot_stand(database: sqlite3.Connection) -> tuple[str, ...]:
    """Restores or takes out what lacks its other half; returns what was lost, a sentence each."""
    lost = []
    restored, dropped = _restore_programs(database)
    gone = database.execute("SELECT coalesce(max(id), 0) - count(*) FROM completions").fetchone()[0] + dropped
    # A later try without the ones before it would be asked for a second time under the same number.
    database.execute(
        """DELETE FROM completions WHERE NOT final AND attempt >= (
               SELECT min(t.attempt) FROM (SELECT attempt + 1 AS attempt, prompt_id, sample FROM completions
                                           UNION SELECT 0, prompt_id, sample FROM completions) t
               WHERE t.prompt_id = completions.prompt_id AND t.sample = completions.sample AND NOT EXISTS (
                   SELECT 1 FROM completions c
                   WHERE c.prompt_id = t.prompt_id AND c.sample = t.sample AND c.attempt = t.attempt))"""
    )
    if gone:
        lost.append(
            f"At least {gone} {_plural('completion', gone)}: the same `sgpbench run` command asks for them again."
        )
    if restored:
        lost.append(f"{restored} {_plural('program', restored)}, taken out of the completions again.")
    undrawn = database.execute(
        "SELECT count(*) FROM programs WHERE hash NOT IN (SELECT program_hash FROM renderings)"
    ).fetchone()[0]
    if undrawn:
        lost.append(f"What became of {undrawn} {_plural('program', undrawn)}: drawn again, with no call to the model.")
    if not database.execute("SELECT count(*) FROM prompts").fetchone()[0]:
        lost.append("The list of prompts: the same `sgpbench run` command brings it back.")
    lost.append("Scores and judges' replies that are missing are made again when the run is continued.")
    # Deleted rows may have come back: what has been answered or scored has not failed.
    database.execute(
        """DELETE FROM failures WHERE stage = 'generate' AND EXISTS (
               SELECT 1 FROM completions c WHERE c.prompt_id = failures.prompt_id AND c.sample = failures.sample AND c.final)"""
    )
    database.execute(
        """DELETE FROM failures WHERE stage = 'score' AND EXISTS (
               SELECT 1 FROM completions c JOIN renderings r ON r.program_hash = c.program_hash
               JOIN scores s ON s.metric = failures.metric AND s.prompt_id = c.prompt_id AND s.rendering = r.hash
               WHERE c.final AND c.prompt_id = failures.prompt_id AND c.sample = failures.sample)"""
    )
    return tuple(lost)


def _restore_programs(database: sqlite3.Connection) -> tuple[int, int]:
    """(programs taken out of their completions again, completions left out because that was not possible)."""
    counts: Counter[str] = Counter()
    orphans = database.execute(
        """SELECT id, program_hash, text, finish_reason FROM completions
           WHERE program_hash IS NOT NULL AND program_hash NOT IN (SELECT hash FROM programs)"""
    ).fetchall()
    for number, program_hash, text, reason in orphans:
        found = (extract(text, FinishReason(reason), rule).program for rule in get_args(Extraction))
        program = next((one for one in found if one is not None and canonical_hash(one, 32) == program_hash), None)
        if program is None:
            database.execute("DELETE FROM completions WHERE id = ?", (number,))
            counts["dropped"] += 1
        else:
            database.execute("INSERT OR IGNORE INTO programs VALUES (?, ?, NULL)", (program_hash, program))
            counts["restored"] += 1
    missing = database.execute(
        "DELETE FROM completions WHERE final AND outcome = ? AND program_hash IS NULL", (str(Outcome.OK),)
    ).rowcount
    return counts["restored"], counts["dropped"] + missing


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _replace(path: Path, fresh: Path) -> Path:
    """Puts the new database in the old one's place; returns where the old one is now."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    number = 1
    while (kept := path.with_name(f"run.db.damaged-{number}")).exists():
        number += 1
    try:
        os.link(path, kept)
    except OSError:
        shutil.copy2(path, kept)
    log = path.with_name("run.db-wal")
    if log.exists():
        # It belongs to the old file: SQLite would write its pages into the new one.
        log.replace(kept.with_name(f"{kept.name}-wal"))
    path.with_name("run.db-shm").unlink(missing_ok=True)
    fresh.replace(path)
    sync_folder(path.parent)
    return kept
