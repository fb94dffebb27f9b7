"""Small results for the site's tests: real files in the real format, with numbers by chance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results_support import PROTOCOL

from sgpbench.protocol import load_protocol
from sgpbench.records import Column, Json
from sgpbench.results.export import build_result, export, scoring_columns
from sgpbench.results.schema import Execution, Identity, Result, Verification
from sgpbench.results.summary import RunHead, summarise
from sgpbench.tasks.slices import category_slices, distinct_slice

HOSTILE = "\"'><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\u202egnp.exe</title></script>"
HOSTILE_PROGRAM = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="window.pwned=1"><script>window.pwned=1</script>'
    '<a href="javascript:window.pwned=1"><rect id="hostile-program" width="9" height="9" fill="#c00"/></a></svg>'
)
VERIFIED = Verification(status="verified", by="a reader", what="rendered and scored again", date="2026-11-01")


def table(
    prompts: int, ability: float, seed: int, categories: tuple[str, ...] = ("binding/color", "counting")
) -> pd.DataFrame:
    """One sample per prompt; the first three prompts share a text; 1 in 10 drawings fails."""
    rng = np.random.default_rng(seed)
    ok = np.arange(prompts) % 10 != 9
    return pd.DataFrame(
        {
            "prompt_id": [f"p{index:03d}" for index in range(prompts)],
            "sample": 0,
            "cluster": [f"text{max(index, 2)}" for index in range(prompts)],
            "category": [categories[index % len(categories)] for index in range(prompts)],
            "outcome": pd.Series(np.where(ok, "ok", "truncated"), dtype=object),
            "flags": pd.Series([()] * prompts, dtype=object),
            "input_tokens": 10.0,
            "output_tokens": 200.0,
            "cost_usd": 0.001,
            "validity": ok.astype(float),
            "score": np.where(ok, np.where(rng.random(prompts) < ability, 100.0, 30.0), np.nan),
        }
    )


def program(index: int, shade: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="#fff"/>'
        f'<circle cx="{20 + index % 24}" cy="32" r="14" fill="#{shade % 255:02x}70a0"/></svg>'
    )


def publish(
    folder: Path,
    model: str,
    *,
    ability: float = 0.5,
    seed: int = 0,
    task: str = "comp",
    prompts: int = 40,
    judge: str = "robot",
    verified: bool = True,
    programs: dict[str, str] | None = None,
    categories: tuple[str, ...] = ("binding/color", "counting"),
    scored: bool = True,
    split_prompts: int | None = None,
    **changes: Any,
) -> Path:
    """Writes a result with its evidence; returns the result's path."""
    samples = table(prompts, ability, seed, categories)
    name = {"comp": f"judge[{judge}]", "object": f"vqa[{judge}]", "shapes": "shapes"}[task]
    headline = name.split("[")[0]
    columns = [Column("validity", True, "samples that gave a drawing", 0.0, 1.0)]
    if scored:
        columns.append(Column(name, True, "a judge's score", 0.0, 100.0))
    scoring = {}
    for column in columns:
        scoring.update(scoring_columns(column.name, {"version": "1", "by": judge}, (column,), PROTOCOL.scoring))
    samples = samples.rename(columns={"score": name})
    head = RunHead(model, task, "v1", "official", "complete", "runs/a", headline)
    slices = [*category_slices(samples), distinct_slice(samples)]
    document: dict[str, Json] = summarise(samples, slices, columns, PROTOCOL.scoring.invalid, head=head)
    if split_prompts is not None:
        document["status"] = "partial"
    extra = {key: changes.pop(key) for key in ("model_info", "execution") if key in changes}
    result = build_result(
        document,
        identity=Identity(
            **{
                "model": model,
                "adapter": "openai",
                "model_args": {},
                "task": task,
                "task_version": 1,
                "split": "official",
                "protocol": "v1",
                "generation_hash": load_protocol("v1").generation_hash(task),
                "scoring_hash": PROTOCOL.scoring_hash,
                "seed": 0,
                "samples": 1,
                "protocol_samples": 1,
                **changes,
            }
        ),
        split_prompts=split_prompts or prompts,
        scoring=scoring,
        execution=extra.get("execution", Execution(finished="2026-11-03T10:00:00+00:00", cost_usd=0.04)),
        headline=headline,
        model_info=extra.get("model_info"),
    )
    if verified:
        result = result.model_copy(update={"verification": VERIFIED})
    return export(result, _rows(samples, result, name if scored else None, programs or {}, seed), folder)[0]


