"""Intervals and p-values of weighted means over prompts in strata and clusters, without resampling.

The mean's deviation over its standard error (``estimates``) follows Student's distribution where the values are not skewed.
Scores are: most drawings 0, a few 100. Hall's transformation takes the first effect of skewness out, and what is left is
compared with Student's distribution with Satterthwaite's degrees of freedom. Interval and p-value are one statement: the
interval holds 0 where p is above 0.05. As the variance comes to rest on few clusters the correction fades, since which way
these few are skewed cannot be learnt from the others.

Where a row is constant, its values do not scatter, yet the next prompt's may: see ``unseen_shifts``.

Source: Hall 1992, *On the removal of skewness by transformation*, J. R. Stat. Soc. B 54, 221–228. Measured by
``benchmarks/coverage.py``; the tables are in ``docs/statistics.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from sgpbench.results.estimates import Estimates, Floats, Ints, Labels, codes_of

__all__ = [
    "Bounds",
    "Floats",
    "Interval",
    "Ints",
    "interval_limits",
    "p_values",
    "unseen_share",
    "weighted_mean_intervals",
]

Bounds: TypeAlias = tuple[float | None, float | None]

_FEW_CLUSTERS, _MANY_CLUSTERS = 12.0, 36.0
"""With so few effective clusters skewness is not corrected, with so many wholly."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A weighted mean and where its expectation lies.

    ``low`` and ``high`` are NaN where nothing can be said: a single cluster of values without bounds, or no values (then
    ``mean`` is NaN too). ``n`` counts prompts that had a value, ``clusters`` the clusters they are in.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


def _corrected_skewness(found: Estimates) -> Floats:
    """The part of the skewness that is corrected."""
    part = (found.effective - _FEW_CLUSTERS) / (_MANY_CLUSTERS - _FEW_CLUSTERS)
    return np.asarray(found.skewness * np.clip(part, 0.0, 1.0), dtype=np.float64)


def _transformed(ratio: Floats, skewness: Floats) -> Floats:
    """Hall's transformation of studentised means; increasing in ``ratio``."""
    return np.asarray(ratio + skewness / 3 * ratio**2 + skewness**2 / 27 * ratio**3 + skewness / 6, dtype=np.float64)


def _untransformed(quantile: float, skewness: float) -> float:
    """The studentised mean that ``_transformed`` takes to ``quantile``."""
    if abs(skewness) <= 1e-4:
        return quantile
    return float(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))


def interval_limits(found: Estimates, row: int, level: float) -> tuple[float, float]:
    """The limits of one row; its mean where the error is 0."""
    skewness = _corrected_skewness(found)[row]
    quantile = special.stdtrit(found.freedom[row], (1 + level) / 2)
    low = found.mean[row] - found.error[row] * _untransformed(quantile, skewness)
    high = found.mean[row] - found.error[row] * _untransformed(-quantile, skewness)
    return float(low), float(high)


def unseen_share(clusters: npt.ArrayLike, tail: float) -> Floats:
    """The most that values never seen in ``clusters`` independent clusters may weigh (exact "rule of three").

    A share ``q`` stays unseen with probability ``(1 - q) ** clusters``; that of the result is ``tail``.
    """
    return np.asarray(1 - tail ** (1 / np.asarray(clusters, dtype=float)), dtype=np.float64)


def unseen_shifts(found: Estimates, row: int, bounds: Bounds, tail: float) -> tuple[float, float]:
    """How far values that were never seen may move the mean of a constant row down and up.

    In the stratum where they would move it furthest, a share of ``unseen_share`` lies at the bound. 0 without a bound.
    """
    shares = found.stratum_shares * unseen_share(found.stratum_clusters, tail)
    values = found.stratum_means[:, row]
    least, most = bounds
    down = 0.0 if least is None else float((shares * (values - least)).max())
    up = 0.0 if most is None else float((shares * (most - values)).max())
    return down, up


