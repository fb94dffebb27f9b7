"""Are the statistics right, and fast? Coverage of intervals, level of the paired test, ranks, speed.

    python benchmarks/coverage.py [--simulations 2000] [--resamples 2000] [--quick]

Prompts lie in clusters as those of comp do: 2,188 texts among 3,200 prompts, one of them 141 times. A prompt's value is
its text's effect and a part of its own; ``share`` says how much of the variance is the text's. Beside our interval stands
the usual cluster bootstrap (whole clusters drawn with replacement, percentile interval) over the same data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

from sgpbench.results.bootstrap import Design
from sgpbench.results.statistics import ranks, sign_flip_p_values, weighted_mean_intervals

Floats = npt.NDArray[np.float64]

SIZES = {
    "comp": [1] * 2102 + [2] * 28 + [3] * 14 + [4] * 5 + [5] * 4 + [6] * 2 + [7] * 9 + [8] + [9] * 3
    + [10, 11, 12, 20, 23, 23, 24, 25, 26, 28, 29, 29, 34, 46, 50, 50, 54, 87, 128, 141],
    "3d_spatial": [1] * 224 + [2] * 5 + [3] * 5 + [4, 5, 6] + [7] * 4 + [9] * 2 + [10, 12, 20, 23, 25],
    "implicit": [1] * 201 + [2] * 3 + [3] * 2 + [46, 141],
    "no repeats": [1] * 800,
}  # fmt: skip
SHARES = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)
JUDGE = (np.array([0.0, 30.0, 50.0, 100.0]), np.array([0.25, 0.35, 0.15, 0.25]))


def clusters_of(name: str) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(SIZES[name])), SIZES[name])


def normal(rng: np.random.Generator, simulations: int, clusters: npt.NDArray[np.int64], share: float) -> Floats:
    effect = rng.standard_normal((simulations, clusters.max() + 1))[:, clusters]
    return np.sqrt(share) * effect + np.sqrt(1 - share) * rng.standard_normal((simulations, clusters.size))


def copied(values: Floats, chances: Floats) -> Callable[..., Floats]:
    """A prompt takes its text's draw with probability √share, else its own: correlation ``share`` within a text."""

    def draw(rng: np.random.Generator, simulations: int, clusters: npt.NDArray[np.int64], share: float) -> Floats:
        texts = rng.choice(values, p=chances, size=(simulations, clusters.max() + 1))[:, clusters]
        own = rng.choice(values, p=chances, size=texts.shape)
        return np.where(rng.random(texts.shape) < np.sqrt(share), texts, own)

    return draw


def binary(chance: float) -> Callable[..., Floats]:
    """A text has its own chance of success, Beta distributed, with correlation ``share`` within a text."""

    def draw(rng: np.random.Generator, simulations: int, clusters: npt.NDArray[np.int64], share: float) -> Floats:
        shape = (simulations, clusters.max() + 1)
        if share == 0:
            chances = np.full(shape, chance)
        elif share == 1:
            chances = (rng.random(shape) < chance).astype(float)
        else:
            spread = 1 / share - 1
            chances = rng.beta(chance * spread, (1 - chance) * spread, shape)
        return (rng.random((simulations, clusters.size)) < chances[:, clusters]).astype(float)

    return draw


SCORES: dict[str, tuple[Callable[..., Floats], float, tuple[float | None, float | None]]] = {
    "normal": (normal, 0.0, (None, None)),
    "judge": (copied(*JUDGE), float(JUDGE[0] @ JUDGE[1]), (0.0, 100.0)),
    "50 % right": (binary(0.5), 0.5, (0.0, 1.0)),
    "20 % right": (binary(0.2), 0.2, (0.0, 1.0)),
    "5 % right": (binary(0.05), 0.05, (0.0, 1.0)),
}


