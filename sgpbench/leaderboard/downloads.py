"""What can be taken away: tables as CSV, JSON and Parquet, BibTeX, a feed, results and their evidence."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from sgpbench.leaderboard.board import Board, BoardColumn, Cell, Row
from sgpbench.leaderboard.entries import Entry
from sgpbench.leaderboard.naming import plain, safe_link, shortened
from sgpbench.results.evidence import LARGEST_IN_GIT
from sgpbench.results.moments import moment_of

__all__ = ["BIBTEX", "Published", "atom_feed", "publish", "table_files"]

BIBTEX = """@article{chen2025symbolic,
  title   = {Symbolic Graphics Programming with Large Language Models},
  author  = {Chen, Yamei and others},
  journal = {arXiv preprint arXiv:2509.05208},
  year    = {2025},
  url     = {https://arxiv.org/abs/2509.05208}
}

@software{sgpbench,
  title = {sgpbench: how well language models draw by writing programs},
  note  = {Harness, protocols and leaderboard for SGP-GenBench},
  year  = {2026}
}
"""
_COLUMNS = (
    "model", "arguments", "baseline", "task", "protocol", "column", "column_key", "part", "kind", "mean", "ci_low",
    "ci_high", "n", "clusters", "rank", "rank_low", "rank_high", "missing", "not_ranked", "status", "verification",
    "validity", "cost_usd_per_1000", "generation_usd_per_1000", "judging_usd_per_1000", "tokens_per_drawing",
    "parameters_b", "weights", "provider", "date",
)  # fmt: skip
_FEED_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Published:
    """A result's evidence: where it is linked to, and the file that the site is to carry, if it is."""

    address: str | None
    file: Path | None


def publish(entries: Sequence[Entry], most_bytes: int) -> dict[str, Published]:
    """Path of a result → its evidence: at its public address, else on the site where it is small and intact.

    The site carries none where all together have more than ``most_bytes``.
    """
    carried = [entry for entry in entries if _can_carry(entry)]
    if sum(entry.result.evidence.bytes for entry in carried if entry.result.evidence) > most_bytes:
        carried = []
    paths = {entry.path for entry in carried}
    found = {}
    for entry in entries:
        evidence = entry.result.evidence
        if entry.path in paths and entry.digest is not None:
            found[entry.path] = Published(f"data/evidence/{entry.slug}.parquet", entry.digest.evidence)
        else:
            found[entry.path] = Published(safe_link(evidence.address) if evidence else None, None)
    return found


def _can_carry(entry: Entry) -> bool:
    evidence = entry.result.evidence
    if evidence is None or entry.digest is None or safe_link(evidence.address):
        return False
    return evidence.bytes <= LARGEST_IN_GIT


def table_files(boards: Sequence[Board]) -> list[tuple[str, str, bytes]]:
    """(path, what it is, bytes) of every table."""
    records = [record for board in boards for record in _records(board)]
    return [
        ("data/leaderboard.csv", "the tables as CSV", _csv(records)),
        ("data/leaderboard.json", "the same as JSON", _json(records)),
        ("data/leaderboard.parquet", "the same as Parquet", _parquet(records)),
        ("data/cite.bib", "to cite the benchmark and the harness", BIBTEX.encode()),
    ]


def _records(board: Board) -> Iterator[dict[str, object]]:
    for row in board.rows:
        for column in board.columns:
            cell = row.cells[column.key]
            yield _record(board, row, column, cell, "overall", "overall")
            if cell.number is not None:
                for kind, parts in (("category", cell.number.categories), ("variant", cell.number.variants)):
                    for part in sorted(parts):
                        yield _record(board, row, column, cell, part, kind)


def _record(board: Board, row: Row, column: BoardColumn, cell: Cell, part: str, kind: str) -> dict[str, object]:
    number = cell.number
    if number is not None and kind != "overall":
        number = None
        assert cell.number is not None
        found = (cell.number.categories if kind == "category" else cell.number.variants)[part]
    else:
        found = cell.number  # type: ignore[assignment]
    rank = cell.rank if kind == "overall" else None
    entry = cell.entry
    cost = entry.cost if entry else None
    return {
        "model": row.model,
        "arguments": row.arguments,
        "baseline": row.is_baseline,
        "task": column.task,
        "protocol": board.protocol,
        "column": column.name,
        "column_key": column.key,
        "part": part,
        "kind": kind,
        "mean": found.mean if found else None,
        "ci_low": found.ci95[0] if found and found.ci95 else None,
        "ci_high": found.ci95[1] if found and found.ci95 else None,
        "n": found.n if found else None,
        "clusters": found.clusters if found else None,
        "rank": rank.rank if rank else None,
        "rank_low": rank.low if rank else None,
        "rank_high": rank.high if rank else None,
        "missing": cell.missing,
        "not_ranked": "; ".join(cell.reasons) or None,
        "status": entry.result.status if entry else None,
        "verification": entry.result.verification.status if entry else None,
        "validity": entry.validity.mean if entry and entry.validity else None,
        "cost_usd_per_1000": cost.total if cost else None,
        "generation_usd_per_1000": cost.generation if cost else None,
        "judging_usd_per_1000": cost.judging if cost else None,
        "tokens_per_drawing": entry.tokens_per_drawing if entry else None,
        "parameters_b": row.size,
        "weights": row.text("weights"),
        "provider": row.text("provider"),
        "date": (entry.date if entry else "") or None,
    }


def _csv(records: Sequence[dict[str, object]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for record in records:
        writer.writerow([_csv_cell(record[name]) for name in _COLUMNS])
    return stream.getvalue().encode("utf-8", "replace")


def _csv_cell(value: object) -> object:
    """Texts that a spreadsheet would take for a formula get an apostrophe before them."""
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{value}"
    return "" if value is None else value


def _json(records: Sequence[dict[str, object]]) -> bytes:
    lines = ",\n".join(json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    return f"[\n{lines}\n]\n".encode("utf-8", "replace")


def _parquet(records: Sequence[dict[str, object]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        **dict.fromkeys(("mean", "ci_low", "ci_high", "validity", "parameters_b", "tokens_per_drawing"), pa.float64()),
        **dict.fromkeys(("cost_usd_per_1000", "generation_usd_per_1000", "judging_usd_per_1000"), pa.float64()),
        **dict.fromkeys(("n", "clusters", "rank", "rank_low", "rank_high"), pa.int64()),
        "baseline": pa.bool_(),
    }
    schema = pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in _COLUMNS])
    stream = pa.BufferOutputStream()
    table = pa.Table.from_pylist(list(records), schema=schema)
    pq.write_table(table, stream, version="2.6", compression="zstd", store_schema=False)
    data: bytes = stream.getvalue().to_pybytes()
    return data


def atom_feed(entries: Sequence[Entry], address: str | None) -> bytes:
    """The newest results first. Dates are those of the runs, ids those of the results: equal results, equal bytes."""
    dated = sorted(entries, key=lambda e: e.path)
    dated = sorted((e for e in dated if e.date), key=lambda e: _moment(e), reverse=True)[:_FEED_ENTRIES]
    base = f"{address}/" if address else ""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>sgpbench: new results</title>",
        f"<id>urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, address or 'sgpbench')}</id>",
        f"<updated>{_moment(dated[0]) if dated else '1970-01-01T00:00:00Z'}</updated>",
        "<author><name>sgpbench</name></author>",
    ]
    if address:
        lines.append(f'<link rel="self" href="{escape(address)}/feed.xml"/>')
    for entry in dated:
        identity, result = entry.result.identity, entry.result
        title = f"{identity.model} on {identity.task} ({identity.protocol})"
        about = f"{result.status}, {result.verification.status}, {result.prompts} prompts"
        lines += [
            "<entry>",
            f"<title>{escape(plain(shortened(title, 200)))}</title>",
            f"<id>urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, entry.path)}</id>",
            f"<updated>{_moment(entry)}</updated>",
            f'<link href="{escape(base)}data/results/{entry.slug}.json"/>',
            f"<summary>{escape(about)}</summary>",
            "</entry>",
        ]
    return ("\n".join([*lines, "</feed>"]) + "\n").encode("utf-8", "replace")


def _moment(entry: Entry) -> str:
    """When a run ended, as Atom wants it; the first moment of 1970 where the record holds something else."""
    execution = entry.result.execution
    for text in (execution.finished, execution.started):
        if moment := moment_of(text):
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return "1970-01-01T00:00:00Z"