def p_values(found: Estimates, reach: float | None = None) -> Floats:
    """Two-sided p-values of the hypothesis that a row's mean has the expectation 0: (rows,).

    1 for rows of nothing but 0 and where there is a single cluster. ``reach``: the greatest size that a value can have,
    of which values never seen may be in a row that is constant within strata; without it the greatest size that was seen.
    """
    scattered = found.error > 0
    ratio = np.divide(found.mean, found.error, out=np.zeros_like(found.mean), where=scattered)
    corrected = _transformed(ratio, _corrected_skewness(found))
    p = np.where(scattered, 2 * special.stdtr(found.freedom, -np.abs(corrected)), 1.0)
    sure = found.constant & (found.mean != 0) & (found.clusters > 1)
    if sure.any():
        values = found.stratum_means[:, sure] * np.sign(found.mean[sure])
        furthest = np.abs(values).max(axis=0) if reach is None else reach
        # Values never seen lie at the other end; of a stratum they must make up this share to bring the mean to 0.
        span = found.stratum_shares[:, None] * (values + furthest)
        needed = np.divide(np.abs(found.mean[sure]), span, out=np.ones_like(span), where=span > 0)
        unseen = (1 - np.minimum(needed, 1.0)) ** found.stratum_clusters[:, None]
        p[sure] = np.minimum(1.0, 2 * unseen.max(axis=0))
    return np.asarray(p, dtype=np.float64)


def _limited(low: float, high: float, mean: float, bounds: Bounds, clusters: int, tail: float) -> tuple[float, float]:
    """Keeps an interval within the bounds of the values and honest beside them.

    An interval next to a bound reaches at least as far as values at the other bound that were never seen would carry it.
    """
    least, most = bounds
    if least is not None and most is not None:
        shift = float(unseen_share(clusters, tail)) * (most - least)
        low, high = min(low, most - shift), max(high, least + shift)
    if least is not None:
        low = max(low, least)
    if most is not None:
        high = min(high, most)
    return min(low, mean), max(high, mean)


def weighted_mean_intervals(
    values: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Labels,
    *,
    strata: Labels | None = None,
    level: float = 0.95,
    bounds: Sequence[Bounds] | None = None,
) -> list[Interval]:
    """Intervals of many weighted means over the same prompts, one per row of ``values``.

    Args:
        values: (rows, prompts); NaN where a row has no value for a prompt: that prompt is left out of that row.
        weights: (prompts,), positive.
        clusters: (prompts,) labels; prompts of one label are dependent.
        strata: (prompts,) labels of what the task fixed, such as the category; without it all prompts are one stratum.
        level: Confidence.
        bounds: Per row the least and greatest possible value, ``None`` where there is none.

    Raises:
        ValueError: shapes disagree, or a weight is not positive.
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    weight = np.asarray(weights, dtype=float)
    labels = codes_of(clusters)
    layers = np.zeros_like(labels) if strata is None else codes_of(strata)
    if table.ndim != 2 or not table.shape[1] == weight.size == labels.size == layers.size:
        raise ValueError(
            f"values {table.shape}, weights {weight.shape}, clusters {labels.shape} and strata {layers.shape} "
            "do not fit together"
        )
    if not (weight > 0).all():
        raise ValueError("weights must be positive")
    limits = list(bounds) if bounds is not None else [(None, None)] * len(table)
    found: list[Interval] = [Interval(np.nan, np.nan, np.nan, 0, 0)] * len(table)
    patterns, pattern_of = np.unique(~np.isnan(table), axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.reshape(-1) == index)
        if not pattern.any():
            continue
        estimates = Estimates.of(table[np.ix_(rows, pattern)], weight[pattern], labels[pattern], layers[pattern])
        number = int(np.count_nonzero(pattern))
        for place, row in enumerate(rows):
            found[row] = _interval(estimates, place, number, limits[row], level)
    return found


def _interval(found: Estimates, row: int, number: int, bounds: Bounds, level: float) -> Interval:
    """The interval of one row over ``number`` prompts."""
    tail = (1 - level) / 2
    mean = float(found.mean[row])
    low, high = interval_limits(found, row, level)
    if found.constant[row]:
        down, up = unseen_shifts(found, row, bounds, tail)
        low, high = mean - down, mean + up
    low, high = _limited(low, high, mean, bounds, found.clusters, tail)
    unknown = found.clusters == 1
    return Interval(
        mean=mean,
        low=np.nan if unknown and bounds[0] is None else low,
        high=np.nan if unknown and bounds[1] is None else high,
        n=number,
        clusters=found.clusters,
    )
