from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sgpbench.results.bootstrap import Design, effect_share
from sgpbench.results.paired import saddlepoint_p_values
from sgpbench.results.statistics import (
    compare_all,
    compare_paired,
    holm,
    prompts_needed,
    ranks,
    sign_flip_p_values,
    weighted_mean_interval,
    weighted_mean_intervals,
)

# Cluster sizes of the 3,200 comp prompts: 2,188 texts, a few of them very often.
COMP_SIZES = (
    [1] * 2102 + [2] * 28 + [3] * 14 + [4] * 5 + [5] * 4 + [6] * 2 + [7] * 9 + [8] + [9] * 3 + [10, 11, 12, 20]
    + [23] * 2 + [24, 25, 26, 28] + [29] * 2 + [34, 46] + [50] * 2 + [54, 87, 128, 141]
)  # fmt: skip
COMP = np.repeat(np.arange(len(COMP_SIZES)), COMP_SIZES)


def test_the_sizes_are_those_of_comp() -> None:
    assert (len(COMP_SIZES), COMP.size) == (2188, 3200)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_without_repeats_the_interval_is_scipys_bootstrap(method: str) -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(3, 2, 500), (rng.random(500) < 0.3).astype(float)):
        ours = weighted_mean_interval(values, np.ones(500), np.arange(500))
        theirs = stats.bootstrap((values,), np.mean, method=method, n_resamples=10_000, rng=1).confidence_interval
        width = theirs.high - theirs.low
        assert ours.mean == pytest.approx(values.mean())
        assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_repeating_every_prompt_changes_nothing_when_clusters_say_so() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(300)
    once = weighted_mean_interval(values, np.ones(300), np.arange(300))
    five = weighted_mean_interval(np.repeat(values, 5), np.ones(1500), np.repeat(np.arange(300), 5))
    assert five.mean == pytest.approx(once.mean)
    assert five.high - five.low == pytest.approx(once.high - once.low, rel=0.05)
    assert (once.n, once.clusters, five.n, five.clusters) == (300, 300, 1500, 300)


def test_many_rows_at_once_give_what_each_gives_alone() -> None:
    rng = np.random.default_rng(2)
    values = rng.random((6, COMP.size))
    values[1, ::3] = np.nan
    together = weighted_mean_intervals(values, np.ones(COMP.size), COMP, resamples=2000, seed=3)
    for row, interval in zip(values, together, strict=True):
        alone = weighted_mean_interval(row, np.ones(COMP.size), COMP, resamples=2000, seed=3)
        assert (interval.n, interval.clusters) == (alone.n, alone.clusters)
        assert interval.mean == pytest.approx(alone.mean)
        assert interval.low == pytest.approx(alone.low, abs=0.1 * (alone.high - alone.low))
        assert interval.high == pytest.approx(alone.high, abs=0.1 * (alone.high - alone.low))


def test_weights_make_a_ratio() -> None:
    values, weights = np.array([0.0, 1.0, 1.0, 0.5]), np.array([4.0, 1.0, 1.0, 2.0])
    interval = weighted_mean_interval(values, weights, np.arange(4))
    assert interval.mean == pytest.approx(3 / 8)
    scaled = weighted_mean_interval(values, 10 * weights, np.arange(4))
    assert (scaled.low, scaled.high) == pytest.approx((interval.low, interval.high))


