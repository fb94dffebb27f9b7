"""Scores prompt by prompt, read from published evidence or from a run: what comparing and checking work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.errors import PluginError, ResultError, UsageError
from sgpbench.records import Slice
from sgpbench.results.counting import Kept, counting_of
from sgpbench.results.evidence import read_evidence
from sgpbench.results.intervals import Floats
from sgpbench.results.schema import Result, ScoringColumn, read_result
from sgpbench.results.summary import Layout, counted_scores, in_order, kept_only, prompt_means
from sgpbench.results.unfinished import in_words, unfinished_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PromptScores", "counted_samples", "light_evidence", "scores_of_result", "scores_of_run", "slices_of"]

_FIXED = ("prompt_id", "sample", "cluster", "category", "outcome", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class PromptScores:
    """One model on one task, prompt by prompt.

    ``prompts``: ``prompt_id, category, cluster``, sorted by id. ``values``: column → (prompts,), the mean over a prompt's
    samples as they count; NaN where a prompt has no value.
    """

    label: str
    """The model's name."""
    task: str
    task_version: int
    split: str
    seed: int
    protocol: str
    generation_hash: str
    scoring_hash: str
    headline: str | None
    scoring: Mapping[str, ScoringColumn]
    prompts: pd.DataFrame
    values: Mapping[str, Floats]
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Columns that have no number yet, and are not among ``scoring`` and ``values`` → how far they have come."""


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
        counted[name] = kept_only(values, layout, samples=column.samples, prompts=column.prompts)
    return counted


def scores_of_result(path: Path) -> PromptScores:
    """Scores by prompt of a published result with its evidence beside it.

    Raises:
        ResultError: the result or its evidence is missing or broken.
    """
    result = read_result(path)
    table = light_evidence(path, result)
    layout = Layout.of(table)
    identity = result.identity
    scoring = {name: column for name, column in result.scoring.items() if name not in result.unfinished}
    return PromptScores(
        label=identity.model,
        task=identity.task,
        task_version=identity.task_version,
        split=identity.split,
        seed=identity.seed,
        protocol=identity.protocol,
        generation_hash=identity.generation_hash,
        scoring_hash=identity.scoring_hash,
        headline=result.headline,
        scoring=scoring,
        prompts=_prompts(table),
        values=_values(layout, counted_samples(table, scoring, layout)),
        unfinished={name: in_words(column.model_dump()) for name, column in result.unfinished.items()},
    )


def scores_of_run(folder: Path) -> PromptScores:
    """Scores by prompt of a run, in the columns that are finished.

    Raises:
        StoreError: the folder holds no run. PluginError, UsageError, ProtocolError: its task or protocol is gone.
    """
    from sgpbench.protocol import load_protocol
    from sgpbench.results.export import scoring_columns
    from sgpbench.run.identity import read_identity, read_sources
    from sgpbench.run.store import RunView
    from sgpbench.run.table import applicable_prompts, sample_table, scored_metrics
    from sgpbench.tasks.registry import load_task

    identity = read_identity(folder)
    task_source, protocol_source = read_sources(folder)
    task, protocol = load_task(task_source), load_protocol(protocol_source)
    kept = Kept.under(protocol.scoring, task.name)
    view = RunView(folder)
    try:
        metrics = scored_metrics(view)
        table = in_order(sample_table(view, metrics))
        applies = applicable_prompts(view, metrics)
    finally:
        view.close()
    layout = Layout.of(table)
    scoring: dict[str, ScoringColumn] = {}
    for metric in metrics:
        scoring.update(scoring_columns(metric.name, metric.identity, metric.columns, protocol.scoring, kept=kept))
    columns = [column for metric in metrics for column in metric.columns]
    countings = [counting_of(column, protocol.scoring.invalid, kept) for column in columns]
    counted = {one.column.name: counted_scores(table, layout, one, applies) for one in countings}
    unfinished = unfinished_columns(table, layout, (), countings, counted.values(), applies)
    for name in unfinished:
        del scoring[name], counted[name]
    return PromptScores(
        label=identity.model,
        task=identity.task,
        task_version=identity.task_version,
        split=identity.split,
        seed=identity.seed,
        protocol=identity.protocol,
        generation_hash=identity.generation_hash,
        scoring_hash=protocol.scoring_hash,
        headline=task.headline,
        scoring=scoring,
        prompts=_prompts(table),
        values=_values(layout, counted),
        unfinished={name: in_words(found) for name, found in unfinished.items()},
    )


def _prompts(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop_duplicates("prompt_id")[["prompt_id", "category", "cluster"]].reset_index(drop=True)


def _values(layout: Layout, counted: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name: prompt_means(layout.prompt, layout.ids.size, column) for name, column in counted.items()}


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
    table: pd.DataFrame = read_evidence(file, columns, rows=result.evidence.rows).to_pandas()
    return table