def cluster_bootstrap(values: Floats, clusters: npt.NDArray[np.int64], resamples: int) -> tuple[Floats, Floats]:
    """The usual one: whole clusters are drawn; the interval is the 2.5 to 97.5 % points of the ratio."""
    design = Design.of(np.ones(clusters.size), clusters)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(design.sizes.size, np.full(design.sizes.size, 1 / design.sizes.size), resamples)
    means = drawn.astype(float) @ (design.sum_of @ values.T) / (drawn @ design.weight)[:, None]
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def coverages(simulations: int, resamples: int) -> Iterator[tuple[str, str, float, float, float]]:
    for layout in SIZES:
        clusters = clusters_of(layout)
        for name, (draw, truth, bounds) in SCORES.items():
            for share in SHARES if layout != "no repeats" else (0.0,):
                rng = np.random.default_rng(1)
                ours = usual = 0
                for start in range(0, simulations, 500):
                    values = draw(rng, min(500, simulations - start), clusters, share)
                    found = weighted_mean_intervals(
                        values,
                        np.ones(clusters.size),
                        clusters,
                        resamples=resamples,
                        seed=start,
                        bounds=[bounds] * len(values),
                    )
                    ours += sum(one.low <= truth <= one.high for one in found)
                    low, high = cluster_bootstrap(values, clusters, resamples)
                    usual += int(((low <= truth) & (truth <= high)).sum())
                yield layout, name, share, ours / simulations, usual / simulations


def type_one_errors(simulations: int, resamples: int) -> Iterator[tuple[str, float, float, float]]:
    """Two equally good models: how often the sign-flip test, and a clustered t test, find p < 0.05."""
    clusters = clusters_of("comp")
    for name, (draw, _, _) in SCORES.items():
        for share in SHARES:
            rng = np.random.default_rng(2)
            flip = t_test = 0
            for start in range(0, simulations, 500):
                size = min(500, simulations - start)
                gaps = draw(rng, size, clusters, share) - draw(rng, size, clusters, share)
                sums = np.array([np.bincount(clusters, gap) for gap in gaps]).T
                flip += int((sign_flip_p_values(sums, resamples=resamples, seed=start) < 0.05).sum())
                error = np.sqrt((sums**2).sum(axis=0))
                t_test += int((np.abs(sums.sum(axis=0)) > stats.t.ppf(0.975, len(sums) - 1) * error).sum())
            yield name, share, flip / simulations, t_test / simulations


def speed() -> None:
    """10,000 resamples for 150 models × 5,154 prompts: all three tasks, intervals and ranks."""
    rng = np.random.default_rng(3)
    layouts = {
        "comp": clusters_of("comp"),
        "object": np.arange(930),
        "scene": np.r_[np.arange(954), np.arange(70)],
    }
    begin = time.perf_counter()
    for name, clusters in layouts.items():
        values = rng.random((150, clusters.size)) + rng.normal(0, 0.05, (150, 1))
        weights = np.ones(clusters.size)
        start = time.perf_counter()
        weighted_mean_intervals(values, weights, clusters)
        middle = time.perf_counter()
        found = ranks(values, weights, clusters)
        end = time.perf_counter()
        best = sum(rank.rank == 1 for rank in found)
        print(
            f"{name:<8} {clusters.size:>5} prompts: intervals {middle - start:5.1f} s, "
            f"ranks of 11,175 pairs {end - middle:5.1f} s ({best} models share rank 1)"
        )
    print(f"in all {time.perf_counter() - begin:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="200 simulations: a look, not a figure")
    options = parser.parse_args()
    simulations = 200 if options.quick else options.simulations
    noise = 100 * np.sqrt(0.95 * 0.05 / simulations)
    print(f"Speed, 10,000 resamples, 150 models × 5,154 prompts\n{'-' * 78}")
    speed()
    print(f"\nCoverage of the 95 % interval, {simulations} simulations (± {noise:.1f})\n{'-' * 78}")
    print(f"{'clusters':<12}{'scores':<12}{'share':>6}{'ours':>10}{'usual cluster bootstrap':>26}")
    for layout, name, share, ours, usual in coverages(simulations, options.resamples):
        print(f"{layout:<12}{name:<12}{share:>6.1f}{100 * ours:>9.1f} %{100 * usual:>24.1f} %", flush=True)
    print(f"\nType-I error at 5 %, clusters as in comp (± {noise:.1f})\n{'-' * 78}")
    print(f"{'scores':<12}{'share':>6}{'sign flips':>13}{'clustered t test':>20}")
    for name, share, flip, t_test in type_one_errors(simulations, options.resamples):
        print(f"{name:<12}{share:>6.1f}{100 * flip:>11.1f} %{100 * t_test:>18.1f} %", flush=True)


if __name__ == "__main__":
    main()
