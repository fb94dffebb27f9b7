"""``run.db``: opening, locking, migrating, and one writer that commits in groups.

SQLite in WAL mode; a rollback journal where the file system is a network one. All writes go through one thread: what is
waiting is committed together with one fsync, and only then is anyone told that it is stored. A small reserve file is kept
beside the database and given up when the disk is full, so that what was already received can still be committed.
What is opened is checked first (``integrity``): nothing is read from a damaged file, and nothing written to it.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TextIO, TypeVar

import psutil

from sgpbench.errors import StoreError
from sgpbench.run.integrity import add_functions, damage, prepare_writer, seal_all
from sgpbench.system import lock_exclusively

__all__ = [
    "APPLICATION_ID",
    "SPEC",
    "Database",
    "check_header",
    "check_rows",
    "connect",
    "create_schema",
    "damaged",
    "lock_run",
    "open_reader",
]

APPLICATION_ID = 0x53475042  # "SGPB"
_RESERVE_BYTES = 4 << 20
_NETWORK = frozenset(
    {
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "9p",
        "afs",
    }
)
SPEC = "spec.json"
"""The file beside the database that says which run it is of; written once the database is there."""
_LOG = logging.getLogger(__name__)

T = TypeVar("T")

# Append only: a migration, once released, is never edited.
_MIGRATIONS = (
    """
    CREATE TABLE prompts (
        id TEXT PRIMARY KEY, position INTEGER NOT NULL, caption TEXT NOT NULL, category TEXT NOT NULL, cluster TEXT NOT NULL,
        traits TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE completions (
        id INTEGER PRIMARY KEY,
        prompt_id TEXT NOT NULL, sample INTEGER NOT NULL, attempt INTEGER NOT NULL,
        final INTEGER NOT NULL, outcome TEXT NOT NULL, program_hash TEXT,
        request_hash TEXT NOT NULL, seed INTEGER NOT NULL,
        text TEXT NOT NULL, finish_reason TEXT NOT NULL, refusal TEXT,
        input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER,
        cost_usd REAL, latency_s REAL, served_by TEXT, dropped TEXT NOT NULL, received_at REAL NOT NULL,
        UNIQUE (prompt_id, sample, attempt)
    );
    CREATE TABLE programs (hash TEXT PRIMARY KEY, svg TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE renderings (
        hash TEXT PRIMARY KEY, program_hash TEXT NOT NULL, renderer TEXT NOT NULL, outcome TEXT NOT NULL,
        program TEXT, flags TEXT NOT NULL, structure TEXT NOT NULL, width INTEGER, height INTEGER,
        text_free INTEGER NOT NULL, message TEXT, seconds REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX renderings_by_program ON renderings (program_hash, renderer);
    CREATE TABLE metrics (
        hash TEXT PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, needs TEXT NOT NULL,
        identity TEXT NOT NULL, columns TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE scores (
        metric TEXT NOT NULL, prompt_id TEXT NOT NULL, rendering TEXT NOT NULL,
        value TEXT NOT NULL, evidence TEXT NOT NULL,
        PRIMARY KEY (metric, prompt_id, rendering)
    ) WITHOUT ROWID;
    CREATE TABLE failures (
        stage TEXT NOT NULL, metric TEXT NOT NULL, prompt_id TEXT NOT NULL, sample INTEGER NOT NULL,
        outcome TEXT NOT NULL, message TEXT NOT NULL, times INTEGER NOT NULL, last_at REAL NOT NULL,
        PRIMARY KEY (stage, metric, prompt_id, sample)
    ) WITHOUT ROWID;
    CREATE TABLE replies (
        key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER,
        cost_usd REAL, received_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE sessions (id INTEGER PRIMARY KEY, record TEXT NOT NULL);
    """,
    """
    ALTER TABLE prompts ADD COLUMN digest TEXT;
    ALTER TABLE completions ADD COLUMN digest TEXT;
    ALTER TABLE programs ADD COLUMN digest TEXT;
    ALTER TABLE renderings ADD COLUMN digest TEXT;
    ALTER TABLE metrics ADD COLUMN digest TEXT;
    ALTER TABLE scores ADD COLUMN digest TEXT;
    ALTER TABLE failures ADD COLUMN digest TEXT;
    ALTER TABLE replies ADD COLUMN digest TEXT;
    ALTER TABLE sessions ADD COLUMN digest TEXT;
    CREATE TABLE setting_digests (key TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE pictures (
        name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, digest TEXT
    ) WITHOUT ROWID;
    """,
)
_SEALED_FROM = 2
"""The first schema whose rows carry digests."""


def _is_network(folder: Path) -> bool:
    """Whether the folder lies on a network file system, where SQLite's WAL is not safe."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    nearest = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    return nearest is not None and (nearest.fstype in _NETWORK or nearest.fstype.startswith("fuse.ssh"))


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection to a run's database, unchecked; a new file is made where there is none."""
    mode = "ro" if read_only else "rwc"
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=30)
    connection.row_factory = sqlite3.Row
    add_functions(connection)
    return connection


def damaged(path: Path, what: str) -> StoreError:
    """The error for a database that does not hold what was written to it."""
    return StoreError(
        f"{path} is damaged: {what.rstrip('.')}.",
        remedy=f"Run `sgpbench repair {path.parent}`, which saves what is intact and keeps the old file.",
    )


def check_header(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of an existing database (0 for a new, empty one).

    Raises:
        StoreError: it is damaged, empty although its run had begun, foreign, or from a newer sgpbench.
    """
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "unable to open" in str(error):
            raise
        raise damaged(path, str(error)) from None
    if tables and application != APPLICATION_ID:
        raise StoreError(f"{path} was not made by sgpbench.", remedy="Use another --runs-dir.")
    if version > len(_MIGRATIONS):
        raise StoreError(f"{path} was made by a newer sgpbench (schema {version}).", remedy="Upgrade sgpbench.")
    if not version and not tables and (path.parent / SPEC).is_file():
        raise damaged(path, "it is empty, but the run had begun")
    return version


@functools.lru_cache(maxsize=256)
def _damage_as_of(path: Path, _state: tuple[tuple[int, ...], ...]) -> str | None:
    connection = connect(path, read_only=True)
    try:
        return damage(connection, sealed=check_header(connection, path) >= _SEALED_FROM)
    finally:
        connection.close()


def check_rows(path: Path) -> None:
    """Reads the whole file, once for each state of it: 2 s of processor time for 32,000 samples (460 MB)."""
    files = [file for file in (path, path.with_name(f"{path.name}-wal")) if file.is_file()]
    stats = [file.stat() for file in files]
    state = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
    if (what := _damage_as_of(path, state)) is not None:
        raise damaged(path, what)


def open_reader(folder: Path, *, trusted: bool = False) -> sqlite3.Connection:
    """A connection to a run's database that can only read. ``trusted``: this process has checked its rows already.

    Raises:
        StoreError: missing, damaged, foreign, or from a newer sgpbench.
    """
    path = folder / "run.db"
    if not path.is_file():
        raise StoreError(
            f"{folder} is not a run: it has no run.db.", remedy="Give the directory that `sgpbench run` printed."
        )
    try:
        connection = connect(path, read_only=True)
        try:
            check_header(connection, path)
            if not trusted:
                check_rows(path)
        except StoreError:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be opened: {error}.") from None
    return connection


def _as_store_error(error: Exception, path: Path) -> StoreError:
    text = str(error)
    if "full" in text or "No space" in text:
        return StoreError(
            f"The disk that holds {path} is full. Answers that were just arriving are not stored.",
            remedy="Free some space and run the same command again: those alone are asked (and paid) for again.",
        )
    if "malformed" in text or "not a database" in text:
        return damaged(path, text)
    if "readonly" in text or "unable to open" in text or isinstance(error, PermissionError):
        return StoreError(f"{path} cannot be written: {text}.", remedy="Choose a writable directory with --runs-dir.")
    return StoreError(f"{path}: {text}.")


def lock_run(folder: Path) -> TextIO:
    """The lock of a run's directory, held until it is closed.

    Raises:
        StoreError: another process holds it, or the directory cannot be written.
    """
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+")
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error.strerror}.",
            remedy="Choose a writable directory with --runs-dir.",
        ) from None
    try:
        lock_exclusively(handle.fileno())
    except StoreError:
        handle.close()
        raise
    except OSError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise StoreError(
            f"Another process (pid {owner}) is working on {folder}.",
            remedy="Wait for it or stop it, then run the same command again.",
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def create_schema(connection: sqlite3.Connection, version: int = 0) -> None:
    """Brings an opened database from that version to the present one, and has all its further rows sealed."""
    for number in range(version, len(_MIGRATIONS)):
        connection.executescript(f"BEGIN; {_MIGRATIONS[number]}")
        if number + 1 == _SEALED_FROM:
            seal_all(connection)
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    prepare_writer(connection)


class Database:
    """A run's database, opened for writing by this process alone.

    Raises:
        StoreError: another process has it open, or it is damaged, foreign, newer, or not writable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "run.db"
        self._disk_was_full = False
        self._lock_file = lock_run(folder)
        try:
            existed = self.path.exists()
            self._writer = connect(self.path, read_only=False)
            self._prepare(existed=existed)
        except (sqlite3.Error, OSError) as error:
            self._lock_file.close()
            raise _as_store_error(error, self.path) from None
        except StoreError:
            self._lock_file.close()
            raise
        self._queue: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._write_loop, name="run.db writer", daemon=True)
        self._thread.start()

    def _prepare(self, *, existed: bool) -> None:
        version = check_header(self._writer, self.path) if existed else 0
        if version:
            check_rows(self.path)
        if _is_network(self.folder.resolve()):
            _LOG.warning("%s lies on a network file system: using a rollback journal, which is slower.", self.folder)
            self._writer.execute("PRAGMA journal_mode = DELETE")
        else:
            self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        create_schema(self._writer, version)
        reserve = self.folder / "reserve"
        if not reserve.exists():
            reserve.write_bytes(os.urandom(1 << 16) * (_RESERVE_BYTES >> 16))

    def reader(self) -> sqlite3.Connection:
        """A new connection that only reads; to be used by one thread and closed by it."""
        return connect(self.path, read_only=True)

    def write(self, change: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queues a change; the future is done when it is committed, in the order of the calls.

        The future raises ``StoreError`` where the disk is full or the database fails. It cannot be cancelled: what was
        received is stored, also when nobody waits for it any more.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._queue.put((change, future))
        return future

    def _write_loop(self) -> None:
        while (item := self._queue.get()) is not None:
            group = [item]
            ending = False
            while len(group) < 512 and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    ending = True
                    break
                group.append(following)
            self._commit(group)
            if ending:
                break

    def _commit(self, group: list[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]) -> None:
        try:
            results = self._try_commit(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, the writer lives on for those who come after
            full = "full" in str(error) or "No space" in str(error)
            if full and self._give_up_reserve():
                self._disk_was_full = True
                self._commit(group)
                return
            if len(group) > 1 and not full:
                # One change that cannot be stored takes no other with it.
                for one in group:
                    self._commit([one])
                return
            failure = _as_store_error(error, self.path)
            for _, future in group:
                future.set_exception(failure)
            return
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)

    @property
    def disk_was_full(self) -> bool:
        """Whether the reserve had to be given up: all is stored, but the run should stop now."""
        return self._disk_was_full

    def disk_full_error(self) -> StoreError:
        """The error to stop with once ``disk_was_full``."""
        return StoreError(
            f"The disk that holds {self.path} is full; all that had been received is stored.",
            remedy="Free some space and run the same command again: nothing that had arrived is asked again.",
        )

    def _try_commit(self, group: list[tuple[Callable[[sqlite3.Connection], Any], Future[Any]]]) -> list[Any]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            results = [change(self._writer) for change, _ in group]
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        return results

    def _give_up_reserve(self) -> bool:
        reserve = self.folder / "reserve"
        if not reserve.exists():
            return False
        reserve.unlink()
        return True

    def close(self) -> None:
        """Commits what is queued and closes the database. Safe to call twice."""
        if self._lock_file.closed:
            return
        self._queue.put(None)
        self._thread.join()
        try:
            # One plain file again: it can be copied, archived, and read from a folder that cannot be written.
            self._writer.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            _LOG.debug("%s is being read; its write-ahead log stays.", self.path)
        self._writer.close()
        self._lock_file.close()
