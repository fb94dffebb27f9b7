"""The published prompts of SGP-CompBench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypedDict

from sgpbench.errors import DataError
from sgpbench.records import Json, Prompt, RubricPart
from sgpbench.tasks.texts import normalised

from .rubric import category, numeracy_rubric, single_rubric

__all__ = ["official_prompts"]


class _Count(TypedDict):
    noun: str
    count: int


class _Metadata(TypedDict, total=False):
    nouns: list[str]
    total_count: int
    object_counts: list[_Count]


class _Row(TypedDict):
    id: str
    prompt: str
    gen_type: str
    major_type: Literal["binding", "relation", "numeracy"]
    minor_type: str
    metadata: _Metadata


def official_prompts(path: Path) -> list[Prompt]:
    """All rows of the published file, in its order, under their published ids.

    A cluster holds the prompts with equal normalised text and is named for the first of them.
    """
    rows: list[_Row] = json.loads(path.read_bytes())
    clusters: dict[str, str] = {}
    prompts = []
    for row in rows:
        metadata: dict[str, Json] = {"gen_type": row["gen_type"], **row["metadata"]}  # type: ignore[dict-item]
        prompts.append(
            Prompt(
                id=row["id"],
                caption=row["prompt"],
                category=category(row["major_type"], row["minor_type"]),
                cluster=clusters.setdefault(normalised(row["prompt"]), row["id"]),
                metadata=metadata,
                rubric=_rubric(row),
            )
        )
    return prompts


def _rubric(row: _Row) -> tuple[RubricPart, ...]:
    match row["major_type"]:
        case "binding" | "relation" as kind:
            return single_rubric(kind, row["prompt"])
        case "numeracy":
            counts = [(entry["noun"], entry["count"]) for entry in row["metadata"]["object_counts"]]
            return numeracy_rubric(row["metadata"]["total_count"], counts)
    raise DataError(f"The prompt {row['id']} has the unknown major type '{row['major_type']}'.")
