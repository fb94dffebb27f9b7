"""Do 95 % intervals cover, and does the paired test keep its level? Simulated over kinds of tasks and scores.

    python benchmarks/coverage.py [--simulations 1000] [--markdown] [--seed 1] [--held-out] [--scores "A 3, B 100"]

A scenario is a layout (how many prompts in which categories and clusters), a kind of score, and ``share``: how alike the
values within a cluster are, 0 to 1. *width* is the mean width over the one that would just cover were the error known.
*level*: how often the paired test rejects at 5 % that two models have equal means, where one of them always has the mean
and the other scores like the scenario; *power*: how often, where they differ by 2.8 true standard errors (80 % is what
a test that knew the error would have). *sign flips*: the level of the test that assumes symmetric differences.
``--held-out`` takes layouts and scores that nothing in the method was chosen by.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sgpbench.results.estimates import Estimates
from sgpbench.results.intervals import p_values, weighted_mean_intervals
from sgpbench.results.statistics import ranks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bounds = tuple[float | None, float | None]

TEXTURE = [1] * 226 + [2] * 5 + [3] * 4 + [4, 5, 7, 8, 128]
IMPLICIT = [1] * 201 + [2] * 3 + [3] * 2 + [46, 141]
COMP = [
    TEXTURE, IMPLICIT, [1] * 800,
    [1] * 228 + [2] * 7 + [5, 7, 7, 9, 26, 50, 54],
    [1] * 211 + [2] * 4 + [3] * 3 + [4, 5, 6, 7, 11, 24, 28, 87],
    [1] * 224 + [2] * 5 + [3] * 5 + [4, 5, 6] + [7] * 4 + [9, 9, 10, 12, 20, 23, 25],
    [1] * 212 + [2] * 4 + [4] * 2 + [7, 23, 29, 29, 34, 50],
]  # fmt: skip
"""Sizes of the clusters of comp's seven categories."""
LAYOUTS: dict[str, list[list[int]]] = {
    "comp": COMP,
    "binding/texture": [TEXTURE],
    "implicit": [IMPLICIT],
    "48 in 4": [[1] * 12] * 4,
    "48 in 16": [[1] * 3] * 16,
    "70 in 5": [[1] * 14] * 5,
    "70, clusters": [[1] * 10 + [4]] * 5,
    "500, clusters": [[1] * 60 + [2] * 5 + [30]] * 5,
    "500, uneven": [[1] * 400, [1] * 60, [1] * 10 + [10] * 3],
}
HELD_OUT: dict[str, list[list[int]]] = {
    "200 in 1": [[1] * 200],
    "90, uneven": [[1] * 60, [1] * 20, [1] * 10],
    "300, pairs": [[2] * 50] * 3,
    "400, fives": [[5] * 20] * 4,
    "240, tails": [[1] * 40 + [2] * 8 + [4] * 3 + [12]] * 3,
    "1000, one of 60": [[1] * 140 + [60]] * 5,
}


@dataclass(frozen=True)
class Score:
    """What a prompt may score. A prompt takes its cluster's draw with probability √share, else its own."""

    values: tuple[float, ...]
    chances: tuple[float, ...]
    bounds: Bounds
    shrinking: bool = False
    """Categories differ: from the full spread in the first to all but constant in the last."""


SCORES = {
    "judge": Score((0, 30, 50, 100), (0.25, 0.35, 0.15, 0.25), (0, 100)),
    "half right": Score((0, 1), (0.5, 0.5), (0, 1)),
    "5 % right": Score((0, 1), (0.95, 0.05), (0, 1)),
    "rare 100": Score((0, 3, 5, 100), (0.3, 0.35, 0.3, 0.05), (0, 100)),
    "A 3, B 100": Score((0, 100), (0.97, 0.03), (0, 100)),
    "extremes in one": Score((0, 30, 50, 100), (0.25, 0.35, 0.15, 0.25), (0, 100), shrinking=True),
}
"""``A 3, B 100``: one model always has 3, the other 100 for three prompts in a hundred."""
HELD_OUT_SCORES = {
    "mostly bad": Score((0, 10, 60, 100), (0.6, 0.25, 0.1, 0.05), (0, 100)),
    "mostly good": Score((0, 85, 95, 100), (0.05, 0.3, 0.4, 0.25), (0, 100)),
    "15 % right": Score((0, 1), (0.85, 0.15), (0, 1)),
    "A 3, B 100": SCORES["A 3, B 100"],
}


def laid_out(layout: list[list[int]]) -> tuple[Ints, Ints]:
    """Cluster and category of each prompt."""
    sizes = [size for category in layout for size in category]
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return clusters, np.repeat(np.arange(len(layout)), [sum(category) for category in layout])


