from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sgpbench.results.estimates import Design, Estimates, effect_shares, strata_of
from sgpbench.results.intervals import p_values, weighted_mean_intervals
from sgpbench.results.statistics import (
    compare_all,
    compare_paired,
    holm,
    prompts_needed,
    ranks,
    weighted_mean_interval,
)

# Cluster sizes of the 3,200 comp prompts: 2,188 texts, a few of them very often.
COMP_SIZES = (
    [1] * 2102 + [2] * 28 + [3] * 14 + [4] * 5 + [5] * 4 + [6] * 2 + [7] * 9 + [8] + [9] * 3 + [10, 11, 12, 20]
    + [23] * 2 + [24, 25, 26, 28] + [29] * 2 + [34, 46] + [50] * 2 + [54, 87, 128, 141]
)  # fmt: skip
COMP = np.repeat(np.arange(len(COMP_SIZES)), COMP_SIZES)


def test_the_sizes_are_those_of_comp() -> None:
    assert (len(COMP_SIZES), COMP.size) == (2188, 3200)


def test_without_repeats_and_skew_the_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(3, 2, 20)
    values = np.r_[values, 6 - values]  # symmetric
    ours = weighted_mean_interval(values, np.ones(40), np.arange(40))
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_of_a_skewed_row_the_interval_is_that_of_scipys_bias_corrected_bootstrap() -> None:
    values = (np.random.default_rng(0).random(500) < 0.3).astype(float)
    ours = weighted_mean_interval(values, np.ones(500), np.arange(500))
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=10_000, rng=1).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


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
    together = weighted_mean_intervals(values, np.ones(COMP.size), COMP)
    for row, interval in zip(values, together, strict=True):
        alone = weighted_mean_interval(row, np.ones(COMP.size), COMP)
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
    interval = weighted_mean_interval(values, weights, clusters, bounds=(0, 1))
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
    values -= values.mean(axis=1, keepdims=True)
    (found,) = effect_shares([values], [Design.of(np.ones(COMP.size), COMP)])
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
    found = weighted_mean_intervals(values, np.ones(COMP.size), COMP, bounds=[(0, 1)] * 300)
    covered = np.mean([interval.low <= chance <= interval.high for interval in found])
    assert 0.915 <= covered <= 0.985  # 95 % ± 3 standard errors of 300 simulations


def test_the_paired_test_keeps_its_level_with_clusters_as_in_comp() -> None:
    rng = np.random.default_rng(7)
    texts = COMP.max() + 1
    effects = rng.random((400, texts))[:, COMP]
    gaps = (rng.random((400, COMP.size)) < effects).astype(float) - (rng.random((400, COMP.size)) < effects)
    gaps += rng.choice([-1.0, 0.0, 1.0], (400, texts))[:, COMP]
    p = p_values(Estimates.of(gaps, np.ones(COMP.size), COMP, np.zeros_like(COMP)))
    assert np.mean(p < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(p < 0.5) > 0.4


@pytest.mark.parametrize("prompts", [48, 500])
def test_the_paired_test_keeps_its_level_where_differences_are_skewed(prompts: int) -> None:
    rng = np.random.default_rng(8)
    gaps = np.where(rng.random((1000, prompts)) < 0.03, -97.0, 3.0)
    estimates = Estimates.of(gaps, np.ones(prompts), np.arange(prompts), np.zeros(prompts, dtype=np.int64))
    rejected = np.mean(p_values(estimates, 100.0) < 0.05)
    assert rejected <= 0.06 + 2 * np.sqrt(0.05 * 0.95 / 1000)


# --- strata ---


def test_what_the_task_fixed_is_no_uncertainty() -> None:
    rng = np.random.default_rng(9)
    category = np.repeat([0, 1], 100)
    values = 50 * category + rng.normal(0, 1, 200)
    fixed = weighted_mean_interval(values, np.ones(200), np.arange(200), strata=category)
    drawn = weighted_mean_interval(values, np.ones(200), np.arange(200))
    assert fixed.mean == drawn.mean
    error = np.sqrt(sum(values[category == one].var(ddof=1) / 100 for one in (0, 1))) / 2
    assert fixed.high - fixed.low == pytest.approx(2 * stats.t.ppf(0.975, 198) * error, rel=0.02)
    assert drawn.high - drawn.low > 20 * (fixed.high - fixed.low)


def test_the_category_that_holds_the_large_clusters_does_not_widen_the_others() -> None:
    rng = np.random.default_rng(10)
    category = np.repeat([0, 1], [300, 300])
    clusters = np.r_[np.repeat(np.arange(10), 30), np.arange(10, 310)]
    values = np.r_[np.full(300, 20.0), rng.normal(50, 30, 300)]
    found = weighted_mean_interval(values, np.ones(600), clusters, strata=category)
    half = 1.96 * values[300:].std(ddof=1) / np.sqrt(300) / 2
    assert found.high - found.low == pytest.approx(2 * half, rel=0.03)


def test_strata_that_share_a_cluster_or_hold_a_single_one_are_joined() -> None:
    strata = np.array([0, 0, 1, 1, 2, 3, 4, 4])
    clusters = np.array([0, 1, 1, 2, 3, 4, 5, 6])
    assert strata_of(strata, clusters).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    lone = strata_of(np.array([0, 0, 0, 1, 1, 2]), np.arange(6))
    assert lone.tolist() == [0, 0, 0, 1, 1, 1]


def test_unseen_values_are_sought_in_the_stratum_where_they_weigh_most() -> None:
    values = np.r_[np.zeros(10), np.ones(30)]
    found = weighted_mean_interval(
        values, np.ones(40), np.arange(40), strata=np.repeat([0, 1], [10, 30]), bounds=(0, 1)
    )
    unseen = 1 - 0.025 ** (1 / np.array([10, 30]))
    assert found.mean == 0.75
    assert found.high == pytest.approx(0.75 + unseen[0] / 4)
    assert found.low == pytest.approx(0.75 - unseen[1] * 3 / 4)


# --- paired tests ---


def test_without_skew_the_paired_test_is_students() -> None:
    gaps = np.random.default_rng(11).normal(0.3, 1, 12)
    gaps = np.r_[gaps, 0.8 - gaps]
    found = compare_paired(gaps, np.zeros(24), np.ones(24), np.arange(24))
    assert found.p_value == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)


