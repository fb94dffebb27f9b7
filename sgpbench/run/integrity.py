"""Whether a run's database still holds what was written: SQLite's own check, and a digest beside every row.

SQLite finds a broken structure; a changed byte inside a completion, a program or a score it does not see. So each row
carries a digest of its own values, written by temporary triggers of whoever writes through ``prepare_writer``: a row
that anything else has changed no longer fits.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "SEALED",
    "SETTINGS",
    "Table",
    "Value",
    "add_functions",
    "damage",
    "prepare_writer",
    "row_digest",
    "seal_all",
]

Value = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of ``run.db``: its columns in their order, the digest aside."""

    name: str
    columns: tuple[str, ...]
    keys: int
    """How many of the columns, the first ones, are its primary key."""
    reals: frozenset[str] = frozenset()
    """Columns of type REAL, whose whole numbers SQLite stores as integers."""
    rowid: bool = False
    """Whether it has a rowid, which its first column stands for."""

    @property
    def key(self) -> tuple[str, ...]:
        """Its primary key."""
        return self.columns[: self.keys]


def _table(name: str, columns: str, keys: int = 1, reals: str = "", *, rowid: bool = False) -> Table:
    return Table(name, tuple(columns.split()), keys, frozenset(reals.split()), rowid)


SETTINGS = _table("settings", "key value")
"""Its digests stand in a table of their own, ``setting_digests``."""
SEALED = (
    _table("prompts", "id position caption category cluster traits"),
    _table(
        "completions",
        "id prompt_id sample attempt final outcome program_hash request_hash seed text finish_reason refusal input_tokens "
        "output_tokens cached_tokens reasoning_tokens cost_usd latency_s served_by dropped received_at",
        reals="cost_usd latency_s received_at",
        rowid=True,
    ),
    _table("programs", "hash svg"),
    _table(
        "renderings",
        "hash program_hash renderer outcome program flags structure width height text_free message seconds",
        reals="seconds",
    ),
    _table("metrics", "hash name unit needs identity columns"),
    _table("scores", "metric prompt_id rendering value evidence", 3),
    _table("failures", "stage metric prompt_id sample outcome message times last_at", 4, "last_at"),
    _table("replies", "key model text input_tokens output_tokens cost_usd received_at", 1, "cost_usd received_at"),
    _table("sessions", "id record", rowid=True),
    _table("pictures", "name bytes sha256"),
)


def row_digest(table: str, *values: Value) -> str:
    """16 hex digits that belong to a row of that table with those values."""
    # ``ascii`` spells values alike in every version of Python, in one call for all of a row.
    return hashlib.blake2b(ascii((table, *values)).encode("ascii"), digest_size=8).hexdigest()


def add_functions(connection: sqlite3.Connection) -> None:
    """Gives a connection ``row_digest``."""
    connection.create_function("row_digest", -1, row_digest, deterministic=True)


def _digest_of(table: Table, prefix: str = "") -> str:
    return f"row_digest('{table.name}', {', '.join(prefix + column for column in table.columns)})"


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Has every row that this connection writes sealed with its digest, in the same transaction."""
    for table in SEALED:
        here = " AND ".join(f"{column} = NEW.{column}" for column in table.key)
        seal = f"BEGIN UPDATE {table.name} SET digest = {_digest_of(table)} WHERE {here}; END"
        changes = f"UPDATE OF {', '.join(table.columns)}"
        connection.execute(f"CREATE TEMP TRIGGER seal_new_{table.name} AFTER INSERT ON main.{table.name} {seal}")
        connection.execute(f"CREATE TEMP TRIGGER seal_old_{table.name} AFTER {changes} ON main.{table.name} {seal}")
    for name, event in (("new", "INSERT"), ("old", "UPDATE")):
        connection.execute(
            f"""CREATE TEMP TRIGGER seal_{name}_settings AFTER {event} ON main.settings BEGIN
                INSERT OR REPLACE INTO setting_digests VALUES (NEW.key, {_digest_of(SETTINGS, "NEW.")}); END"""
        )


def seal_all(connection: sqlite3.Connection) -> None:
    """Writes the digests of all rows that are there: for a database that had none."""
    for table in SEALED:
        connection.execute(f"UPDATE {table.name} SET digest = {_digest_of(table)}")
    connection.execute(f"INSERT INTO setting_digests SELECT key, {_digest_of(SETTINGS)} FROM settings")


def damage(connection: sqlite3.Connection, *, sealed: bool) -> str | None:
    """What is damaged, in a few words; ``None`` where all is as it was written.

    Reads the whole file once. ``sealed``: whether its rows carry digests (older ones do not).
    """
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            return "; ".join(" ".join(str(line).split()) for line in found)
        if not sealed:
            return None
        changed: Sequence[tuple[str, int]] = [(table.name, _changed(connection, table)) for table in SEALED]
        query = f"""SELECT count(*) FROM settings LEFT JOIN setting_digests USING (key)
                    WHERE digest IS NOT {_digest_of(SETTINGS)}"""
        changed = [*changed, ("settings", int(connection.execute(query).fetchone()[0]))]
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    parts = [f"{count} of {name}" for name, count in changed if count]
    return f"rows were changed from outside: {', '.join(parts)}" if parts else None


def _changed(connection: sqlite3.Connection, table: Table) -> int:
    query = f"SELECT count(*) FROM {table.name} WHERE digest IS NOT {_digest_of(table)}"
    return int(connection.execute(query).fetchone()[0])
