"""Two models over the prompts they have in common: difference, interval, p-value, and how many prompts would decide it.

The test flips the sign of whole clusters: if the models are equally good, a cluster's difference could as well have been
the opposite. That holds whatever the sizes of the clusters, so the test keeps its level with the clusters of ``comp``,
where tests that rest on a normal approximation do not. With few clusters all patterns of signs are gone through; else
10,000 are drawn; and where the drawn ones cannot resolve a tail (ranking 150 models needs p-values near 1e-6) a saddlepoint
approximation of the same distribution does (Lugannani and Rice 1980; Daniels 1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from sgpbench.results.bootstrap import Bounds, Design, Floats, resampled_deviations, weighted_mean_intervals

__all__ = ["Comparison", "compare_paired", "holm", "prompts_needed", "sign_flip_p_values", "sign_flip_patterns"]

_RESOLVED = 50
"""A drawn tail with fewer members than this is replaced by the saddlepoint's."""
_POWER = 0.8
_FEWEST = 6
"""With fewer independent prompts no sign-flip test can reach p < 0.05."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Model A minus model B over common prompts.

    ``p_value`` is of the sign-flip test, ``p_bootstrap`` of the paired bootstrap (both two-sided). ``wins``, ``ties`` and
    ``losses`` count prompts from A's side. ``prompts_needed``: how many prompts, clustered like these, would show a
    difference of this size at the 5 % level with a power of 0.8; ``None`` where the difference is nil.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_bootstrap: float
    n: int
    clusters: int
    wins: int
    ties: int
    losses: int
    prompts_needed: int | None


def compare_paired(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weights: npt.ArrayLike,
    clusters: Sequence[str] | npt.ArrayLike,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    bounds: Bounds = (None, None),
) -> Comparison:
    """Compares two models prompt by prompt; a prompt without a value (NaN) of either is left out.

    ``bounds`` are those of one model's values. Raises ``ValueError`` where the models have no prompt in common.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    common = ~np.isnan(gap)
    if not common.any():
        raise ValueError("the two have no prompt in common")
    gap = gap[common]
    weight = np.asarray(weights, dtype=float)[common]
    labels = np.unique(np.asarray(clusters)[common], return_inverse=True)[1].reshape(-1)
    least, most = bounds
    reach = most - least if most is not None and least is not None else None
    limits = (None if reach is None else -reach, reach)
    (interval,) = weighted_mean_intervals(
        gap[None], weight, labels, resamples=resamples, seed=seed, level=level, bounds=[limits]
    )
    design = Design.of(weight, labels)
    sums = np.asarray(design.sum_of @ gap)
    rng = np.random.default_rng(seed)
    error, p_bootstrap = 0.0, 1.0
    if interval.clusters > 1:
        deviations, _ = resampled_deviations(gap[None], design, resamples=resamples, rng=rng)
        error = float(deviations.std())
        beyond = np.abs(deviations[:, 0]) >= abs(interval.mean) * (1 - 1e-9)
        p_bootstrap = float((1 + np.count_nonzero(beyond)) / (1 + resamples))
    p_value = sign_flip_p_values(sums[:, None], resamples=resamples, seed=seed)[0]
    return Comparison(
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=float(p_value),
        p_bootstrap=p_bootstrap,
        n=interval.n,
        clusters=interval.clusters,
        wins=int(np.count_nonzero(gap > 0)),
        ties=int(np.count_nonzero(gap == 0)),
        losses=int(np.count_nonzero(gap < 0)),
        prompts_needed=prompts_needed(interval.mean, error, interval.n) if interval.clusters > 1 else None,
    )


def prompts_needed(difference: float, error: float, prompts: int, *, level: float = 0.05) -> int | None:
    """How many prompts would show ``difference`` at ``level`` with a power of 0.8.

    ``error`` is the standard error found with ``prompts`` prompts; prompts are added in the same mix of clusters.
    """
    if difference == 0 or not math.isfinite(difference):
        return None
    reach = float(special.ndtri(1 - level / 2) + special.ndtri(_POWER))
    return max(_FEWEST, math.ceil(prompts * (reach * error / difference) ** 2))


def sign_flip_patterns(clusters: int, resamples: int, seed: int) -> tuple[npt.NDArray[np.int8], bool]:
    """Patterns of ±1 over clusters, (patterns, clusters), and whether they are all that exist (up to a joint flip).

    All of them where there are no more than ``resamples``, else that many drawn ones.
    """
    if clusters <= 1 or 2 ** (clusters - 1) <= resamples:
        number = np.arange(2 ** max(clusters - 1, 0))[:, None]
        return (1 - 2 * ((number >> np.arange(clusters)) & 1)).astype(np.int8), True
    rng = np.random.default_rng(seed)
    width = -(-clusters // 8)
    bits = np.unpackbits(rng.integers(0, 256, (resamples, width), dtype=np.uint8), axis=1)[:, :clusters]
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8), False


