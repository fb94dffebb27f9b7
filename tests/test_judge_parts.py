"""How part scores become a drawing's score, and how well repeats agree."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_support import BINDING, NUMERACY

from sgpbench.metrics.agreement import judge_agreement, krippendorff_alpha
from sgpbench.metrics.judge_parts import combine, mean_over_repeats, numeracy_score, zeros

SCALE = (100, 50, 30, 0)
WEIGHTS = (0.2, 0.2, 0.6)


def all_combinations() -> list[tuple[int, int, list[int]]]:
    return [
        (total, items, list(counts))
        for nouns in (2, 3)
        for total, items, *counts in itertools.product(SCALE, repeat=2 + nouns)
    ]


def test_truncated_numeracy_differs_from_exact_arithmetic_in_33_of_1280_combinations() -> None:
    different = 0
    for total, items, counts in all_combinations():
        exact = (Decimal(total + items) * len(counts) + 3 * Decimal(sum(counts))) / (5 * len(counts))
        truncated = numeracy_score(total, items, counts, WEIGHTS, "truncated")
        assert truncated == int(0.2 * total + 0.2 * items + 0.6 * (sum(counts) / len(counts)))
        different += truncated != int(exact)
    assert (different, len(all_combinations())) == (33, 1280)


def test_exact_numeracy_is_rounded_once() -> None:
    for total, items, counts in all_combinations():
        score = numeracy_score(total, items, counts, WEIGHTS, "exact")
        assert score == ((total + items) * len(counts) + 3 * sum(counts)) / (5 * len(counts))


def test_a_single_part_is_the_score() -> None:
    assert combine(BINDING.rubric, {"binding": 30}, WEIGHTS, "exact") == {"": 30.0}


def test_numeracy_has_a_score_and_three_parts() -> None:
    scores = {"total": 50, "items": 0, "count.1": 100, "count.2": 50}
    assert combine(NUMERACY.rubric, scores, WEIGHTS, "exact") == {"": 55.0, "total": 50.0, "items": 0.0, "count": 75.0}


def test_a_missing_part_is_never_taken_for_a_zero() -> None:
    with pytest.raises(KeyError):
        combine(NUMERACY.rubric, {"total": 50, "items": 0, "count.1": 100}, WEIGHTS, "exact")


def test_zeros_name_only_the_parts_a_prompt_has() -> None:
    assert zeros(BINDING.rubric, with_parts=True) == {"": 0.0}
    assert zeros(NUMERACY.rubric, with_parts=True) == {"": 0.0, "total": 0.0, "items": 0.0, "count": 0.0}
    assert zeros(NUMERACY.rubric, with_parts=False) == {"": 0.0}


def test_repeats_are_averaged_after_each_was_put_together() -> None:
    assert mean_over_repeats([{"": 59.0}, {"": 60.0}]) == {"": 59.5}


def krippendorffs_example() -> list[list[float]]:
    """Four observers, twelve units, with gaps: Krippendorff (2011), section C."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    columns = zip(*(row.split() for row in observers), strict=True)
    return [[float(value) for value in column if value != "."] for column in columns]


def test_alpha_is_the_published_one_of_the_textbook_example() -> None:
    assert krippendorff_alpha(krippendorffs_example(), "interval") == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(krippendorffs_example(), "ordinal") == pytest.approx(0.815, abs=5e-4)


def test_alpha_of_equal_repeats_is_one_and_of_opposite_ones_negative() -> None:
    assert krippendorff_alpha([[100, 100], [0, 0]]) == 1.0
    assert krippendorff_alpha([[100, 0], [0, 100]]) == pytest.approx(-0.5)


def test_alpha_is_undefined_where_nothing_varies_or_nothing_was_judged_twice() -> None:
    assert krippendorff_alpha([[50, 50], [50, 50]]) is None
    assert krippendorff_alpha([[50], [100]]) is None
    assert krippendorff_alpha([]) is None


@given(st.lists(st.lists(st.sampled_from(SCALE), min_size=2, max_size=4), min_size=2, max_size=8))
def test_alpha_knows_no_order(units: list[list[int]]) -> None:
    shuffled = [unit[::-1] for unit in units[::-1]]
    assert krippendorff_alpha(units) == pytest.approx(krippendorff_alpha(shuffled))


def test_agreement_is_taken_over_parts() -> None:
    first = [{"id": part, "repeat": k, "score": 100} for k in range(2) for part in ("total", "items")]
    second = [{"id": "binding", "repeat": 0, "score": 0}, {"id": "binding", "repeat": 1, "score": 50}]
    agreement = judge_agreement([first, second])
    assert (agreement.units, agreement.repeats, agreement.level) == (3, 2, "interval")
    assert agreement.alpha == krippendorff_alpha([[100, 100], [100, 100], [0, 50]])


def test_agreement_of_a_single_reading_is_not_defined() -> None:
    agreement = judge_agreement([[{"id": "binding", "repeat": 0, "score": 100}]])
    assert (agreement.alpha, agreement.units, agreement.repeats) == (None, 0, 1)
