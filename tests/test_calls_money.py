"""Prices, upper bounds, and a ledger that is never crossed."""

from __future__ import annotations

import asyncio
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from virtual_time import run

from sgpbench.errors import BudgetError, BudgetReached
from sgpbench.models.interface import Price
from sgpbench.models.money import (
    Estimate,
    Ledger,
    cost_usd,
    estimate,
    rough_input_tokens,
    split_usage,
    total,
    upper_bound_usd,
)
from sgpbench.records import ImagePart, Message, Request, Sampling, TextPart, Usage

COUNTS = st.none() | st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("usage", "price", "dollars"),
    [
        (Usage(1_000_000, 1_000_000), Price(2.0, 8.0), 10.0),
        (Usage(1_000_000, 0, cached_tokens=400_000), Price(2.0, 8.0, cached=0.5), 1.4),
        (Usage(1_000_000, 0, cached_tokens=400_000), Price(2.0, 8.0), 2.0),
        (Usage(0, 1_000_000, reasoning_tokens=250_000), Price(2.0, 8.0, reasoning=4.0), 7.0),
        (Usage(0, 1_000_000, reasoning_tokens=250_000), Price(2.0, 8.0), 8.0),
        (Usage(10, None), Price(2.0, 8.0), None),
        (Usage(None, 10), Price(2.0, 8.0), None),
        (Usage(10, 10), None, None),
    ],
)
def test_cost(usage: Usage, price: Price | None, dollars: float | None) -> None:
    assert cost_usd(usage, price) == (None if dollars is None else pytest.approx(dollars))


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.integers(1, 130))
def test_shares_of_usage_add_up(
    given_input: int | None, output: int | None, cached: int | None, reasoning: int | None, samples: int
) -> None:
    whole = Usage(given_input, output, cached, reasoning)
    parts = split_usage(whole, samples)
    assert len(parts) == samples
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"):
        counts = [getattr(part, name) for part in parts]
        if getattr(whole, name) is None:
            assert set(counts) == {None}
        else:
            assert sum(counts) == getattr(whole, name)
            assert max(counts) - min(counts) <= 1


def picture(width: int, height: int) -> ImagePart:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return ImagePart(file.getvalue(), "image/png")


def test_an_upper_bound_covers_text_pictures_and_every_sample() -> None:
    request = Request(
        Sampling(), messages=(Message("user", (TextPart("ä" * 100), picture(512, 512))),), seeds=(1, 2, 3)
    )
    bound = upper_bound_usd(request, Price(1.0, 10.0, reasoning=20.0), 1000)
    text, framing, image = 200, 32, 2833 + 5667
    assert bound == pytest.approx((text + framing + image + 3 * 1000 * 20.0) / 1e6)
    larger = Request(Sampling(), messages=(Message("user", (picture(1024, 513),)),))
    assert upper_bound_usd(larger, Price(1.0, 0.0), 0) == pytest.approx((framing + 2833 + 4 * 5667) / 1e6)


def test_a_picture_that_cannot_be_read_still_has_a_bound() -> None:
    request = Request(Sampling(), messages=(Message("user", (ImagePart(b"?", "image/png"),)),))
    assert upper_bound_usd(request, Price(1.0, 0.0), 0) > 0.08


def test_rough_tokens() -> None:
    request = Request(Sampling(), messages=(Message("user", (TextPart("x" * 400), picture(8, 8))),))
    assert rough_input_tokens(request) == 100 + 800 + 4
    assert rough_input_tokens(Request(Sampling(), text="x" * 41)) == 11


def test_estimates_add_up_and_know_what_they_do_not_know() -> None:
    drawing = estimate(800, 100, 2000, Price(1.0, 10.0))
    assert drawing == Estimate(800, 80_000, 1_600_000, pytest.approx(16.08))
    judging = estimate(800, 900, 60, None)
    assert total([drawing, judging]) == Estimate(1600, 800_000, 1_648_000, None)
    assert total([drawing, drawing]).cost_usd == pytest.approx(32.16)


@settings(max_examples=60)
@given(
    st.floats(0.1, 5.0),
    st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 1.0), st.sampled_from("sslr")), max_size=40),
    st.integers(0, 1000),
)
def test_a_ledger_is_never_crossed(budget: float, calls: list[tuple[float, float, str]], seed: int) -> None:
    ledger = Ledger(budget)
    chance = random.Random(seed)
    highest = 0.0

    async def call(most: float, share: float, end: str) -> None:
        nonlocal highest
        reservation = await ledger.reserve(most)
        await asyncio.sleep(chance.random())
        if end == "s":
            ledger.settle(reservation, most * share)
        elif end == "l":
            ledger.lose(reservation)
        else:
            ledger.release(reservation)
        highest = max(highest, ledger.spent_usd + ledger.lost_usd)

    async def all_calls() -> list[object]:
        return await asyncio.gather(*(call(*one) for one in calls), return_exceptions=True)

    results = run(all_calls())
    assert {type(result) for result in results} <= {type(None), BudgetReached}
    assert highest <= budget + 1e-9
    assert ledger.reserved_usd == 0
    if all(most <= 0 for most, _, _ in calls) or sum(most for most, _, _ in calls) <= budget - 1e-6:
        assert set(results) <= {None}


def test_a_call_waits_for_those_in_flight_before_the_budget_counts_as_reached() -> None:
    ledger = Ledger(1.0, spent_usd=0.2)

    async def calls() -> list[float]:
        moments = []
        first = await ledger.reserve(0.6)
        waiting = asyncio.create_task(ledger.reserve(0.6))
        await asyncio.sleep(5)
        assert not waiting.done()
        ledger.settle(first, 0.1)
        second = await waiting
        moments.append(asyncio.get_running_loop().time())
        ledger.settle(second, 0.6)
        with pytest.raises(BudgetReached, match=r"budget of \$1.00 is reached: \$0.9000 is spent.* --budget"):
            await ledger.reserve(0.2)
        return moments

    assert run(calls()) == [5.0]
    assert BudgetReached("").exit_code == 3


def test_money_spent_and_lost_at_earlier_starts_is_no_longer_there() -> None:
    ledger = Ledger(1.0, spent_usd=0.3, lost_usd=0.5)
    assert ledger.remaining_usd == pytest.approx(0.2)

    async def calls() -> None:
        ledger.release(await ledger.reserve(0.1))
        with pytest.raises(BudgetReached):
            await ledger.reserve(0.3)

    run(calls())


def test_a_budget_needs_a_price_and_none_needs_none() -> None:
    Ledger(None).require_price("some/model", None)
    Ledger(1.0).require_price("some/model", Price(0.0, 0.0))
    with pytest.raises(BudgetError, match=r"price of some/model is not known.* --budget"):
        Ledger(1.0).require_price("some/model", None)


def test_a_cancelled_call_gives_its_place_back() -> None:
    ledger = Ledger(1.0)

    async def calls() -> None:
        held = await ledger.reserve(0.9)
        waiting = asyncio.create_task(ledger.reserve(0.9))
        behind = asyncio.create_task(ledger.reserve(0.05))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(1)
        ledger.release(await behind)
        ledger.release(held)

    run(calls())
    assert ledger.remaining_usd == pytest.approx(1.0)


def test_without_a_budget_everything_is_counted_and_nothing_stopped() -> None:
    ledger = Ledger(None)

    async def calls() -> None:
        reservation = await ledger.reserve(1e9)
        ledger.settle(reservation, 3.5)

    run(calls())
    assert (ledger.spent_usd, ledger.remaining_usd) == (3.5, None)
