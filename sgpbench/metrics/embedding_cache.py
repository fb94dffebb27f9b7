"""Embeddings on disk, by what they were made from: weights, preparation, and the content of the picture or text.

One SQLite file, safe for several processes at once: each batch is one short transaction, readers wait for writers. It is
a cache: losing it costs time, never a result, so a damaged file is set aside and a new one begun.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from sgpbench.errors import MetricUnavailable
from sgpbench.metrics.encoding import Vector
from sgpbench.paths import CACHE_REMEDY

__all__ = ["EmbeddingCache", "MemoryCache", "VectorCache", "content_key"]

_LOG = logging.getLogger(__name__)
_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
_KEYS_PER_QUERY = 500
_VERSION = "1"
"""Of the preparation of pictures and texts; raised whenever it changes."""


def content_key(encoder: str, kind: str, content: bytes, options: str = "") -> bytes:
    """The key of a vector: 32 bytes that differ wherever encoder, kind, options or content do."""
    digest = hashlib.blake2b(digest_size=32)
    for part in (_VERSION.encode(), encoder.encode(), kind.encode(), options.encode(), content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


class VectorCache(Protocol):
    """Vectors by key. Safe for several threads."""

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors of those keys that are known."""

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keeps vectors, if it can."""

    def close(self) -> None:
        """Frees what it holds."""


class MemoryCache:
    """A ``VectorCache`` for one process that forgets what was longest unused."""

    def __init__(self, *, most: int = 20_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """See ``VectorCache``."""
        with self._lock:
            found = {key: self._vectors[key] for key in keys if key in self._vectors}
            for key in found:
                self._vectors.move_to_end(key)
        return found

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """See ``VectorCache``."""
        with self._lock:
            self._vectors.update(vectors)
            while len(self._vectors) > self._most:
                self._vectors.popitem(last=False)

    def close(self) -> None:
        """See ``VectorCache``."""
        with self._lock:
            self._vectors.clear()


class EmbeddingCache:
    """A ``VectorCache`` on disk."""

    def __init__(self, folder: Path, *, most_bytes: int = 4 << 30) -> None:
        """``folder`` is made if need be; beyond ``most_bytes`` the oldest quarter is dropped when the cache is opened.

        Raises:
            MetricUnavailable: nothing can be written there; the message names the cache.
        """
        self._file = folder / "embeddings.sqlite"
        self._lock = threading.Lock()
        self._most_bytes = most_bytes
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise MetricUnavailable(f"The cache {folder} cannot be written: {reason}.", remedy=CACHE_REMEDY) from None
        except sqlite3.DatabaseError as error:
            _LOG.warning("the embedding cache %s is damaged (%s); beginning a new one", self._file, error)
            self._file.replace(self._file.with_suffix(".damaged"))
            self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_SCHEMA)
            if self._file.stat().st_size > self._most_bytes:
                database.execute(
                    "DELETE FROM vectors WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 4 FROM vectors)"
                )
                database.execute("VACUUM")
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        """The vectors of those keys that are known."""
        found: dict[bytes, Vector] = {}
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[first : first + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            for key, value in self._query(f"SELECT key, value FROM vectors WHERE key IN ({marks})", part):
                found[key] = np.frombuffer(value, dtype="<f4").astype(np.float32)
        return found

    def _query(self, statement: str, values: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
        with self._lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                _LOG.warning("the embedding cache %s cannot be read: %s", self._file, error)
                return []

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Keeps vectors, all or none of them; a cache that cannot be written (a full disk) is said and left alone."""
        if not vectors:
            return
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("INSERT OR IGNORE INTO vectors (key, value) VALUES (?, ?)", rows)
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                _LOG.warning("the embedding cache %s cannot be written: %s", self._file, error)
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()
