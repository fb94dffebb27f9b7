"""The rows that a damaged SQLite file still holds, read page by page without the tree that led to them.

Follows the file format (https://www.sqlite.org/fileformat2.html, sections 1 and 2): every page that reads like a leaf, or
like an inner page of an index (rows of tables WITHOUT ROWID stand there, too), gives the records it holds. Nothing here
decides whether a record is as it was written; ``repair`` does, by its digest.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from sgpbench.run.integrity import Value

__all__ = ["stored_records"]

Record = tuple[int | None, tuple[Value, ...]]
"""(rowid, values); no rowid for a row of an index or of a table without one."""

_MAGIC = b"SQLite format 3\x00"
_USUAL_PAGE = 4096
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 13, 10, 2
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_INTEGERS: Mapping[int, int] = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _Broken(Exception):
    """These bytes are not what their place in the format asks for."""


class _Pages:
    """Numbered pages of a file; those in ``newer`` stand in place of the file's own."""

    def __init__(self, data: bytes | mmap.mmap, size: int, newer: Mapping[int, bytes]) -> None:
        self._data = data
        self.size = size
        self._newer = newer
        self.count = max(len(data) // size, max(newer, default=0))

    def page(self, number: int) -> bytes:
        """The page of that number, from 1.

        Raises:
            _Broken: there is none.
        """
        if (page := self._newer.get(number)) is not None:
            return page
        page = self._data[(number - 1) * self.size : number * self.size] if number >= 1 else b""
        if len(page) < self.size:
            raise _Broken
        return page


def stored_records(database: Path) -> Iterator[Record]:
    """All records that can be read out of a database and the write-ahead log beside it, newer versions first.

    One row may come several times, and rows that were deleted may come too.

    Raises:
        OSError: the file cannot be read.
    """
    wal = database.with_name(f"{database.name}-wal")
    with database.open("rb") as file:
        empty = file.seek(0, 2) == 0
        data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            size = _page_size(data)
            newer = _log_pages(wal.read_bytes(), size) if wal.is_file() else {}
            yield from _records_of(_Pages(data, size, newer))
            if newer:
                yield from _records_of(_Pages(data, size, {}))
        finally:
            if isinstance(data, mmap.mmap):
                data.close()


def _page_size(data: bytes | mmap.mmap) -> int:
    if data[:16] != _MAGIC:
        return _USUAL_PAGE
    (size,) = struct.unpack(">H", data[16:18])
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else _USUAL_PAGE


def _log_pages(log: bytes, size: int) -> dict[int, bytes]:
    """Page → its newest committed version in a write-ahead log."""
    if len(log) < 32 or struct.unpack(">I", log[:4])[0] not in _WAL_MAGIC:
        return {}
    salt = log[16:24]
    committed: dict[int, bytes] = {}
    waiting: dict[int, bytes] = {}
    for start in range(32, len(log) - size - 23, size + 24):
        number, commit = struct.unpack(">II", log[start : start + 8])
        if log[start + 8 : start + 16] != salt:
            continue
        waiting[number] = log[start + 24 : start + 24 + size]
        if commit:
            committed.update(waiting)
            waiting.clear()
    return committed


def _free_pages(pages: _Pages) -> set[int]:
    """Pages that the file says are unused: what they hold was deleted. Empty where the list is broken."""
    try:
        first, count = struct.unpack(">II", pages.page(1)[32:40])
        free: set[int] = set()
        while first and len(free) <= count:
            trunk = pages.page(first)
            following, leaves = struct.unpack(">II", trunk[:8])
            if first in free or leaves > pages.size // 4 - 2:
                return set()
            free |= {first, *struct.unpack(f">{leaves}I", trunk[8 : 8 + 4 * leaves])}
            first = following
    except _Broken:
        return set()
    return free if len(free) == count else set()


def _records_of(pages: _Pages) -> Iterator[Record]:
    free = _free_pages(pages)
    for number in range(1, pages.count + 1):
        if number in free:
            continue
        try:
            page = pages.page(number)
        except _Broken:
            continue
        start = 100 if number == 1 else 0
        kind = page[start]
        if kind not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER):
            continue
        cells = struct.unpack(">H", page[start + 3 : start + 5])[0]
        first = start + (12 if kind == _INDEX_INNER else 8)
        if first + 2 * cells > pages.size:
            continue
        for place in struct.unpack(f">{cells}H", page[first : first + 2 * cells]):
            try:
                yield _record(pages, page, kind, place)
            except (_Broken, IndexError, struct.error, UnicodeDecodeError):
                continue


def _record(pages: _Pages, page: bytes, kind: int, place: int) -> Record:
    if kind == _INDEX_INNER:
        place += 4
    length, place = _varint(page, place)
    rowid: int | None = None
    if kind == _TABLE_LEAF:
        rowid, place = _varint(page, place)
    if not 0 < length <= pages.count * pages.size:
        raise _Broken
    return rowid, _values(_payload(pages, page, place, length, in_table=kind == _TABLE_LEAF))


def _payload(pages: _Pages, page: bytes, place: int, length: int, *, in_table: bool) -> bytes:
    """A record's bytes: those in the page, then those of its chain of overflow pages."""
    usable = pages.size  # We reserve nothing at the end of a page.
    most = usable - 35 if in_table else (usable - 12) * 64 // 255 - 23
    if length <= most:
        return _exactly(page[place : place + length], length)
    least = (usable - 12) * 32 // 255 - 23
    local = least + (length - least) % (usable - 4)
    local = local if local <= most else least
    parts = [_exactly(page[place : place + local], local)]
    (following,) = struct.unpack(">I", page[place + local : place + local + 4])
    missing = length - local
    while missing:
        overflow = pages.page(following)
        part = overflow[4 : 4 + min(missing, usable - 4)]
        parts.append(part)
        missing -= len(part)
        (following,) = struct.unpack(">I", overflow[:4])
    return b"".join(parts)


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise _Broken
    return data


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """(value, place after it) of a variable-length integer, two's complement in 64 bits."""
    value = 0
    for index in range(9):
        byte = data[place + index]
        if index == 8:
            value = value << 8 | byte
            return (value - (1 << 64) if value >> 63 else value), place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + index + 1
    raise _Broken


def _values(payload: bytes) -> tuple[Value, ...]:
    header, place = _varint(payload, 0)
    if not place <= header <= len(payload):
        raise _Broken
    kinds = []
    while place < header:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    if place != header:
        raise _Broken
    values: list[Value] = []
    for kind in kinds:
        value, place = _value(payload, kind, place)
        values.append(value)
    if place != len(payload):
        raise _Broken
    return tuple(values)


def _value(payload: bytes, kind: int, place: int) -> tuple[Value, int]:
    if kind == 0:
        return None, place
    if kind in (8, 9):
        return kind - 8, place
    if kind in (10, 11) or kind < 0:
        raise _Broken
    length = _INTEGERS.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
    data = _exactly(payload[place : place + length], length)
    place += length
    if kind in _INTEGERS:
        return int.from_bytes(data, "big", signed=True), place
    if kind == 7:
        return float(struct.unpack(">d", data)[0]), place
    return (data.decode() if kind % 2 else data), place
