"""Two models side by side: which is better, where, how surely, and how many prompts would tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgpbench.errors import ResultError, UsageError, unknown_name
from sgpbench.records import Json, Slice
from sgpbench.results.counting import metric_of
from sgpbench.results.intervals import Floats
from sgpbench.results.naming import model_folder
from sgpbench.results.paired import Comparison, compare_paired
from sgpbench.results.schema import ScoringColumn
from sgpbench.results.scores import PromptScores, scores_of_result, scores_of_run, slices_of

__all__ = ["ColumnComparison", "SliceComparison", "comparable_columns", "compare", "load_scores", "to_document"]


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """Two models in one slice, over their common prompts."""

    name: str
    kind: str
    first_mean: float
    second_mean: float
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """Two models in one column of one task."""

    task: str
    column: str
    higher_is_better: bool
    first: str
    second: str
    slices: tuple[SliceComparison, ...]
    notes: tuple[str, ...]
    """What a reader must know: other prompts, other protocols."""


def load_scores(name: str, results: Path, task: str | None = None) -> list[PromptScores]:
    """Scores by prompt of everything that ``name`` means: a result file, a run's directory, or a model under ``results``.

    Of a model all its tasks are loaded, or ``task`` alone.

    Raises:
        UsageError: there is no such thing, or nothing of that task. ResultError, StoreError: it cannot be read.
    """
    path = Path(name)
    if path.is_file():
        found = [scores_of_result(path)]
    elif (path / "spec.json").is_file():
        found = [scores_of_run(path)]
    else:
        found = [scores_of_result(file) for file in _model_files(name, results)]
    chosen = [scores for scores in found if task in (None, scores.task)]
    if not chosen:
        raise UsageError(f"'{name}' has no result on the task '{task}'.")
    return chosen


def _model_files(model: str, results: Path) -> list[Path]:
    folder = results / model_folder(model)
    files = sorted(folder.glob("*@*.json"))
    if not files:
        known = (
            {str(file.parent.relative_to(results)) for file in results.rglob("*@*.json")} if results.is_dir() else ()
        )
        raise unknown_name("result file, run or model", model, known, listing=f"ls {results}")
    return files


def compare(
    first: Sequence[PromptScores],
    second: Sequence[PromptScores],
    *,
    columns: Sequence[str] = (),
) -> list[ColumnComparison]:
    """Compares two models in every task that both have, in the task's headline columns or those given.

    Raises:
        UsageError: they have no task, or no column, in common.
    """
    compared: list[ColumnComparison] = []
    reasons: list[str] = []
    for one, other in _pairs(first, second):
        chosen, why = _chosen_columns(one, other, columns)
        reasons += why
        compared += [_compare_column(one, other, name) for name in chosen]
    if not compared:
        labels = f"{first[0].label} and {second[0].label}"
        raise UsageError(f"{labels} have nothing to compare. {' '.join(reasons)}".strip())
    return compared


def _pairs(
    first: Sequence[PromptScores], second: Sequence[PromptScores]
) -> Iterator[tuple[PromptScores, PromptScores]]:
    """Results over the same prompts: task, version, split, seed of generated ones; of the same protocol where there are."""
    for one in first:
        alike = [other for other in second if _same_prompts(one, other)]
        same = [other for other in alike if other.protocol == one.protocol]
        for other in (same or alike)[:1]:
            yield one, other


def _same_prompts(one: PromptScores, other: PromptScores) -> bool:
    if (one.task, one.task_version, one.split) != (other.task, other.task_version, other.split):
        return False
    return one.split == "official" or one.seed == other.seed


def comparable_columns(one: PromptScores, other: PromptScores) -> list[str]:
    """The columns with a better and a worse that both have, made in the same way."""
    return [
        name
        for name, scoring in one.scoring.items()
        if scoring.higher_is_better is not None and name in other.scoring and _made_alike(one, other, name)
    ]


def _made_alike(one: PromptScores, other: PromptScores, name: str) -> bool:
    def made(scoring: ScoringColumn) -> dict[str, object]:
        return scoring.model_dump(exclude={"description"})

    return one.scoring_hash == other.scoring_hash and made(one.scoring[name]) == made(other.scoring[name])


def _chosen_columns(one: PromptScores, other: PromptScores, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns to compare, and why others are not."""
    shared = comparable_columns(one, other)
    reasons = [
        f"On {one.task}, '{name}' was scored in different ways."
        for name in one.scoring
        if name in other.scoring and not _made_alike(one, other, name)
    ][:1]
    reasons += list(_unfinished(one, other))
    if wanted:
        for name in wanted:
            if name in one.unfinished or name in other.unfinished:
                continue
            if name not in one.scoring and name not in other.scoring:
                reasons.append(f"On {one.task}, there is no column '{name}'.")
        return [name for name in wanted if name in shared], reasons
    headline = [name for name in shared if metric_of(name) == one.headline and "." not in name.split("]")[-1]]
    return headline or shared, reasons


