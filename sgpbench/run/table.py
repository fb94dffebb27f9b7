"""What a run holds, as a table for statistics and as rows of evidence."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from sgpbench.records import Column, Json, Outcome
from sgpbench.run.store import RunView, group_key, score_key

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SETTLED",
    "ScoredMetric",
    "applicable_prompts",
    "evidence_rows",
    "prompt_table",
    "sample_table",
    "scored_metrics",
]

SETTLED = "settled."
"""Before a score column's name: the column that says of each sample whether that score needs nothing more."""
_USED = ("input_tokens", "output_tokens", "cost_usd", "latency_s")


@dataclass(frozen=True, slots=True)
class ScoredMetric:
    """A metric that has scored a run, as the run remembers it."""

    hash: str
    name: str
    unit: str
    needs: frozenset[str]
    identity: Mapping[str, Json]
    columns: tuple[Column, ...]


def scored_metrics(view: RunView) -> list[ScoredMetric]:
    """The metrics whose scores stand for this run: of each name the one that was used last."""
    current: dict[str, str] = json.loads(view.setting("metrics") or "{}")
    return [
        ScoredMetric(
            row["hash"],
            row["name"],
            row["unit"],
            frozenset(json.loads(row["needs"])),
            json.loads(row["identity"]),
            tuple(Column(**column | {"needs": tuple(column["needs"])}) for column in json.loads(row["columns"])),
        )
        for row in view.metrics()
        if current.get(row["name"]) == row["hash"]
    ]


def prompt_table(view: RunView) -> pd.DataFrame:
    """One row per prompt asked for: ``prompt_id, category, cluster``, in the task's order."""
    import pandas as pd

    rows = [(row["id"], row["category"], row["cluster"]) for row in view.prompts()]
    return pd.DataFrame(rows, columns=["prompt_id", "category", "cluster"])


def applicable_prompts(view: RunView, metrics: list[ScoredMetric]) -> dict[str, set[str]]:
    """Column → the ids of prompts that can have a value in it, for columns that not all prompts have."""
    traits = {row["id"]: set(json.loads(row["traits"])) for row in view.prompts()}
    return {
        column.name: {prompt for prompt, has in traits.items() if needs <= has}
        for metric in metrics
        for column in metric.columns
        if (needs := (metric.needs - {"invalid"}) | set(column.needs))
    }


def _outcome(row: sqlite3.Row) -> Outcome | None:
    extracted = Outcome(row["extracted"])
    if extracted is not Outcome.OK:
        return extracted
    return Outcome(row["rendered"]) if row["rendered"] else None


def _key(row: sqlite3.Row) -> str | None:
    outcome = _outcome(row)
    return score_key(row["rendering"], outcome, parsed=bool(row["parsed"])) if outcome is not None else None


