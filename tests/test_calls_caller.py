"""The caller: what it retries, what it gives up on, what it asks again, and what it charges. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from virtual_time import run

from sgpbench.errors import (
    BudgetError,
    BudgetReached,
    ModelUnavailable,
    RateLimited,
    TransientError,
    UnsupportedParameter,
)
from sgpbench.models.calls import Caller, CallEvent
from sgpbench.models.interface import Concurrency, Price
from sgpbench.models.limiter import Limiter, Pace
from sgpbench.models.money import Ledger
from sgpbench.records import Completion, FinishReason, Json, Message, Request, Sampling, TextPart, Usage

Answer = Sequence[Completion] | Exception | float
"""What a scripted model does: answers, fails, or takes so many seconds and then answers."""


def completions(request: Request) -> list[Completion]:
    return [Completion(f"{seed}", FinishReason.STOP, Usage(10, 20)) for seed in request.seeds]


class ScriptedModel:
    name = "scripted"
    accepts = frozenset({"messages"})
    sees = False
    seeds = True
    concurrency = Concurrency(1, 200)
    endpoint = "scripted"
    device = None
    identity: Mapping[str, Json] = {}

    def __init__(
        self,
        answer: Callable[[Request, int], Answer] = lambda request, _: completions(request),
        *,
        max_n: int = 1,
        price: Price | None = None,
    ) -> None:
        self._answer = answer
        self.max_n = max_n
        self.price = price
        self.asked: list[tuple[int, ...]] = []
        self.closed = False

    async def generate(self, request: Request) -> Sequence[Completion]:
        self.asked.append(request.seeds)
        answer = self._answer(request, len(self.asked) - 1)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return completions(request)
        return answer

    async def aclose(self) -> None:
        self.closed = True


def request(*seeds: int, max_tokens: int | None = 100) -> Request:
    return Request(
        Sampling(max_tokens=max_tokens),
        messages=(Message("user", (TextPart("draw a house"),)),),
        seeds=seeds or (1,),
        samples=tuple(range(len(seeds) or 1)),
    )


def caller_of(model: ScriptedModel, bounds: Concurrency | None = None, **options: object) -> Caller:
    return Caller(model, Limiter(bounds or Concurrency(1, 50)), **options)  # type: ignore[arg-type]


def failing_first(*failures: Exception) -> Callable[[Request, int], Answer]:
    return lambda request, number: failures[number] if number < len(failures) else completions(request)


def test_answers_come_in_the_order_of_the_seeds() -> None:
    caller = caller_of(ScriptedModel(max_n=4))
    answers = run(caller.ask(request(5, 6, 7)))
    assert [answer.text for answer in answers] == ["5", "6", "7"]
    assert caller.stats.requests == 1


def test_more_samples_than_the_model_returns_at_once_are_split() -> None:
    model = ScriptedModel(max_n=3)
    answers = run(caller_of(model).ask(request(*range(8))))
    assert [answer.text for answer in answers] == [str(seed) for seed in range(8)]
    assert sorted(model.asked) == [(0, 1, 2), (3, 4, 5), (6, 7)]


def test_only_missing_samples_are_asked_for_again() -> None:
    model = ScriptedModel(lambda request, _: completions(request)[:3], max_n=8)
    answers = run(caller_of(model).ask(request(*range(8))))
    assert [answer.text for answer in answers] == [str(seed) for seed in range(8)]
    assert model.asked == [(0, 1, 2, 3, 4, 5, 6, 7), (3, 4, 5, 6, 7), (6, 7)]


def test_more_completions_than_asked_for_are_left() -> None:
    model = ScriptedModel(lambda request, _: [*completions(request), *completions(request)], max_n=2)
    assert len(run(caller_of(model).ask(request(1, 2)))) == 2


def test_passing_failures_are_retried_and_counted() -> None:
    events: list[CallEvent] = []
    model = ScriptedModel(failing_first(TransientError("a reset"), RateLimited("slow down"), TransientError("again")))
    caller = caller_of(model, on_event=events.append)
    assert len(run(caller.ask(request()))) == 1
    stats = caller.stats
    assert (stats.requests, stats.answered, stats.retries, stats.rate_limited) == (4, 1, 3, 1)
    assert [event.kind for event in events] == ["retry", "rate_limited", "retry", "answered"]


def test_waits_grow_and_are_jittered() -> None:
    waits: list[float] = []
    failures = [TransientError("down")] * 9
    caller = caller_of(
        ScriptedModel(failing_first(*failures)),
        bounds=Concurrency(1, 1),
        on_event=lambda event: waits.append(event.wait_s or 0.0),
    )
    run(caller.ask(request()))
    for number, wait in enumerate(waits[:9]):
        assert 0.5 * min(60, 0.5 * 2**number) <= wait <= min(60, 0.5 * 2**number)
    assert len({wait / 2**number for number, wait in enumerate(waits[:9])}) > 1


def test_gives_up_with_the_last_error_when_patience_ends() -> None:
    model = ScriptedModel(lambda _, number: TransientError(f"failure {number}"))
    caller = caller_of(model, patience_s=100)

    async def asking() -> float:
        with pytest.raises(TransientError, match=r"failure \d+"):
            await caller.ask(request())
        return asyncio.get_running_loop().time()

    assert run(asking()) <= 100
    assert caller.stats.gave_up == 1


def test_an_attempt_that_takes_too_long_is_asked_again() -> None:
    model = ScriptedModel(lambda request, number: 10_000.0 if number == 0 else completions(request))
    caller = caller_of(model, timeout_s=30)

    async def asking() -> float:
        await caller.ask(request())
        return asyncio.get_running_loop().time()

    assert 30 <= run(asking()) <= 31
    assert caller.stats.retries == 1


def test_an_empty_answer_is_a_failure() -> None:
    model = ScriptedModel(lambda request, number: [] if number == 0 else completions(request))
    assert len(run(caller_of(model).ask(request()))) == 1


@pytest.mark.parametrize("error", [ModelUnavailable("HTTP 401"), UnsupportedParameter("no temperature")])
def test_a_model_that_cannot_be_used_stops_everything(error: Exception) -> None:
    model = ScriptedModel(lambda _request, _number: error)
    caller = caller_of(model, bounds=Concurrency(1, 1))

    async def asking() -> list[object]:
        waiting = [asyncio.create_task(caller.ask(request())) for _ in range(20)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    results = run(asking())
    assert {type(result) for result in results} == {type(error)}
    assert caller.stats.requests == 1


def test_what_arrived_is_kept_though_the_rest_fails() -> None:
    def answer(asked: Request, _number: int) -> Answer:
        return TransientError("poison") if asked.seeds == (3,) else completions(asked)

    kept: dict[int, str] = {}
    caller = caller_of(ScriptedModel(answer), patience_s=20)

    async def asking() -> None:
        with pytest.raises(TransientError, match="poison"):
            await caller.ask(request(1, 2, 3, 4), keep=lambda position, one: kept.update({position: one.text}))

    run(asking())
    assert kept == {0: "1", 1: "2", 3: "4"}


def test_waits_when_an_answer_says_that_nothing_is_left_of_the_rate() -> None:
    class Pacing(ScriptedModel):
        def pace(self) -> Pace | None:
            return Pace(0, 7.0) if len(self.asked) == 1 else None

    caller = caller_of(Pacing())

    async def asking() -> float:
        await caller.ask(request())
        await caller.ask(request())
        return asyncio.get_running_loop().time()

    assert run(asking()) >= 7


def test_a_model_with_a_time_limit_of_its_own_keeps_it() -> None:
    class Slow(ScriptedModel):
        timeout_s = 5_000.0

    caller = caller_of(Slow(lambda _request, _number: 4_000.0), timeout_s=30)
    assert len(run(caller.ask(request()))) == 1
    assert caller.stats.retries == 0


def test_costs_come_from_the_price() -> None:
    ledger = Ledger(None)
    caller = caller_of(ScriptedModel(price=Price(1.0, 10.0), max_n=2), ledger=ledger)
    answers = run(caller.ask(request(1, 2)))
    assert [answer.cost_usd for answer in answers] == [pytest.approx(210e-6)] * 2
    assert ledger.spent_usd == pytest.approx(420e-6)


def test_a_budget_is_used_and_never_crossed() -> None:
    ledger = Ledger(0.02)
    model = ScriptedModel(lambda _request, _number: 1.0, price=Price(1.0, 10.0))
    caller = caller_of(model, ledger=ledger)
    reached = 0

    async def asking() -> list[object]:
        return await asyncio.gather(*(caller.ask(request()) for _ in range(500)), return_exceptions=True)

    results = run(asking())
    reached = sum(isinstance(result, BudgetReached) for result in results)
    answered = sum(not isinstance(result, BaseException) for result in results)
    assert answered + reached == 500
    assert ledger.spent_usd == pytest.approx(answered * 210e-6)
    # A call may cost up to 1,044 millionths (44 for the input, 1,000 for 100 tokens), and cost 210.
    assert 0.02 - 1044e-6 <= ledger.spent_usd <= 0.02
    assert ledger.reserved_usd == 0


def test_a_budget_without_a_price_is_an_error() -> None:
    with pytest.raises(BudgetError, match="price of scripted is not known"):
        caller_of(ScriptedModel(), ledger=Ledger(1.0))


def test_a_budget_without_a_token_limit_is_an_error() -> None:
    caller = caller_of(ScriptedModel(price=Price(1.0, 1.0)), ledger=Ledger(1.0))
    with pytest.raises(BudgetError, match="without a token limit"):
        run(caller.ask(request(max_tokens=None)))


def test_answers_that_may_have_been_billed_but_were_lost_count_against_the_budget() -> None:
    ledger = Ledger(1.0)
    failures = (TransientError("cut", maybe_billed=True), TransientError("refused"))
    caller = caller_of(ScriptedModel(failing_first(*failures), price=Price(0.0, 10.0)), ledger=ledger)
    run(caller.ask(request()))
    assert ledger.lost_usd == pytest.approx(1000e-6)
    assert ledger.spent_usd == pytest.approx(200e-6)


def test_an_answer_without_usage_counts_at_its_upper_bound() -> None:
    ledger = Ledger(1.0)
    model = ScriptedModel(lambda _request, _number: [Completion("", FinishReason.STOP)], price=Price(0.0, 10.0))
    run(caller_of(model, ledger=ledger).ask(request()))
    assert ledger.spent_usd == pytest.approx(1000e-6)


def test_closing_closes_the_model() -> None:
    model = ScriptedModel()
    run(caller_of(model).aclose())
    assert model.closed
