"""Writes results and their evidence for publication."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from sgpbench.errors import ResultError
from sgpbench.records import Column, Json
from sgpbench.results.counting import ALL, Kept, counting_of, metric_of
from sgpbench.results.evidence import evidence_of, write_evidence
from sgpbench.results.naming import EVIDENCE_SUFFIX, result_path
from sgpbench.results.schema import (
    Execution,
    Identity,
    Result,
    ScoringColumn,
    canonical_json,
    read_result,
)

if TYPE_CHECKING:
    from sgpbench.protocol import Scoring

__all__ = ["build_result", "export", "scoring_columns"]


def scoring_columns(
    metric: str,
    identity: Mapping[str, Json],
    columns: Iterable[Column],
    scoring: Scoring,
    *,
    kept: Kept = ALL,
) -> dict[str, ScoringColumn]:
    """What a result says of a metric's columns.

    ``metric`` is the metric's full name, ``identity`` its statement of all that decides its values: ``version``; and where
    it has weights, ``published``.
    """
    answerer = metric.partition("[")[2].removesuffix("]") or None
    described = {}
    for column in columns:
        counting = counting_of(column, scoring.invalid, kept)
        described[column.name] = ScoringColumn(
            metric=metric,
            version=str(identity.get("version", "")) or "0",
            answerer=answerer if metric_of(metric) in {"judge", "vqa"} else None,
            published_weights=bool(identity.get("published", True)),
            identity=_plain(identity),
            description=column.description,
            higher_is_better=column.higher_is_better,
            low=column.low,
            high=column.high,
            invalid=counting.invalid,
            samples=counting.samples,
            prompts=counting.prompts,
        )
    return described


def build_result(
    summary: Mapping[str, Json],
    *,
    identity: Identity,
    split_prompts: int,
    scoring: Mapping[str, ScoringColumn],
    execution: Execution | None = None,
    headline: str | None = None,
    model_info: Mapping[str, Json] | None = None,
) -> Result:
    """A checked result from what ``summarise`` returned.

    Raises:
        ResultError: the parts contradict each other; the message names the first fault.
    """
    usage = summary["usage"]
    tokens = {name: usage.get(name) for name in ("input_tokens", "output_tokens")} if isinstance(usage, Mapping) else {}
    document = {
        "schema_version": 1,
        "identity": identity.model_dump(mode="json"),
        **{key: summary[key] for key in ("status", "prompts", "clusters", "samples", "outcomes", "flags", "skipped")},
        "split_prompts": split_prompts,
        "headline": headline,
        "scoring": {name: column.model_dump(mode="json") for name, column in scoring.items()},
        "metrics": summary["metrics"],
        "unfinished": summary.get("unfinished", {}),
        "tokens": tokens,
        "model_info": _plain(model_info or {}),
        "execution": (execution or Execution()).model_dump(mode="json"),
    }
    try:
        return Result.model_validate_json(_json(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"The result of {identity.model} on {identity.task}: {where}: {first['msg']}.") from None


def export(
    result: Result,
    evidence_rows: Iterable[Mapping[str, object]],
    out: Path,
    *,
    applies: Mapping[str, Collection[str]] | None = None,
    address: str | None = None,
) -> list[Path]:
    """Writes a result and its evidence under ``out`` and returns their paths: the JSON first.

    Both appear complete or not at all. Equal input gives equal bytes. A result of the same name is replaced only where it
    is of the same identity.

    Args:
        result: As from ``build_result``; its ``evidence`` is filled in here.
        evidence_rows: Sorted by prompt id and sample; see ``evidence`` for their keys.
        out: The folder of results.
        applies: Column → prompts that can have a value (as given to ``summarise``).
        address: Where the evidence can be had, if it is too large for git (5 MB).

    Raises:
        ResultError: rows do not fit; or another result is in the way.
    """
    path = out / result_path(result.identity)
    evidence_path = path.with_name(path.name.removesuffix(".json") + EVIDENCE_SUFFIX)
    if path.exists() and read_result(path).identity != result.identity:
        raise ResultError(
            f"{path} holds the result of a model of the same name that is set up differently.",
            remedy="Give the model another name, or move that file away.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        part = Path(folder) / evidence_path.name
        rows = write_evidence(part, result, evidence_rows, applies=applies)
        finished = result.model_copy(update={"evidence": evidence_of(part, rows, address)})
        document = Path(folder) / path.name
        document.write_bytes(canonical_json(finished))
        part.replace(evidence_path)
        document.replace(path)
    return [path, evidence_path]


def _plain(value: Mapping[str, Json]) -> dict[str, JsonValue]:
    plain: dict[str, JsonValue] = json.loads(_json(value))
    return plain


def _json(value: object) -> str:
    """JSON text; tuples and read-only mappings become lists and objects."""

    def default(other: object) -> object:
        if isinstance(other, Mapping):
            return dict(other)
        raise ResultError(f"{other!r} cannot be published: it is not JSON.")

    return json.dumps(value, allow_nan=False, default=default)