def _rows(
    samples: pd.DataFrame, result: Result, name: str | None, programs: dict[str, str], seed: int
) -> Iterator[dict[str, object]]:
    for place, record in enumerate(samples.to_dict("records")):
        drawn = record["outcome"] == "ok"
        text = programs.get(record["prompt_id"], program(place, 90 * (seed % 2))) if drawn else None
        scores: dict[str, object] = {"score.validity": record["validity"]}
        if name is not None:
            scores[f"score.{name}"] = None if np.isnan(record[name]) else float(record[name])
        fixed = {key: record[key] for key in ("prompt_id", "sample", "cluster", "category", "outcome")}
        yield {**fixed, "flags": [], "finish_reason": "stop", "completion": text or "", "program": text, **scores}


def usual_results(folder: Path) -> Path:
    """Four models: a clear best one, two that nothing tells apart, one that nobody verified; and a baseline."""
    known = {"provider": "Arbor", "weights": "closed", "title": "Alder 2"}
    publish(folder, "alder-2", ability=0.95, seed=1, model_info=known)
    publish(
        folder,
        "quill-7b",
        ability=0.4,
        seed=2,
        model_info={"provider": "Quillworks", "weights": "open", "parameters_b": 7.6},
    )
    publish(
        folder,
        "quill-72b",
        ability=0.4,
        seed=3,
        model_info={"provider": "Quillworks", "weights": "open", "parameters_b": 72.0},
    )
    publish(
        folder,
        "unchecked",
        ability=0.9,
        seed=4,
        verified=False,
        execution=Execution(started="2026-10-01T00:00:00+00:00"),
    )
    publish(folder, "baseline/blank", ability=0.0, seed=5, adapter="baseline")
    publish(folder, "quill-7b", task="object", scored=False, seed=6)
    return folder


def hostile_results(folder: Path) -> Path:
    """Results in which every text that a stranger can choose is an attack."""
    info: dict[str, Json] = {"provider": HOSTILE, "weights": HOSTILE, "homepage": "javascript:window.pwned=1", "title": HOSTILE,
                             "licence": HOSTILE, "footnote": HOSTILE, "parameters_b": 3.0}  # fmt: skip
    execution = Execution(
        finished=HOSTILE, command=HOSTILE, commit=HOSTILE, versions={HOSTILE: HOSTILE}, host={HOSTILE: HOSTILE},
        served_by=[HOSTILE], dropped=[HOSTILE], latency_s={HOSTILE: 1.0}, price_date=HOSTILE, cost_usd=1.0,
    )  # fmt: skip
    programs = {f"p{index:03d}": HOSTILE_PROGRAM for index in range(20)}
    publish(
        folder, f"evil/{HOSTILE}", programs=programs, model_info=info, execution=execution, model_args={HOSTILE: HOSTILE},
        judge=HOSTILE, categories=(f"{HOSTILE}/a", "__proto__"),
    )  # fmt: skip
    publish(
        folder, "n" * 10_000, seed=1, judge=HOSTILE, model_info={"title": "W" * 10_000, "homepage": "data:text/html,x"}
    )
    publish(folder, "\u202e\u2066reversed\u200f", seed=2, judge=HOSTILE)
    publish(folder, "__proto__", seed=3, judge=HOSTILE)
    return folder