def sample_table(view: RunView, metrics: list[ScoredMetric]) -> pd.DataFrame:
    """One row per wanted sample, sorted by prompt id and sample; ``outcome`` is ``None`` where it is still pending.

    Columns: ``prompt_id, sample, cluster, category, outcome, flags`` (tuple of names), ``input_tokens, output_tokens,
    cost_usd, latency_s``, one float column per score column (NaN where a drawing has no value), and for each of these a
    bool column ``settled.NAME``: whether that score needs nothing more (scored, or failed through the
    model's own doing).
    """
    import numpy as np
    import pandas as pd

    # Prompt by prompt, and one block for all numbers: a large run must not need more memory than its table.
    renderer = view.setting("renderer") or ""
    wanted = int(view.setting("samples") or 1)
    prompts = sorted(view.prompts(), key=itemgetter("id"))
    place = {row["id"]: number * wanted for number, row in enumerate(prompts)}
    size = len(prompts) * wanted
    outcomes: list[str | None] = [None] * size
    flags: list[tuple[str, ...]] = [()] * size
    names = [*_USED, *(column.name for metric in metrics for column in metric.columns)]
    block = np.full((len(names), size), np.nan)
    numbers = dict(zip(names, block, strict=True))
    settled = {metric.name: np.zeros(size, dtype=bool) for metric in metrics}
    for prompt_id, rows in groupby(view.light_rows(renderer), key=itemgetter("prompt_id")):
        if prompt_id not in place:
            continue
        by_key: dict[str, list[int]] = {}
        drawn = []
        failed = []
        for row in rows:
            if row["sample"] >= wanted:
                continue
            index = place[prompt_id] + row["sample"]
            outcome = _outcome(row)
            outcomes[index] = outcome.value if outcome else None
            flags[index] = tuple(map(sys.intern, json.loads(row["flags"]))) if row["flags"] else ()
            for name in _USED:
                if row[name] is not None:
                    numbers[name][index] = row[name]
            if key := _key(row):
                by_key.setdefault(key, []).append(index)
            if outcome is Outcome.OK:
                drawn.append(row["rendering"])
            elif outcome is not None and not outcome.is_ours:
                failed.append(index)
        if drawn:
            by_key[group_key(drawn)] = list(range(place[prompt_id], place[prompt_id] + wanted))
        for metric in metrics:
            if "invalid" not in metric.needs:
                settled[metric.name][failed] = True
            for key, value in view.prompt_scores(metric.hash, prompt_id):
                if key not in by_key:
                    continue
                settled[metric.name][by_key[key]] = True
                for name, number in json.loads(value).items():
                    numbers[name][by_key[key]] = number
    for failure in view.failures("generate"):
        if failure["prompt_id"] in place and failure["sample"] < wanted:
            index = place[failure["prompt_id"]] + failure["sample"]
            outcomes[index] = outcomes[index] or failure["outcome"]

    def each(name: str) -> object:
        # One string per prompt, not one per sample.
        return np.repeat(np.array([row[name] for row in prompts], dtype=object), wanted)

    head = pd.DataFrame(
        {
            "prompt_id": each("id"),
            "sample": np.tile(np.arange(wanted), len(prompts)),
            "cluster": each("cluster"),
            "category": each("category"),
            "outcome": pd.Series(outcomes, dtype=object),
            "flags": pd.Series(flags, dtype=object),
        }
    )
    marks = {SETTLED + column.name: settled[metric.name] for metric in metrics for column in metric.columns}
    return pd.concat([head, pd.DataFrame(block.T, columns=names, copy=False), pd.DataFrame(marks)], axis=1)


def evidence_rows(view: RunView, metrics: list[ScoredMetric]) -> Iterator[dict[str, object]]:
    """Evidence, sample by sample, sorted by prompt id and sample; see ``results.export`` for the columns."""
    renderer = view.setting("renderer") or ""
    wanted = int(view.setting("samples") or 1)
    groups = {prompt: group_key(keys) for prompt, keys in view.drawn(renderer).items()}
    for row in view.evidence_rows(renderer):
        outcome = _outcome(row)
        if row["sample"] >= wanted or outcome is None:
            continue
        record: dict[str, object] = {
            "prompt_id": row["prompt_id"],
            "sample": row["sample"],
            "cluster": row["cluster"],
            "category": row["category"],
            "outcome": str(outcome),
            "flags": json.loads(row["flags"] or "[]"),
            "finish_reason": row["finish_reason"],
            "completion": row["completion"],
            "program": row["svg"],
        }
        for metric in metrics:
            found = view.score(metric.hash, row["prompt_id"], _key(row) or "")
            if found is None and row["prompt_id"] in groups:
                found = view.score(metric.hash, row["prompt_id"], groups[row["prompt_id"]])
            values = json.loads(found[0]) if found else {}
            record.update({f"score.{column.name}": values.get(column.name) for column in metric.columns})
            record[f"evidence.{metric.name}"] = found[1] if found and found[1] != "{}" else None
        yield record