def drawn(
    score: Score, rng: np.random.Generator, simulations: int, clusters: Ints, strata: Ints, share: float
) -> tuple[Floats, float]:
    """Values, (simulations, prompts), and the expectation of their mean."""
    texts = rng.choice(score.values, p=score.chances, size=(simulations, clusters.max() + 1))[:, clusters]
    own = rng.choice(score.values, p=score.chances, size=texts.shape)
    values = np.where(rng.random(texts.shape) < np.sqrt(share), texts, own)
    truth = float(np.dot(score.values, score.chances))
    if not score.shrinking:
        return values, truth
    level = np.linspace(0, 90, strata.max() + 1)[strata]
    spread = np.linspace(1, 0.02, strata.max() + 1)[strata] * (1 - level / 100)
    return level + values * spread, float((level + truth * spread).mean())


def sign_flip_level(gaps: Floats, clusters: Ints, rng: np.random.Generator) -> float:
    """How often 500 drawn flips of clusters' signs reject equal means at 5 %."""
    sums = np.array([np.bincount(clusters, gap) for gap in gaps])
    flipped = rng.choice([-1.0, 1.0], (500, sums.shape[1])) @ sums.T
    beyond = (np.abs(flipped) >= np.abs(sums.sum(axis=1)) * (1 - 1e-9)).sum(axis=0)
    return float(np.mean((1 + beyond) / 501 < 0.05))


def scenarios(
    layouts: dict[str, list[list[int]]], scores: dict[str, Score], only: str | None = None
) -> Iterator[tuple[str, str, float]]:
    for layout, categories in layouts.items():
        repeats = any(size > 1 for category in categories for size in category)
        for name, score in scores.items():
            if (score.shrinking and len(categories) == 1) or only not in {None, name}:
                continue
            for share in (0.0, 0.3, 0.6, 1.0) if repeats else (0.0,):
                yield layout, name, share


def measured(
    layout: list[list[int]], score: Score, share: float, simulations: int, seed: int
) -> tuple[float, float, float, float, float]:
    """Coverage, relative width, level, level of sign flips, power of one scenario."""
    rng = np.random.default_rng(seed)
    clusters, strata = laid_out(layout)
    weights = np.ones(clusters.size)
    values, truth = drawn(score, rng, simulations, clusters, strata, share)
    found = weighted_mean_intervals(values, weights, clusters, strata=strata, bounds=[score.bounds] * simulations)
    covered = np.mean([one.low - 1e-12 <= truth <= one.high + 1e-12 for one in found])
    error = values.mean(axis=1).std()
    width = np.mean([one.high - one.low for one in found]) / (2 * 1.96 * error)
    gaps = values - truth
    low, high = score.bounds
    reach = None if low is None or high is None else high - low
    level = np.mean(p_values(Estimates.of(gaps, weights, clusters, strata), reach) < 0.05)
    power = np.mean(p_values(Estimates.of(gaps + 2.8 * error, weights, clusters, strata), reach) < 0.05)
    return float(covered), float(width), float(level), sign_flip_level(gaps, clusters, rng), float(power)


def speed() -> None:
    """Intervals of 60 columns, and ranks of 150 models, over comp's 3,200 prompts."""
    rng = np.random.default_rng(3)
    clusters, strata = laid_out(COMP)
    values = rng.random((150, clusters.size)) + rng.normal(0, 0.05, (150, 1))
    weights = np.ones(clusters.size)
    start = time.perf_counter()
    weighted_mean_intervals(values[:60], weights, clusters, strata=strata)
    middle = time.perf_counter()
    ranks(values, weights, clusters, strata=strata)
    print(f"60 intervals {middle - start:.2f} s, ranks of 150 models {time.perf_counter() - middle:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--markdown", action="store_true", help="print a table for docs/statistics.md, without speed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="layouts and scores that nothing was chosen by")
    parser.add_argument("--scores", help="only this kind of score")
    options = parser.parse_args()
    layouts, scores = (HELD_OUT, HELD_OUT_SCORES) if options.held_out else (LAYOUTS, SCORES)
    heads = ("layout", "scores", "share", "covered", "width", "level", "sign flips", "power")
    if options.markdown:
        print("| " + " | ".join(heads) + " |\n|---|---|--:|--:|--:|--:|--:|--:|")
    else:
        speed()
        print("".join(f"{head:>16}" for head in heads))
    for layout, name, share in scenarios(layouts, scores, options.scores):
        covered, width, level, flips, power = measured(
            layouts[layout], scores[name], share, options.simulations, options.seed
        )
        shares = [f"{100 * covered:.1f}", f"{width:.2f}", *(f"{100 * part:.1f}" for part in (level, flips, power))]
        cells = (layout, name, f"{share:.1f}", *shares)
        print(
            "| " + " | ".join(cells) + " |" if options.markdown else "".join(f"{cell:>16}" for cell in cells),
            flush=True,
        )


if __name__ == "__main__":
    main()