def test_equal_seeds_give_equal_intervals_and_others_nearly_so() -> None:
    values = np.random.default_rng(4).random(COMP.size)
    first, again, other = (weighted_mean_interval(values, np.ones(COMP.size), COMP, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other
    assert other.low == pytest.approx(first.low, abs=0.002)


def test_all_failed_or_all_succeeded_is_not_certain() -> None:
    failed = weighted_mean_interval(np.zeros(100), np.ones(100), np.arange(100), bounds=(0, 1))
    exact = stats.binomtest(0, 100).proportion_ci(method="exact")
    assert (failed.mean, failed.low, failed.high) == pytest.approx((0, exact.low, exact.high))
    perfect = weighted_mean_interval(np.full(100, 100.0), np.ones(100), np.arange(100), bounds=(0, 100))
    assert (perfect.low, perfect.high) == pytest.approx((100 * (1 - exact.high), 100))
    once = weighted_mean_interval(np.r_[1.0, np.zeros(99)], np.ones(100), np.arange(100), bounds=(0, 1))
    assert once.high >= failed.high
    repeated = weighted_mean_interval(np.zeros(100), np.ones(100), np.arange(100) // 10, bounds=(0, 1))
    assert repeated.high > 0.25


def test_nothing_is_said_where_nothing_is_known() -> None:
    single = weighted_mean_interval(np.array([1.0, 2.0]), np.ones(2), np.zeros(2))
    assert single.mean == 1.5
    assert np.isnan([single.low, single.high]).all()
    empty = weighted_mean_interval(np.array([np.nan]), np.ones(1), np.zeros(1))
    assert np.isnan(empty.mean)
    assert (empty.n, empty.clusters) == (0, 0)
    bounded = weighted_mean_interval(np.array([0.2, 0.4]), np.ones(2), np.zeros(2), bounds=(0, 1))
    assert bounded.high - bounded.low > 0.9


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_its_mean_and_stays_within_bounds(rows: list[tuple[float, int, int]]) -> None:
    values, weights, clusters = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    interval = weighted_mean_interval(values, weights, clusters, resamples=200, bounds=(0, 1))
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1
    assert interval.clusters == len(set(clusters))


def test_shapes_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        weighted_mean_interval(np.ones(3), np.ones(2), np.arange(3))
    with pytest.raises(ValueError, match="positive"):
        weighted_mean_interval(np.ones(2), np.array([1.0, 0.0]), np.arange(2))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_share_of_the_clusters_effect_is_found(share: float) -> None:
    rng = np.random.default_rng(5)
    effects = np.sqrt(share) * rng.standard_normal((40, COMP.max() + 1))[:, COMP]
    values = effects + np.sqrt(1 - share) * rng.standard_normal((40, COMP.size))
    found = effect_share(values, Design.of(np.ones(COMP.size), COMP))
    assert found.mean() == pytest.approx(share, abs=0.05)


# --- coverage and level, in small; benchmarks/coverage.py has the full tables ---


@pytest.mark.parametrize(("share", "chance"), [(0.0, 0.5), (0.5, 0.5), (0.5, 0.2), (1.0, 0.5)])
def test_intervals_cover_the_truth_with_clusters_as_in_comp(share: float, chance: float) -> None:
    rng = np.random.default_rng(6)
    texts = COMP.max() + 1
    shared = rng.random((300, texts)) < chance
    own = rng.random((300, COMP.size)) < chance
    copied = rng.random((300, COMP.size)) < np.sqrt(share)
    values = np.where(copied, shared[:, COMP], own).astype(float)
    found = weighted_mean_intervals(values, np.ones(COMP.size), COMP, resamples=600, bounds=[(0, 1)] * 300)
    covered = np.mean([interval.low <= chance <= interval.high for interval in found])
    assert 0.915 <= covered <= 0.985  # 95 % ± 3 standard errors of 300 simulations


def test_the_paired_test_keeps_its_level_with_clusters_as_in_comp() -> None:
    rng = np.random.default_rng(7)
    texts = COMP.max() + 1
    effects = rng.random((400, texts))[:, COMP]
    gaps = (rng.random((400, COMP.size)) < effects).astype(float) - (rng.random((400, COMP.size)) < effects)
    gaps += rng.choice([-1.0, 0.0, 1.0], (400, texts))[:, COMP]
    sums = np.array([np.bincount(COMP, gap) for gap in gaps]).T
    p_values = sign_flip_p_values(sums, resamples=1000)
    assert np.mean(p_values < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(p_values < 0.5) > 0.4


# --- paired tests ---


def test_the_exact_sign_flip_test_is_scipys_permutation_test() -> None:
    gaps = np.random.default_rng(8).normal(0.4, 1, (11, 3))
    ours = sign_flip_p_values(gaps)
    for column, p_value in zip(gaps.T, ours, strict=True):
        theirs = stats.permutation_test((column,), np.mean, permutation_type="samples", n_resamples=10_000)
        assert p_value == pytest.approx(theirs.pvalue)


def test_drawn_sign_flips_agree_with_scipys_t_test() -> None:
    gaps = np.random.default_rng(9).normal(0.15, 1, (300, 4))
    ours = sign_flip_p_values(gaps)
    assert ours == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, rel=0.25, abs=0.005)


def test_saddlepoint_tails_are_those_of_full_enumeration() -> None:
    gaps = np.random.default_rng(10).normal(0.9, 1, (17, 6))
    exact = sign_flip_p_values(gaps, resamples=2**16)
    assert exact.min() < 1e-3
    assert saddlepoint_p_values(gaps) == pytest.approx(exact, rel=0.25)
    assert saddlepoint_p_values(np.ones((20, 1)))[0] == pytest.approx(2.0**-19)


def test_small_p_values_are_resolved_beyond_the_number_of_resamples() -> None:
    gaps = np.random.default_rng(11).normal(1, 1, (200, 1))
    assert sign_flip_p_values(gaps, resamples=1000)[0] < 1e-12
    assert sign_flip_p_values(np.zeros((5, 2))).tolist() == [1.0, 1.0]


def test_a_comparison_counts_wins_and_leaves_out_what_only_one_has() -> None:
    first = np.array([1.0, 0.0, 1.0, np.nan, 0.5] * 20)
    second = np.array([0.0, 0.0, 1.0, 1.0, 1.0] * 20)
    found = compare_paired(first, second, np.ones(100), np.arange(100), bounds=(0, 1))
    assert (found.n, found.wins, found.ties, found.losses) == (80, 20, 40, 20)
    assert found.difference == pytest.approx(0.125)
    assert found.low < 0.125 < found.high
    with pytest.raises(ValueError, match="no prompt in common"):
        compare_paired(np.array([np.nan]), np.array([1.0]), np.ones(1), np.arange(1))


def test_interval_and_both_tests_agree_on_plain_data() -> None:
    rng = np.random.default_rng(12)
    first, second = rng.random(400) + 0.05, rng.random(400)
    found = compare_paired(first, second, np.ones(400), np.arange(400))
    t_test = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(t_test.pvalue, abs=0.01)
    assert found.p_bootstrap == pytest.approx(t_test.pvalue, abs=0.01)
    low, high = t_test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_a_difference_that_every_prompt_shows_alike_is_as_clear_as_can_be() -> None:
    prompts = 30
    found = compare_paired(np.ones(prompts), np.zeros(prompts), np.ones(prompts), np.arange(prompts), resamples=500)
    assert found.p_bootstrap == pytest.approx(1 / 501)
    assert found.p_value < 1e-6
    alike = compare_paired(np.ones(prompts), np.ones(prompts), np.ones(prompts), np.arange(prompts), resamples=500)
    assert alike.p_bootstrap == alike.p_value == 1.0


def test_one_prompt_does_not_say_how_many_are_needed() -> None:
    found = compare_paired([1.0], [0.0], [1.0], ["a"], resamples=100)
    assert found.prompts_needed is None


def test_as_many_prompts_as_needed_have_the_power_that_is_promised() -> None:
    rng = np.random.default_rng(13)
    needed = prompts_needed(0.1, 1 / np.sqrt(1000), 1000)
    assert needed is not None
    samples = rng.normal(0.1, 1, (2000, needed))
    assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.03)
    assert prompts_needed(0.0, 1.0, 10) is None
    assert prompts_needed(1.0, 0.0, 10) == 6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_corrects_step_by_step(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values) - 1e-12).all()
    assert (adjusted <= 1).all()
    assert adjusted.min() == pytest.approx(min(1.0, len(p_values) * min(p_values)))
    order = np.argsort(p_values)
    assert (np.diff(adjusted[order]) >= 0).all()


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


# --- ranks ---


def test_models_that_cannot_be_told_apart_share_a_rank() -> None:
    rng = np.random.default_rng(14)
    ability = np.array([0.8, 0.8, 0.4, 0.1])
    values = (rng.random((4, 500)) < ability[:, None]).astype(float)
    found = ranks(values, np.ones(500), np.arange(500))
    assert [rank.rank for rank in found] == [1, 1, 3, 4]
    assert [(rank.low, rank.high) for rank in found] == [(1, 2), (1, 2), (3, 3), (4, 4)]
    upside_down = ranks(values, np.ones(500), np.arange(500), higher_is_better=False)
    assert [rank.rank for rank in upside_down] == [3, 3, 2, 1]


def test_all_pairs_at_once_are_the_pairs_one_by_one() -> None:
    rng = np.random.default_rng(15)
    values = rng.random((5, 120)) + np.linspace(0, 0.2, 5)[:, None]
    values[4, :60] = np.nan
    clusters = np.arange(120) // 2
    found = compare_all(values, np.ones(120), clusters, resamples=4000)
    for row in range(5):
        for column in range(row + 1, 5):
            one = compare_paired(values[row], values[column], np.ones(120), clusters, resamples=4000)
            assert found.difference[row, column] == pytest.approx(one.difference)
            assert found.difference[column, row] == -found.difference[row, column]
            assert found.p_value[row, column] == pytest.approx(one.p_value, rel=0.3, abs=0.01)
            assert found.adjusted[row, column] >= found.p_value[row, column]


def test_models_without_common_prompts_are_not_told_apart() -> None:
    values = np.array([[1.0, 1.0, np.nan, np.nan], [np.nan, np.nan, 0.0, 0.0]])
    found = compare_all(values, np.ones(4), np.arange(4))
    assert np.isnan(found.difference[0, 1])
    assert found.p_value[0, 1] == 1.0
    assert [rank.rank for rank in ranks(values, np.ones(4), np.arange(4))] == [1, 1]


def test_no_false_ranks_among_equal_models() -> None:
    wrong = 0
    for seed in range(40):
        values = (np.random.default_rng(seed).random((6, 150)) < 0.5).astype(float)
        wrong += any(rank.rank > 1 for rank in ranks(values, np.ones(150), np.arange(150), resamples=500))
    assert wrong <= 6  # 5 % of 40, and three standard errors


def test_ten_thousand_resamples_of_many_models_take_seconds() -> None:
    values = np.random.default_rng(16).random((30, COMP.size))
    start = time.perf_counter()
    weighted_mean_intervals(values, np.ones(COMP.size), COMP)
    ranks(values, np.ones(COMP.size), COMP)
    assert time.perf_counter() - start < 20
