"""Limited runs ask a fair, nested sample; slices weigh prompts as published."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpbench.records import Prompt
from sgpbench.tasks.census import take_census
from sgpbench.tasks.selection import order_prompts, select
from sgpbench.tasks.slices import category_slices, distinct_slice

SIZES = {"a/x": 40, "a/y": 40, "b": 80, "c": 7}
PROMPTS = [Prompt(f"{name}-{k}", "", name, f"{name}-{k // 2}") for name, size in SIZES.items() for k in range(size)]

sizes = st.dictionaries(st.text("abc/", min_size=1, max_size=4), st.integers(1, 30), min_size=1, max_size=6)


def _prompts(counts: dict[str, int]) -> list[Prompt]:
    return [Prompt(f"{name}-{k}", "", name, "") for name, size in counts.items() for k in range(size)]


@given(sizes, st.integers(0, 5), st.integers(0, 200))
def test_every_beginning_holds_each_category_in_its_share(counts: dict[str, int], seed: int, limit: int) -> None:
    prompts = _prompts(counts)
    chosen = select(prompts, limit, seed)
    assert len(chosen) == min(limit, len(prompts))
    found = Counter(prompt.category for prompt in chosen)
    for name, size in counts.items():
        assert abs(found[name] - len(chosen) * size / len(prompts)) <= len(counts)


@given(sizes, st.integers(0, 5), st.integers(0, 100), st.integers(0, 100))
def test_limits_are_nested(counts: dict[str, int], seed: int, small: int, more: int) -> None:
    prompts = _prompts(counts)
    assert select(prompts, small + more, seed)[:small] == select(prompts, small, seed)[:small]


@given(st.randoms(use_true_random=False))
def test_the_order_depends_on_seed_and_ids_alone(random: st.DrawFn) -> None:
    shuffled = list(PROMPTS)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert order_prompts(shuffled, 3) == order_prompts(PROMPTS, 3)


def test_another_seed_asks_other_prompts() -> None:
    first, second = (frozenset(p.id for p in select(PROMPTS, 40, seed)) for seed in (0, 1))
    assert first != second


def test_equal_categories_get_equal_numbers() -> None:
    chosen = Counter(prompt.category for prompt in select(_prompts(dict.fromkeys("abcde", 20)), 50, 0))
    assert set(chosen.values()) == {10}


def test_without_a_limit_all_are_asked() -> None:
    assert sorted(p.id for p in select(PROMPTS, None, 0)) == sorted(p.id for p in PROMPTS)


@pytest.fixture
def table() -> pd.DataFrame:
    """Five prompts, three of them the same text."""
    rows = [("1", "b/x", "t"), ("2", "a", "u"), ("3", "b/y", "t"), ("4", "b/x", "t"), ("5", "b/y", "v")]
    return pd.DataFrame(rows, columns=["prompt_id", "category", "cluster"])


def test_slices_are_overall_and_every_category_level(table: pd.DataFrame) -> None:
    slices = category_slices(table)
    assert [(part.name, part.kind) for part in slices] == [
        ("overall", "overall"),
        ("b", "category"),
        ("b/x", "category"),
        ("b/y", "category"),
        ("a", "category"),
    ]
    assert slices[0].weights == dict.fromkeys("12345", 1.0)
    assert slices[2].weights == {"1": 1.0, "4": 1.0}


def test_a_single_category_is_not_said_twice(table: pd.DataFrame) -> None:
    assert [part.name for part in category_slices(table.assign(category="all"))] == ["overall"]


def test_each_distinct_text_counts_once(table: pd.DataFrame) -> None:
    part = distinct_slice(table)
    assert (part.name, part.kind) == ("distinct texts", "variant")
    assert part.weights == pytest.approx({"1": 1 / 3, "2": 1.0, "3": 1 / 3, "4": 1 / 3, "5": 1.0})
    assert sum(part.weights.values()) == pytest.approx(table["cluster"].nunique())


def test_a_census_counts_levels_and_clusters() -> None:
    census = take_census(PROMPTS)
    assert (census.prompts, census.clusters) == (167, 84)
    assert {name: (c.prompts, c.clusters) for name, c in census.categories.items()} == {
        "a": (80, 40),
        "a/x": (40, 20),
        "a/y": (40, 20),
        "b": (80, 40),
        "c": (7, 4),
    }
