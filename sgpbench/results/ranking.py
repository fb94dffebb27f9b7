"""Ranks with ties: a model's rank is 1 + the number of models significantly better than it.

All pairs are tested over their common prompts by flipping signs of clusters, and corrected together by Holm. The same
decisions give each model's rank interval: from 1 + the models significantly better, to all minus those significantly worse.
Since all decisions hold together with an error of at most 5 %, so do all intervals (Mogstad et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sgpbench.results.bootstrap import Design, Floats
from sgpbench.results.paired import holm, resolve_tails, sign_flip_patterns

__all__ = ["Pairwise", "Rank", "compare_all", "ranks", "ranks_of"]


@dataclass(frozen=True, slots=True)
class Rank:
    """A model's rank (1 is best) and the interval of ranks that the data leave open."""

    rank: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, eq=False)
class Pairwise:
    """All pairs of models; arrays (models, models). NaN difference and p = 1 where two have no prompt in common."""

    difference: Floats
    """Row's weighted mean minus column's, over their common prompts."""
    p_value: Floats
    adjusted: Floats
    """By Holm over all pairs."""


def compare_all(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Sequence[str] | npt.ArrayLike,
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Pairwise:
    """Tests every pair of models. ``values``: (models, prompts), NaN where a model has no value for a prompt."""
    table = np.atleast_2d(np.asarray(values, dtype=float))
    weight = np.asarray(weights, dtype=float)
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1].reshape(-1)
    models = len(table)
    difference = np.full((models, models), np.nan)
    p_value = np.ones((models, models))
    present = ~np.isnan(table)
    patterns, group_of = np.unique(present, axis=0, return_inverse=True)
    group_of = group_of.reshape(-1)
    members = [np.flatnonzero(group_of == group) for group in range(len(patterns))]
    for first, rows in enumerate(members):
        for second in range(first, len(members)):
            common = patterns[first] & patterns[second]
            if common.any():
                both = rows if first == second else np.concatenate((rows, members[second]))
                left, right = np.triu_indices(both.size, 1)
                if first != second:
                    across = (left < rows.size) & (right >= rows.size)
                    left, right = left[across], right[across]
                part = table[np.ix_(both, common)]
                gaps, p_values = _test_pairs(part, weight[common], labels[common], left, right, resamples, seed)
                difference[both[left], both[right]] = gaps
                difference[both[right], both[left]] = -gaps
                p_value[both[left], both[right]] = p_value[both[right], both[left]] = p_values
    np.fill_diagonal(difference, 0.0)
    adjusted = np.ones((models, models))
    upper = np.triu_indices(models, 1)
    adjusted[upper] = holm(p_value[upper])
    return Pairwise(difference, p_value, np.minimum(adjusted, adjusted.T))


def _test_pairs(
    values: Floats,
    weights: Floats,
    labels: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Differences and p-values of pairs of rows. Flipping is linear, so models are flipped once and then subtracted."""
    design = Design.of(weights, labels)
    # Relative to the mean model: differences are the same, and their rounding errors smaller.
    sums = np.asarray(design.sum_of @ (values - values.mean(axis=0)).T)
    gaps = sums.sum(axis=0)[left] - sums.sum(axis=0)[right]
    patterns, complete = sign_flip_patterns(len(sums), resamples, seed)
    observed = np.abs(gaps) * (1 - 1e-9) - 1e-12 * np.abs(sums).sum(axis=0).max(initial=0.0)
    beyond = np.zeros(left.size, dtype=np.int64)
    step = max(1, 4_000_000 // max(len(sums), left.size))
    for start in range(0, len(patterns), step):
        flipped = patterns[start : start + step].astype(float) @ sums
        beyond += np.count_nonzero(np.abs(flipped[:, left] - flipped[:, right]) >= observed, axis=0)
    p_values = np.empty(left.size)
    for start in range(0, left.size, 1024):
        part = slice(start, start + 1024)
        p_values[part] = resolve_tails(
            beyond[part], len(patterns), complete, sums[:, left[part]] - sums[:, right[part]]
        )
    return gaps / weights.sum(), p_values


def ranks(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Sequence[str] | npt.ArrayLike,
    *,
    higher_is_better: bool = True,
    level: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Rank, ...]:
    """The rank and rank interval of each model, in the order of the rows of ``values``: (models, prompts)."""
    pairs = compare_all(values, weights, clusters, resamples=resamples, seed=seed)
    return ranks_of(pairs, higher_is_better=higher_is_better, level=level)


def ranks_of(pairs: Pairwise, *, higher_is_better: bool = True, level: float = 0.05) -> tuple[Rank, ...]:
    """The same from comparisons that are already made, in their order."""
    decided = pairs.adjusted < level
    gap = np.where(np.isnan(pairs.difference), 0.0, pairs.difference if higher_is_better else -pairs.difference)
    better = (decided & (gap < 0)).sum(axis=1)
    worse = (decided & (gap > 0)).sum(axis=1)
    return tuple(
        Rank(1 + int(above), 1 + int(above), len(gap) - int(below)) for above, below in zip(better, worse, strict=True)
    )
