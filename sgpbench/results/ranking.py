"""Ranks with ties: a model's rank is 1 + the number of models significantly better than it.

All pairs are tested over their common prompts (``paired``), and corrected together by Holm. The same decisions give each
model's rank interval: from 1 + the models significantly better, to all minus those significantly worse. Since all decisions
hold together with an error of at most 5 %, so do all intervals (Mogstad et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sgpbench.results.estimates import Estimates, Floats, Ints, Labels, codes_of
from sgpbench.results.intervals import Bounds, p_values
from sgpbench.results.paired import holm, reach_of

__all__ = ["Pairwise", "Rank", "compare_all", "ranks", "ranks_of"]

_PAIRS_AT_ONCE = 256
"""Their differences are held in memory at once."""


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
    clusters: Labels,
    *,
    strata: Labels | None = None,
    bounds: Bounds = (None, None),
) -> Pairwise:
    """Tests every pair of models.

    ``values``: (models, prompts), NaN where a model has no value for a prompt; ``bounds`` are those of one value.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    weight = np.asarray(weights, dtype=float)
    labels = codes_of(clusters)
    layers = np.zeros_like(labels) if strata is None else codes_of(strata)
    reach = reach_of(bounds)
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
                left, right = _pairs(rows, members[second], same=first == second)
                part = table[:, common]
                for start in range(0, left.size, _PAIRS_AT_ONCE):
                    a, b = left[start : start + _PAIRS_AT_ONCE], right[start : start + _PAIRS_AT_ONCE]
                    gaps = Estimates.of(part[a] - part[b], weight[common], labels[common], layers[common])
                    difference[a, b] = gaps.mean
                    difference[b, a] = -gaps.mean
                    p_value[a, b] = p_value[b, a] = p_values(gaps, reach)
    np.fill_diagonal(difference, 0.0)
    adjusted = np.ones((models, models))
    upper = np.triu_indices(models, 1)
    adjusted[upper] = holm(p_value[upper])
    return Pairwise(difference, p_value, np.minimum(adjusted, adjusted.T))


def _pairs(first: Ints, second: Ints, *, same: bool) -> tuple[Ints, Ints]:
    """Every pair of a model of one group and a model of another, or of two of the same group, once."""
    if same:
        left, right = np.triu_indices(first.size, 1)
        return first[left], first[right]
    return np.repeat(first, second.size), np.tile(second, first.size)


def ranks(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Labels,
    *,
    strata: Labels | None = None,
    bounds: Bounds = (None, None),
    higher_is_better: bool = True,
    level: float = 0.05,
) -> tuple[Rank, ...]:
    """The rank and rank interval of each model, in the order of the rows of ``values``: (models, prompts)."""
    pairs = compare_all(values, weights, clusters, strata=strata, bounds=bounds)
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
