"""A small run, as the pieces that ``summarise`` and ``export`` take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sgpbench.protocol import load_protocol
from sgpbench.records import Column, Json
from sgpbench.results.export import build_result, scoring_columns
from sgpbench.results.schema import Execution, Identity, Result
from sgpbench.results.summary import RunHead, summarise
from sgpbench.tasks.slices import category_slices, distinct_slice

PROTOCOL = load_protocol("v1")
VALIDITY = Column("validity", True, "samples that gave a drawing", 0.0, 1.0)
JUDGE = Column("judge[robot]", True, "a judge's score", 0.0, 100.0)
ELEMENTS = Column("structure.elements", None, "elements", 0.0, None, "omit")
COLUMNS = (VALIDITY, JUDGE, ELEMENTS)
METRICS: dict[str, tuple[dict[str, Json], tuple[Column, ...]]] = {
    "validity": ({"version": "1"}, (VALIDITY,)),
    "judge[robot]": ({"version": "1", "judge": "robot"}, (JUDGE,)),
    "structure": ({"version": "1"}, (ELEMENTS,)),
}


def samples(prompts: int = 12, per_prompt: int = 2, seed: int = 0, ability: float = 0.5) -> pd.DataFrame:
    """Samples of prompts in two categories; the first three prompts share a text."""
    rng = np.random.default_rng(seed)
    number = prompts * per_prompt
    ids = np.repeat([f"p{index:03d}" for index in range(prompts)], per_prompt)
    order = np.repeat(np.arange(prompts), per_prompt)
    ok = rng.random(number) < 0.8
    return pd.DataFrame(
        {
            "prompt_id": ids,
            "sample": np.tile(np.arange(per_prompt), prompts),
            "cluster": [f"text{max(index, 2)}" for index in order],
            "category": ["counting" if index % 2 else "binding/color" for index in order],
            "outcome": pd.Series(np.where(ok, "ok", "truncated"), dtype=object),
            "flags": pd.Series([("has_text",) if index % 5 == 0 else () for index in range(number)], dtype=object),
            "input_tokens": 10.0,
            "output_tokens": np.where(order == 0, np.nan, 20.0),
            "cost_usd": np.nan,
            "validity": ok.astype(float),
            "judge[robot]": np.where(ok, np.where(rng.random(number) < ability, 100.0, 30.0), np.nan),
            "structure.elements": np.where(ok, rng.integers(1, 9, number), np.nan),
        }
    )


def summary(table: pd.DataFrame, head: RunHead | None = None, **options: Any) -> dict[str, Json]:
    prompts = table.drop_duplicates("prompt_id")[["prompt_id", "category", "cluster"]]
    slices = [*category_slices(prompts), distinct_slice(prompts)]
    given = head or RunHead("org/model", "comp", "v1", "official", "complete", "runs/a", "judge")
    return summarise(table, slices, COLUMNS, PROTOCOL.scoring.invalid, head=given, **options)


def identity(**changes: Any) -> Identity:
    usual: dict[str, Any] = {
        "model": "org/model",
        "adapter": "openai",
        "model_args": {},
        "task": "comp",
        "task_version": 1,
        "split": "official",
        "protocol": "v1",
        "generation_hash": PROTOCOL.generation_hash("comp"),
        "scoring_hash": PROTOCOL.scoring_hash,
        "seed": 0,
        "samples": 2,
        "protocol_samples": 2,
    }
    return Identity(**{**usual, **changes})


def result(table: pd.DataFrame, execution: Execution | None = None, **changes: Any) -> Result:
    described = {}
    for name, (statement, columns) in METRICS.items():
        described.update(scoring_columns(name, statement, columns, PROTOCOL.scoring))
    own = identity(**changes)
    head = RunHead(own.model, own.task, own.protocol, own.split, "complete", "runs/a", "judge")
    return build_result(
        summary(table, head),
        identity=own,
        split_prompts=table["prompt_id"].nunique(),
        scoring=described,
        execution=execution,
        headline="judge",
    )


def evidence_rows(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Rows as a run's store gives them: raw scores, ``None`` where there is none."""
    for record in table.sort_values(["prompt_id", "sample"]).to_dict("records"):
        scores = {column.name: record[column.name] for column in COLUMNS}
        yield {
            **{name: record[name] for name in ("prompt_id", "sample", "cluster", "category", "outcome")},
            "flags": list(record["flags"]),
            "finish_reason": "stop",
            "completion": f"Here: <svg>{record['prompt_id']}</svg> ✓",
            "program": f"<svg>{record['prompt_id']}</svg>" if record["outcome"] == "ok" else None,
            **{f"score.{name}": None if np.isnan(value) else float(value) for name, value in scores.items()},
            "evidence.judge[robot]": '{"reply":"SCORE: 100"}' if record["outcome"] == "ok" else None,
        }