@given(st.lists(st.sampled_from([-97.0, 0.0, 1.0, 3.0, 40.0]), min_size=2, max_size=60))
@settings(max_examples=80, deadline=None)
def test_p_is_below_five_percent_where_the_interval_leaves_out_nil(gaps: list[float]) -> None:
    found = compare_paired(gaps, np.zeros(len(gaps)), np.ones(len(gaps)), np.arange(len(gaps)))
    if len(set(gaps)) > 1:
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)


def test_small_p_values_are_resolved() -> None:
    gaps = np.random.default_rng(11).normal(1, 1, 200)
    found = compare_paired(gaps, np.zeros(200), np.ones(200), np.arange(200))
    assert 0 < found.p_value < 1e-12


def test_a_comparison_counts_wins_and_leaves_out_what_only_one_has() -> None:
    first = np.array([1.0, 0.0, 1.0, np.nan, 0.5] * 20)
    second = np.array([0.0, 0.0, 1.0, 1.0, 1.0] * 20)
    found = compare_paired(first, second, np.ones(100), np.arange(100), bounds=(0, 1))
    assert (found.n, found.wins, found.ties, found.losses) == (80, 20, 40, 20)
    assert found.difference == pytest.approx(0.125)
    assert found.low < 0.125 < found.high
    with pytest.raises(ValueError, match="no prompt in common"):
        compare_paired(np.array([np.nan]), np.array([1.0]), np.ones(1), np.arange(1))


def test_interval_and_test_agree_on_plain_data() -> None:
    rng = np.random.default_rng(12)
    first, second = rng.random(400) + 0.05, rng.random(400)
    found = compare_paired(first, second, np.ones(400), np.arange(400))
    t_test = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(t_test.pvalue, abs=0.01)
    low, high = t_test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_a_difference_that_every_prompt_shows_alike_is_as_clear_as_can_be() -> None:
    prompts = 30
    found = compare_paired(np.ones(prompts), np.zeros(prompts), np.ones(prompts), np.arange(prompts))
    assert found.p_value == pytest.approx(2 * 0.5**30)
    alike = compare_paired(np.ones(prompts), np.ones(prompts), np.ones(prompts), np.arange(prompts))
    assert alike.p_value == 1.0


def test_one_prompt_does_not_say_how_many_are_needed() -> None:
    found = compare_paired([1.0], [0.0], [1.0], ["a"])
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
    found = compare_all(values, np.ones(120), clusters)
    for row in range(5):
        for column in range(row + 1, 5):
            one = compare_paired(values[row], values[column], np.ones(120), clusters)
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
        wrong += any(rank.rank > 1 for rank in ranks(values, np.ones(150), np.arange(150)))
    assert wrong <= 6  # 5 % of 40, and three standard errors


def test_many_models_take_seconds() -> None:
    values = np.random.default_rng(16).random((30, COMP.size))
    start = time.perf_counter()
    weighted_mean_intervals(values, np.ones(COMP.size), COMP)
    ranks(values, np.ones(COMP.size), COMP)
    assert time.perf_counter() - start < 20
