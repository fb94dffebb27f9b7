"""Evidence: every sample of a result in one Parquet file, enough to extract, render and score again without the model.

Columns: ``prompt_id, sample, cluster, category, outcome, flags, finish_reason, completion, program``; ``score.<column>``,
each sample's value as it counts in the mean (0 for a failed drawing where the column counts it so, null where it does
not count); ``evidence.<metric>``, the metric's own record as JSON text. Sorted by prompt id and sample. Equal rows give
equal bytes with the same version of pyarrow: every writer option that matters is pinned, and nothing of the moment is
written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.errors import ResultError
from sgpbench.records import Column
from sgpbench.results.counting import Counting
from sgpbench.results.schema import Evidence, Result, ScoringColumn

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["LARGEST_IN_GIT", "counting_of_result", "evidence_of", "read_evidence", "write_evidence"]

LARGEST_IN_GIT = 5_000_000
"""Bytes; larger evidence lives elsewhere, by hash and address."""
_MOST_ROWS = 2_000_000
_MOST_BYTES = 1_000_000_000
"""Of a whole file of evidence, written out in memory."""
_NEVER_NULL = frozenset({"prompt_id", "sample", "cluster", "category", "outcome", "flags"})
_ROWS_AT_ONCE = 2_000
_CHARACTERS_AT_ONCE = 16_000_000


def counting_of_result(name: str, scoring: ScoringColumn) -> Counting:
    """How a published column counts samples."""
    column = Column(name, scoring.higher_is_better, scoring.description, scoring.low, scoring.high, scoring.invalid)
    return Counting(column, scoring.invalid, scoring.samples, scoring.prompts)


def _schema(result: Result) -> pa.Schema:
    import pyarrow as pa

    metrics = sorted({scoring.metric for scoring in result.scoring.values()})
    fields = [
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("cluster", "category", "outcome")),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        *(pa.field(name, pa.string()) for name in ("finish_reason", "completion", "program")),
        *(pa.field(f"score.{name}", pa.float64()) for name in sorted(result.scoring)),
        *(pa.field(f"evidence.{name}", pa.string()) for name in metrics),
    ]
    return pa.schema(fields)


def write_evidence(
    path: Path,
    result: Result,
    rows: Iterable[Mapping[str, object]],
    *,
    applies: Mapping[str, Collection[str]] | None = None,
) -> int:
    """Writes evidence and returns its number of rows; memory holds one row group at a time.

    ``rows`` carry the scores as the metrics gave them, sorted by prompt id and sample. ``applies``: column → prompts that
    can have a value (see ``summarise``).

    Raises:
        ResultError: rows are not sorted, or hold a value of another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(result)
    countings = {name: counting_of_result(name, scoring) for name, scoring in result.scoring.items()}
    number = 0
    with pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        compression="zstd",
        compression_level=9,
        use_dictionary=["cluster", "category", "outcome", "finish_reason"],
        write_statistics=True,
        data_page_version="1.0",
        store_schema=False,
    ) as writer:
        for group in _groups(_sorted(rows)):
            records = [_record(row, schema.names, countings, applies or {}) for row in group]
            try:
                table = pa.Table.from_pylist(records, schema=schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise ResultError(f"{path.name}: a row of evidence does not fit: {error}.") from None
            writer.write_table(table, row_group_size=_ROWS_AT_ONCE)
            number += len(records)
    return number


def _sorted(rows: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    """The same rows, checked to be in order and without repeats."""
    before: tuple[str, int] | None = None
    for row in rows:
        place = (str(row["prompt_id"]), int(str(row["sample"])))
        if before is not None and place <= before:
            raise ResultError(f"Evidence is not sorted: sample {place} comes after {before}.")
        before = place
        yield row


def _groups(rows: Iterable[Mapping[str, object]]) -> Iterator[Sequence[Mapping[str, object]]]:
    """Rows in groups of bounded number and length of text; where a group ends depends on the rows alone."""
    group: list[Mapping[str, object]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(group) == _ROWS_AT_ONCE or characters > _CHARACTERS_AT_ONCE:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _record(
    row: Mapping[str, object],
    names: Sequence[str],
    countings: Mapping[str, Counting],
    applies: Mapping[str, Collection[str]],
) -> dict[str, object]:
    prompt_id = str(row["prompt_id"])
    record: dict[str, object] = {}
    for name in names:
        value = row.get(name)
        if name.startswith("score."):
            record[name] = _score(value, prompt_id, str(row["outcome"]), countings[name[6:]], applies)
        elif name == "flags":
            record[name] = sorted(str(flag) for flag in value) if isinstance(value, list | tuple | frozenset) else []
        elif name == "sample":
            record[name] = value
        else:
            # A lone surrogate has no UTF-8; it becomes a question mark.
            record[name] = None if value is None else str(value).encode("utf-8", "replace").decode()
    return record


def _score(
    value: object, prompt_id: str, outcome: str, counting: Counting, applies: Mapping[str, Collection[str]]
) -> float | None:
    score = float(value) if isinstance(value, int | float) and value == value else None
    among = counting.applies_to(applies)
    if score is None and among is not None and prompt_id not in among:
        return None
    return counting.one(score, outcome)


def evidence_of(path: Path, rows: int, address: str | None) -> Evidence:
    """The entry for a written file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return Evidence(file=path.name, sha256=digest.hexdigest(), bytes=path.stat().st_size, rows=rows, address=address)


def read_evidence(path: Path, columns: Sequence[str] | None = None, *, rows: int | None = None) -> pa.Table:
    """A file of evidence, or some columns of it; with ``rows``, the number that it must have.

    The file is a stranger's: its numbers of rows and bytes, names and types are read from its footer first, and texts stay
    in their dictionaries until their length is known, so that a small file that would fill the memory is refused.

    Raises:
        ResultError: it cannot be read, is no Parquet file, is too large, or lacks a column or holds it twice, with
            another type, or with nulls where there may be none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            leaves = [file.schema.column(index) for index in range(len(file.schema))]
        if missing := [name for name in columns or [] if name not in schema.names]:
            raise ResultError(f"{path} lacks the columns {', '.join(missing)}.")
        _check_columns(path, schema)
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            wanted = list(columns) if columns is not None else schema.names
            _check_size(path, file.metadata, wanted, rows)
            return _read_bounded(path, file, schema, wanted)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ResultError(f"{path} cannot be read as Parquet: {error}.") from None


def _check_columns(path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise ResultError(f"{path} has the columns {', '.join(twice)} more than once.")
    for field in schema:
        if field.name == "sample":
            right = pa.types.is_integer(field.type)
        elif field.name.startswith("score."):
            right = pa.types.is_floating(field.type)
        elif field.name == "flags":
            right = pa.types.is_list(field.type) and _is_text(field.type.value_type)
        else:
            right = _is_text(field.type) or pa.types.is_null(field.type)
        if not right:
            raise ResultError(f"{path}: the column {field.name} has the type {field.type}.")


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_size(path: Path, metadata: pq.FileMetaData, wanted: Collection[str], rows: int | None) -> None:
    if rows is not None and metadata.num_rows != rows:
        raise ResultError(f"{path}: its evidence has {metadata.num_rows} rows, not {rows}.")
    if metadata.num_rows > _MOST_ROWS:
        raise ResultError(f"{path} has {metadata.num_rows} rows; at most {_MOST_ROWS} are read.")
    size = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        chunks = [group.column(number) for number in range(group.num_columns)]
        size += sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".list.")[0] in wanted)
    if size > _MOST_BYTES:
        raise ResultError(f"{path} inflates to {size / 1e6:.0f} MB; at most {_MOST_BYTES / 1e6:.0f} MB are read.")


def _read_bounded(path: Path, file: pq.ParquetFile, schema: pa.Schema, wanted: Sequence[str]) -> pa.Table:
    """Reads batch by batch and looks at each batch's size with its texts written out before it writes them out."""
    import pyarrow as pa

    target = pa.schema([schema.field(name) for name in wanted])
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=list(wanted)):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in _NEVER_NULL and column.null_count:
                raise ResultError(f"{path}: the column {name} has rows without a value.")
            size += _written_out(column)
        if size > _MOST_BYTES:
            raise ResultError(f"{path} inflates to over {_MOST_BYTES / 1e6:.0f} MB.")
        batches.append(batch.select(list(wanted)).cast(target))
    return pa.Table.from_batches(batches, schema=target)


def _written_out(column: pa.Array) -> int:
    """Bytes of a column once its texts are no longer shared."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type):
        column = column.flatten()
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.take(pc.cast(pc.binary_length(column.dictionary), pa.int64()), column.indices)
    return int(pc.sum(lengths).as_py() or 0)
