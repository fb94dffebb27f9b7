"""From one row per sample to the numbers of a run: counts, means, intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sgpbench.records import Column, Json, Outcome, Slice
from sgpbench.results.counting import ALL, Counting, Kept, counting_of, metric_of
from sgpbench.results.intervals import Floats, Interval, weighted_mean_intervals
from sgpbench.results.unfinished import unfinished_columns

if TYPE_CHECKING:
    import pandas as pd

    from sgpbench.protocol import InvalidRule

__all__ = [
    "Layout",
    "RunHead",
    "counted_scores",
    "in_order",
    "kept_only",
    "last_of_cluster_only",
    "last_valid_only",
    "numbers",
    "prompt_means",
    "summarise",
]

_DIGITS = 8


@dataclass(frozen=True, slots=True)
class RunHead:
    """What a summary says of the run besides its numbers."""

    model: str
    task: str
    protocol: str
    split: str
    status: Literal["complete", "incomplete", "partial"]
    path: str = ""
    headline: str | None = None
    """The metric by which the task ranks models; where it is missing, ``skipped`` says what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Samples and their prompts as numbers. Samples are sorted by prompt id and sample index."""

    prompt: npt.NDArray[np.int64]
    """(samples,) index of the prompt."""
    outcomes: npt.NDArray[np.object_]
    """(samples,) names; ``None`` while pending."""
    ids: npt.NDArray[np.object_]
    """(prompts,) sorted."""
    clusters: npt.NDArray[np.int64]
    """(prompts,)."""
    categories: npt.NDArray[np.int64]
    """(prompts,); the task fixed how many prompts each has."""

    @classmethod
    def of(cls, ordered: pd.DataFrame) -> Layout:
        """The layout of a table of samples that is sorted by prompt id and sample index."""
        ids, first, prompt = np.unique(ordered["prompt_id"].to_numpy(object), return_index=True, return_inverse=True)
        clusters = np.unique(ordered["cluster"].to_numpy(object)[first], return_inverse=True)[1]
        categories = np.unique(ordered["category"].to_numpy(object)[first], return_inverse=True)[1]
        outcomes = np.array([name if isinstance(name, str) else None for name in ordered["outcome"]], dtype=object)
        return cls(prompt, outcomes, ids, clusters, categories)


def summarise(
    samples: pd.DataFrame,
    slices: Sequence[Slice],
    columns: Sequence[Column],
    invalid: InvalidRule,
    *,
    head: RunHead,
    skipped: Mapping[str, str] | None = None,
    applies: Mapping[str, Collection[str]] | None = None,
    kept: Kept = ALL,
) -> dict[str, Json]:
    """The document that ``--json`` prints for one run.

    A prompt's value is the mean over its samples that count; a published number is the weighted mean over the prompts of
    a slice that have a value. Intervals heed clusters and categories (``intervals``). Beside each number where failures count 0
    stands ``valid_only``, the same over valid drawings alone. A column of which a sample is still pending has no number:
    it stands under ``unfinished``, with how many of its samples are settled.

    Args:
        samples: One row per wanted sample: ``prompt_id, sample, cluster, category, outcome`` (``None`` while pending),
            ``flags``, a column of scores per ``columns`` (NaN where a drawing has none) and one of whether each is settled
            (``run.table.SETTLED``), ``input_tokens, output_tokens, cost_usd`` (NaN where unknown).
        slices: What is published; prompts of a slice that were not asked for are left out.
        columns: The scores that were computed.
        invalid: The protocol's ``scoring.invalid``.
        head: What else the document says.
        skipped: Metric → why it is missing and what to do.
        applies: Column or metric → the ids of prompts that can have a value; others are never counted as 0.
        kept: Metrics of which not every sample or prompt counts.
    """
    ordered = in_order(samples)
    layout = Layout.of(ordered)
    countings = [counting_of(column, invalid, kept) for column in columns]

    def counted(chosen: Sequence[Counting]) -> Iterator[Floats]:
        return (counted_scores(ordered, layout, counting, applies or {}) for counting in chosen)

    unfinished = unfinished_columns(ordered, layout, slices, countings, counted(countings), applies or {})
    finished = [counting for counting in countings if counting.column.name not in unfinished]
    metrics = numbers(layout, slices, finished, counted(finished))
    known = [outcome for outcome in layout.outcomes if outcome is not None]
    return {
        "path": head.path,
        "model": head.model,
        "task": head.task,
        "protocol": head.protocol,
        "split": head.split,
        "status": head.status,
        "prompts": int(layout.ids.size),
        "clusters": int(np.unique(layout.clusters).size),
        "samples": len(known),
        "outcomes": _counts(known, [str(outcome) for outcome in Outcome]),
        "flags": _counts([flag for flags in ordered["flags"] for flag in flags], []),
        "metrics": metrics,
        "unfinished": unfinished,
        "skipped": _skipped(head, columns, {*metrics, *unfinished}, skipped or {}),
        "usage": {name: _total(ordered, name) for name in ("input_tokens", "output_tokens", "cost_usd")},
    }


def in_order(samples: pd.DataFrame) -> pd.DataFrame:
    """A table of samples sorted by prompt id and sample index; the same one, where it is."""
    ids, numbers = samples["prompt_id"].to_numpy(object), samples["sample"].to_numpy()
    same = ids[1:] == ids[:-1]
    if ((ids[1:] > ids[:-1]) | (same & (numbers[1:] >= numbers[:-1]))).all():
        return samples
    return samples.sort_values(["prompt_id", "sample"], kind="stable")


def prompt_means(
    prompt: npt.NDArray[np.int64], prompts: int, counted: Floats, keep: npt.NDArray[np.bool_] | None = None
) -> Floats:
    """Mean of each prompt's counted samples, (prompts,); NaN for a prompt that has none.

    ``prompt``: (samples,) index of each sample's prompt. ``counted``: (samples,), NaN where a sample does not count.
    ``keep``: further restricts the samples.
    """
    use = ~np.isnan(counted)
    if keep is not None:
        use &= keep
    sums = np.bincount(prompt[use], counted[use], minlength=prompts)
    samples = np.bincount(prompt[use], minlength=prompts)
    means = np.full(prompts, np.nan)
    np.divide(sums, samples, out=means, where=samples > 0)
    return means


def counted_scores(
    ordered: pd.DataFrame, layout: Layout, counting: Counting, applies: Mapping[str, Collection[str]]
) -> Floats:
    """(samples,), each sample's value of one column as it counts in the mean; NaN where it does not."""
    name = counting.column.name
    among = counting.applies_to(applies)
    fits = np.ones(layout.ids.size, dtype=bool) if among is None else np.isin(layout.ids, list(among))
    values = counting.counted(ordered[name].to_numpy(float), layout.outcomes, fits[layout.prompt])
    return kept_only(values, layout, samples=counting.samples, prompts=counting.prompts)


