"""The statistics of published numbers in one place: intervals, paired tests, Holm, ranks.

Everything takes plain arrays: a value per prompt, a weight, a cluster label, and a stratum's where the task fixed one. The
work is done in ``estimates`` (means and their errors), ``intervals``, ``paired`` (two models) and ``ranking`` (all models).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sgpbench.results.estimates import Labels
from sgpbench.results.intervals import Bounds, Interval, weighted_mean_intervals
from sgpbench.results.paired import Comparison, compare_paired, holm, prompts_needed
from sgpbench.results.ranking import Pairwise, Rank, compare_all, ranks

__all__ = [
    "Bounds",
    "Comparison",
    "Interval",
    "Pairwise",
    "Rank",
    "compare_all",
    "compare_paired",
    "holm",
    "prompts_needed",
    "ranks",
    "weighted_mean_interval",
    "weighted_mean_intervals",
]


def weighted_mean_interval(
    values_by_prompt: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Labels,
    *,
    strata: Labels | None = None,
    level: float = 0.95,
    bounds: Bounds = (None, None),
) -> Interval:
    """The weighted mean over prompts and its interval; a prompt without a value (NaN) is left out.

    ``strata`` labels what the task fixed, such as the category. ``bounds`` are the least and greatest possible value of one
    prompt. They keep the interval inside and make it honest where all drawings failed or all succeeded. See ``intervals``
    for the method.
    """
    (interval,) = weighted_mean_intervals(
        np.asarray(values_by_prompt, dtype=float)[None],
        weights,
        clusters,
        strata=strata,
        level=level,
        bounds=[bounds],
    )
    return interval
