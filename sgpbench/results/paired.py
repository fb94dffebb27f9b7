"""Two models over the prompts they have in common: difference, interval, p-value, and how many prompts would decide it.

The hypothesis is that the two have equal means, and nothing more. Flipping signs of differences, the usual choice, also
takes them to be symmetric: where one model always has 3 and the other now and then 100, it rejects equal means far too
often. Here the difference is studentised and its skewness removed, as for every interval (``intervals``), so that p is below
0.05 where the interval does not hold 0, and tails are resolved as far as ranking many models needs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sgpbench.results.estimates import Estimates, Floats, Labels, codes_of
from sgpbench.results.intervals import Bounds, p_values, weighted_mean_intervals

__all__ = ["Comparison", "compare_paired", "holm", "prompts_needed", "reach_of"]

_POWER = 0.8
_FEWEST = 6
"""Of fewer prompts that all differ alike, p is not below 0.05: the next may differ the other way."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model A minus model B over common prompts.

    ``p_value`` is two-sided, of the hypothesis that their means are equal. ``wins``, ``ties`` and ``losses`` count prompts
    from A's side. ``prompts_needed``: how many prompts, in strata and clusters like these, would show a difference of this
    size at the 5 % level with a power of 0.8; ``None`` where the difference is nil.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int
    clusters: int
    wins: int
    ties: int
    losses: int
    prompts_needed: int | None


def reach_of(bounds: Bounds) -> float | None:
    """The greatest difference of two values within ``bounds``; ``None`` where it has no limit."""
    least, most = bounds
    return most - least if most is not None and least is not None else None


def compare_paired(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Labels,
    *,
    strata: Labels | None = None,
    level: float = 0.95,
    bounds: Bounds = (None, None),
) -> Comparison:
    """Compares two models prompt by prompt; a prompt without a value (NaN) of either is left out.

    ``bounds`` are those of one model's values; ``strata`` labels what the task fixed, such as the category. Raises
    ``ValueError`` where the models have no prompt in common.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    common = ~np.isnan(gap)
    if not common.any():
        raise ValueError("the two have no prompt in common")
    gap = gap[common]
    weight = np.asarray(weights, dtype=float)[common]
    labels = codes_of(np.asarray(clusters)[common])
    layers = np.zeros_like(labels) if strata is None else codes_of(np.asarray(strata)[common])
    reach = reach_of(bounds)
    limits = (None if reach is None else -reach, reach)
    (interval,) = weighted_mean_intervals(gap[None], weight, labels, strata=layers, level=level, bounds=[limits])
    estimates = Estimates.of(gap[None], weight, labels, layers)
    needed = prompts_needed(interval.mean, float(estimates.error[0]), interval.n) if interval.clusters > 1 else None
    return Comparison(
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=float(p_values(estimates, reach)[0]),
        n=interval.n,
        clusters=interval.clusters,
        wins=int(np.count_nonzero(gap > 0)),
        ties=int(np.count_nonzero(gap == 0)),
        losses=int(np.count_nonzero(gap < 0)),
        prompts_needed=needed,
    )


def prompts_needed(difference: float, error: float, prompts: int, *, level: float = 0.05) -> int | None:
    """How many prompts would show ``difference`` at ``level`` with a power of 0.8.

    ``error`` is the standard error found with ``prompts`` prompts; prompts are added in the same mix of clusters.
    """
    if difference == 0 or not math.isfinite(difference):
        return None
    reach = float(special.ndtri(1 - level / 2) + special.ndtri(_POWER))
    return max(_FEWEST, math.ceil(prompts * (reach * error / difference) ** 2))


def holm(p_values: npt.ArrayLike) -> Floats:
    """p-values adjusted for their number (Holm 1979): those below α hold together with an error of at most α."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    adjusted = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1.0)
    return result