def kept_only(counted: Floats, layout: Layout, *, samples: str, prompts: str) -> Floats:
    """(samples,), NaN where a column's rule leaves a sample out: see ``Counting``."""
    if samples == "last-valid":
        counted = last_valid_only(counted, layout.prompt, layout.outcomes)
    return last_of_cluster_only(counted, layout) if prompts == "last-of-cluster" else counted


def last_of_cluster_only(counted: Floats, layout: Layout) -> Floats:
    """Keeps of every cluster only the samples of its last prompt, by id, that has a value."""
    has_value = np.zeros(layout.ids.size, dtype=bool)
    has_value[layout.prompt[~np.isnan(counted)]] = True
    last: npt.NDArray[np.int64] = np.full(int(layout.clusters.max(initial=-1)) + 1, -1)
    last[layout.clusters[has_value]] = np.flatnonzero(has_value)
    return np.where(last[layout.clusters[layout.prompt]] == layout.prompt, counted, np.nan)


def last_valid_only(counted: Floats, prompt: npt.NDArray[np.int64], outcomes: npt.NDArray[np.object_]) -> Floats:
    """Keeps of every prompt only its last valid sample that has a value; samples are sorted within prompts."""
    valid = np.flatnonzero((outcomes == str(Outcome.OK)) & ~np.isnan(counted))
    last: npt.NDArray[np.int64] = np.full(int(prompt.max(initial=-1)) + 1, -1)
    last[prompt[valid]] = valid
    kept = np.full(counted.shape, np.nan)
    chosen = last[last >= 0]
    kept[chosen] = counted[chosen]
    return kept