def sign_flip_p_values(sums: Floats, *, resamples: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p-values of sign-flip tests, one per column of ``sums``.

    ``sums``: (clusters, tests), each cluster's weighted sum of differences. A test whose sums are all 0 has p = 1.
    """
    active = np.flatnonzero(np.any(sums != 0, axis=1))
    used = sums[active]
    if not active.size:
        return np.ones(sums.shape[1])
    patterns, complete = sign_flip_patterns(active.size, resamples, seed)
    observed = np.abs(used.sum(axis=0)) * (1 - 1e-9)
    beyond = np.zeros(used.shape[1], dtype=np.int64)
    step = max(1, 4_000_000 // max(used.shape))
    for start in range(0, len(patterns), step):
        beyond += np.count_nonzero(np.abs(patterns[start : start + step].astype(float) @ used) >= observed, axis=0)
    return resolve_tails(beyond, len(patterns), complete, used)


def resolve_tails(beyond: npt.NDArray[np.int64], patterns: int, complete: bool, sums: Floats) -> Floats:
    """p-values from how many patterns reached the observed sum; thinly populated tails by saddlepoint."""
    if complete:
        return np.asarray(beyond / patterns, dtype=np.float64)
    p_values = np.asarray((1.0 + beyond) / (1.0 + patterns), dtype=np.float64)
    thin = np.flatnonzero(beyond < _RESOLVED)
    for start in range(0, thin.size, 256):
        part = thin[start : start + 256]
        p_values[part] = np.minimum(saddlepoint_p_values(sums[:, part]), (1.0 + _RESOLVED) / (1.0 + patterns))
    return p_values


def saddlepoint_p_values(sums: Floats) -> Floats:
    """Two-sided tail probability of ``sum(± sums)`` beyond ``|sum(sums)|``, per column.

    Never below ``2 ** (1 - m)`` for ``m`` clusters that differ at all: no pattern of signs is rarer.
    """
    sizes = np.abs(sums)
    scale = np.sqrt((sizes**2).sum(axis=0))
    least = 2.0 ** (1.0 - np.count_nonzero(sizes, axis=0))
    sizes = np.divide(sizes, scale, out=np.zeros_like(sizes), where=scale > 0)
    target = np.minimum(
        np.divide(np.abs(sums.sum(axis=0)), scale, out=np.zeros_like(scale), where=scale > 0),
        sizes.sum(axis=0) * (1 - 1e-6),
    )
    # K(t) = sum log cosh(t d) has a concave derivative for t > 0, so Newton's steps climb to the root and never overshoot.
    point = target.copy()
    for _ in range(60):
        slope = np.tanh(point * sizes)
        curvature = (sizes**2 * (1 - slope**2)).sum(axis=0)
        step = (target - (sizes * slope).sum(axis=0)) / np.maximum(curvature, 1e-300)
        point += step
        if np.all(step <= 1e-6 * (1 + point)):
            break
    arms = point * sizes
    cumulant = (arms + np.log1p(np.exp(-2 * arms)) - math.log(2)).sum(axis=0)
    curvature = (sizes**2 * (1 - np.tanh(arms) ** 2)).sum(axis=0)
    root = np.sqrt(np.maximum(2 * (point * target - cumulant), 0.0))
    slope_root = point * np.sqrt(curvature)
    near = (root < 1e-4) | (slope_root < 1e-4)
    safe_root, safe_slope = np.where(near, 1.0, root), np.where(near, 1.0, slope_root)
    density = np.exp(-(safe_root**2) / 2) / math.sqrt(2 * math.pi)
    tail = special.ndtr(-safe_root) + density * (1 / safe_slope - 1 / safe_root)
    p_values = np.where(near, 1.0, 2 * tail)
    # All differ in one direction: only that pattern of signs and its opposite reach so far.
    p_values[np.abs(sums.sum(axis=0)) >= np.abs(sums).sum(axis=0) * (1 - 1e-12)] = 0.0
    return np.clip(p_values, np.minimum(least, 1.0), 1.0)


def holm(p_values: npt.ArrayLike) -> Floats:
    """p-values adjusted for their number (Holm 1979): those below α hold together with an error of at most α."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    adjusted = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    result = np.empty_like(values)
    result[order] = np.minimum(adjusted, 1.0)
    return result