def _compare_column(one: PromptScores, other: PromptScores, name: str) -> ColumnComparison:
    scoring = one.scoring[name]
    left, right = one.prompts.set_index("prompt_id"), other.prompts.set_index("prompt_id")
    common = left.index.intersection(right.index, sort=True)
    if common.empty:
        raise ResultError(f"{one.label} and {other.label} have no prompt of {one.task} in common.")
    first = one.values[name][left.index.get_indexer(common)]
    second = other.values[name][right.index.get_indexer(common)]
    clusters = left.loc[common, "cluster"].to_numpy(object)
    categories = left.loc[common, "category"].to_numpy(object)
    place = {str(prompt_id): index for index, prompt_id in enumerate(common)}
    parts = []
    for part in slices_of(one.task, left.loc[common].reset_index()):
        found = _compare_slice(part, place, first, second, clusters, categories, scoring)
        if found is not None:
            parts.append(found)
    return ColumnComparison(
        task=one.task,
        column=name,
        higher_is_better=bool(scoring.higher_is_better),
        first=one.label,
        second=other.label,
        slices=tuple(parts),
        notes=tuple(_notes(one, other, len(common))),
    )


def _compare_slice(
    part: Slice,
    place: Mapping[str, int],
    first: Floats,
    second: Floats,
    clusters: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    categories: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    scoring: ScoringColumn,
) -> SliceComparison | None:
    inside = sorted((place[prompt_id], weight) for prompt_id, weight in part.weights.items() if prompt_id in place)
    indices = np.array([index for index, _ in inside], dtype=np.int64)
    weights = np.array([weight for _, weight in inside])
    here = ~np.isnan(first[indices]) & ~np.isnan(second[indices])
    if not here.any():
        return None
    indices, weights = indices[here], weights[here]
    comparison = compare_paired(
        first[indices],
        second[indices],
        weights,
        clusters[indices],
        strata=categories[indices],
        bounds=(scoring.low, scoring.high),
    )
    if scoring.higher_is_better is False:
        comparison = replace(comparison, wins=comparison.losses, losses=comparison.wins)
    total = weights.sum()
    return SliceComparison(
        name=part.name,
        kind=part.kind,
        first_mean=float(first[indices] @ weights / total),
        second_mean=float(second[indices] @ weights / total),
        comparison=comparison,
    )


def _unfinished(one: PromptScores, other: PromptScores) -> Iterator[str]:
    for scores in (one, other):
        for name, words in scores.unfinished.items():
            if metric_of(name) == scores.headline or metric_of(name) == "validity":
                yield f"On {scores.task}, '{name}' of {scores.label} has no number yet: {words}."


def _notes(one: PromptScores, other: PromptScores, common: int) -> Iterator[str]:
    if one.generation_hash != other.generation_hash:
        yield f"The models were asked in different ways ({one.protocol}, {other.protocol})."
    yield from _unfinished(one, other)
    for scores in (one, other):
        if len(scores.prompts) > common:
            yield f"Only {common:,} of {len(scores.prompts):,} prompts of {scores.label} are common to both."
    if one.split != "official":
        yield f"The split is {one.split}, not official."


def to_document(comparisons: Sequence[ColumnComparison]) -> dict[str, Json]:
    """The document that ``--json`` prints."""
    return {
        "comparisons": [
            {
                "task": one.task,
                "column": one.column,
                "higher_is_better": one.higher_is_better,
                "a": one.first,
                "b": one.second,
                "slices": [_slice_document(part) for part in one.slices],
                "notes": list(one.notes),
            }
            for one in comparisons
        ]
    }


def _slice_document(part: SliceComparison) -> dict[str, Json]:
    found = part.comparison
    return {
        "name": part.name,
        "kind": part.kind,
        "mean_a": part.first_mean,
        "mean_b": part.second_mean,
        "difference": found.difference,
        "ci95": [found.low, found.high] if math.isfinite(found.low) and math.isfinite(found.high) else None,
        "p_value": found.p_value,
        "n": found.n,
        "clusters": found.clusters,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "prompts_needed": found.prompts_needed,
    }