def numbers(
    layout: Layout,
    slices: Sequence[Slice],
    countings: Sequence[Counting],
    counted: Iterable[Floats],
) -> dict[str, Json]:
    """The ``metrics`` of a run document: column → its numbers overall, by category and in variants.

    ``counted``: per column (samples,), each sample's value as it counts; NaN where it does not.
    """
    prompts = layout.ids.size
    means, valid_means = np.full((2, len(countings), prompts), np.nan)
    valid = layout.outcomes == str(Outcome.OK)
    for row, values in enumerate(counted):
        means[row] = prompt_means(layout.prompt, prompts, values)
        valid_means[row] = prompt_means(layout.prompt, prompts, values, valid)
    present = [row for row in range(len(countings)) if not np.isnan(means[row]).all()]
    bounds = [(countings[row].column.low, countings[row].column.high) for row in present]
    place = {str(prompt_id): index for index, prompt_id in enumerate(layout.ids)}
    documents: dict[str, dict[str, Json]] = {}
    groups: dict[str, tuple[dict[str, Json], dict[str, Json]]] = {}
    for part in slices:
        inside = [(place[prompt_id], weight) for prompt_id, weight in part.weights.items() if prompt_id in place]
        if not inside or not present:
            continue
        # In the order of the prompts, whatever the order in the slice: sums of floats depend on it.
        indices = np.array([index for index, _ in inside])
        weights = np.array([weight for _, weight in inside], dtype=float)[np.argsort(indices)]
        indices = np.sort(indices)
        intervals = weighted_mean_intervals(
            means[present][:, indices],
            weights,
            layout.clusters[indices],
            strata=layout.categories[indices],
            bounds=bounds,
        )
        for row, interval in zip(present, intervals, strict=True):
            if interval.n == 0:
                continue
            counting = countings[row]
            name = counting.column.name
            entry = _number(interval)
            if counting.invalid == "zero":
                entry["valid_only"] = _valid_only(valid_means[row][indices], weights)
            if part.kind == "overall":
                categories, variants = groups.setdefault(name, ({}, {}))
                head = {"higher_is_better": counting.column.higher_is_better}
                documents[name] = {**entry, **head, "categories": categories, "variants": variants}
            else:
                groups.setdefault(name, ({}, {}))[part.kind == "variant"][part.name] = entry
    return {name: documents[name] for name in (c.column.name for c in countings) if name in documents}


def _number(interval: Interval) -> dict[str, Json]:
    interval_known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return {
        "mean": _rounded(interval.mean),
        "ci95": [_rounded(interval.low), _rounded(interval.high)] if interval_known else None,
        "n": interval.n,
        "clusters": interval.clusters,
    }


def _valid_only(means: Floats, weights: Floats) -> Json:
    use = ~np.isnan(means)
    if not use.any():
        return None
    return {"mean": _rounded(float(means[use] @ weights[use] / weights[use].sum())), "n": int(use.sum())}


def _rounded(value: float) -> float:
    """To 8 significant digits, so that a last bit of a sum never shows."""
    return float(f"{value:.{_DIGITS}g}") + 0.0


def _counts(values: Sequence[str], order: Sequence[str]) -> dict[str, Json]:
    """How often each value occurs, in the given order, others after it by name; those that do not occur are left out."""
    found = Counter(values)
    names = [name for name in order if name in found] + sorted(set(found) - set(order))
    return {name: found[name] for name in names}


def _total(samples: pd.DataFrame, name: str) -> Json:
    """Sum of what is known; ``None`` where nothing is."""
    values = samples[name].to_numpy(float) if name in samples else np.array([])
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    return _rounded(math.fsum(known)) if name == "cost_usd" else int(known.sum())


def _skipped(
    head: RunHead, columns: Sequence[Column], with_values: Collection[str], given: Mapping[str, str]
) -> dict[str, Json]:
    skipped: dict[str, Json] = dict(given)
    for column in columns:
        if column.name not in with_values:
            skipped.setdefault(column.name, "no drawing has a value")
    headline = head.headline
    if headline and headline not in skipped and all(metric_of(column.name) != headline for column in columns):
        where = head.path or "RUN"
        skipped[headline] = (
            f"not judged: sgpbench score {where} --judge MODEL"
            if headline == "judge"
            else f"not computed: sgpbench score {where} --metrics {headline}"
        )
    return skipped
