"""Scores prompt by prompt, read from published evidence: what comparing and checking work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.errors import PluginError, ResultError, UsageError
from sgpbench.records import Slice
from sgpbench.results.bootstrap import Floats
from sgpbench.results.evidence import read_evidence
from sgpbench.results.schema import Identity, Result, ScoringColumn, read_result
from sgpbench.results.summary import Layout, last_valid_only, prompt_means

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PromptScores", "counted_samples", "light_evidence", "prompt_scores", "scores_of_result", "slices_of"]

_FIXED = ("prompt_id", "sample", "cluster", "category", "outcome", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class PromptScores:
    """One model on one task, prompt by prompt.

    ``prompts``: ``prompt_id, category, cluster``, sorted by id. ``values``: column → (prompts,), the mean over a prompt's
    samples as they count; NaN where a prompt has no value.
    """

    label: str
    identity: Identity
    headline: str | None
    scoring: Mapping[str, ScoringColumn]
    prompts: pd.DataFrame
    values: Mapping[str, Floats]


def slices_of(task: str, prompts: pd.DataFrame) -> Sequence[Slice]:
    """Which means a task publishes; for a task that is not installed, overall, categories and each text once."""
    from sgpbench.tasks.registry import load_task
    from sgpbench.tasks.slices import category_slices, distinct_slice

    try:
        return load_task(task).aggregate(prompts)
    except (UsageError, PluginError):
        return [*category_slices(prompts), distinct_slice(prompts)]


def counted_samples(table: pd.DataFrame, scoring: Mapping[str, ScoringColumn], layout: Layout) -> dict[str, Floats]:
    """Column → (samples,), each sample's value as it counts in the mean."""
    counted = {}
    for name, column in scoring.items():
        values = table[f"score.{name}"].to_numpy(float)
        counted[name] = (
            last_valid_only(values, layout.prompt, layout.outcomes) if column.samples == "last-valid" else values
        )
    return counted


def prompt_scores(label: str, result: Result, table: pd.DataFrame) -> PromptScores:
    """Scores by prompt from a table of evidence, sorted by prompt id and sample, scores as they count."""
    layout = Layout.of(table)
    counted = counted_samples(table, result.scoring, layout)
    first = table.drop_duplicates("prompt_id")[["prompt_id", "category", "cluster"]].reset_index(drop=True)
    values = {name: prompt_means(layout.prompt, layout.ids.size, column) for name, column in counted.items()}
    return PromptScores(label, result.identity, result.headline, result.scoring, first, values)


def scores_of_result(path: Path) -> PromptScores:
    """Scores by prompt of a published result with its evidence beside it.

    Raises:
        ResultError: the result or its evidence is missing or broken.
    """
    result = read_result(path)
    return prompt_scores(result.identity.model, result, light_evidence(path, result))


def light_evidence(path: Path, result: Result) -> pd.DataFrame:
    """The evidence beside a result without its texts: outcome, flags and scores of each sample.

    Raises:
        ResultError: there is none here, or it lacks columns; the message says where it can be had.
    """
    if result.evidence is None:
        raise ResultError(f"{path} has no evidence.", remedy="Export the run again.")
    file = path.with_name(result.evidence.file)
    if not file.is_file():
        remedy = f"Fetch it from {result.evidence.address}." if result.evidence.address else "Export the run again."
        raise ResultError(f"{file} is missing.", remedy=remedy)
    columns = [*_FIXED, *(f"score.{name}" for name in sorted(result.scoring))]
    table: pd.DataFrame = read_evidence(file, columns).to_pandas()
    return table
