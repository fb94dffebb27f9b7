"""The whole way over real connections: adapter, caller and limiter against the server that misbehaves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import openai  # noqa: F401  (the first request would else wait for the import, which takes longer than its time limit)
import pytest
from server import Behaviour, Fault, MisbehavingServer

from sgpbench.errors import TransientError
from sgpbench.models.calls import Caller, CallStats
from sgpbench.models.interface import Concurrency, ModelSpec, Price
from sgpbench.models.limiter import Limiter
from sgpbench.models.money import Ledger
from sgpbench.models.openai_adapter import open_openai
from sgpbench.records import Completion, Message, Request, Sampling, TextPart

LATENCY_S = 1.2


def prompt(number: int, samples: int = 1) -> Request:
    message = Message("user", (TextPart(f"thing {number}"),))
    return Request(Sampling(max_tokens=50), messages=(message,), seeds=tuple(range(samples)))


def caller_of(server: MisbehavingServer, bounds: Concurrency | None = None, **options: object) -> Caller:
    model = open_openai(ModelSpec("mine", "openai", "m", {"base_url": f"{server.url}/v1"}, price=Price(1.0, 1.0)))
    settings = {"patience_s": 60.0, "backoff_s": 0.02, **options}
    return Caller(model, Limiter(bounds or Concurrency(1, 200)), **settings)  # type: ignore[arg-type]


def ask_for(
    behaviour: Behaviour, seconds: float, *, at_once: int = 300
) -> tuple[MisbehavingServer, CallStats, dict[int, Sequence[Completion]]]:
    """Asks ever new prompts for so long, and waits for all answers."""

    async def asking() -> tuple[MisbehavingServer, CallStats, dict[int, Sequence[Completion]]]:
        async with MisbehavingServer(behaviour) as server:
            caller = caller_of(server, timeout_s=4.0)
            answers: dict[int, Sequence[Completion]] = {}
            numbers = itertools.count()
            end = asyncio.get_running_loop().time() + seconds

            async def worker() -> None:
                while asyncio.get_running_loop().time() < end:
                    number = next(numbers)
                    answers[number] = await caller.ask(prompt(number))

            await asyncio.gather(*(worker() for _ in range(at_once)))
            await caller.aclose()
            caller.limiter.close()
            return server, caller.stats, answers

    return asyncio.run(asking())


def occupied(server: MisbehavingServer, begin: float, end: float, limit: int) -> float:
    """The share of the allowed places that was taken on average between two times."""
    spans = [(one.at, one.done_at) for one in server.received if one.status != 429]
    taken = sum(max(0.0, min(last, end) - max(first, begin)) for first, last in spans)
    return taken / (limit * (end - begin))


def peak(server: MisbehavingServer, begin: float, end: float) -> int:
    """Most requests at the server at once, those it turned away included."""
    moments = [(one.at, 1) for one in server.received] + [(one.done_at, -1) for one in server.received]
    level = highest = 0
    for moment, step in sorted(moments):
        level += step
        if begin <= moment < end:
            highest = max(highest, level)
    return highest


def unreliable(number: int, _prompt: str) -> Fault:
    """About one request in twelve goes wrong, in every way there is."""
    ways = ("reset", "malformed", "empty", "500", "cut", "504", "blank", "trickle")
    return ways[number // 12 % len(ways)] if number % 12 == 5 else "ok"


@pytest.mark.slow
def test_a_limit_that_changes_midway_is_kept_and_used_and_nothing_is_lost() -> None:
    """30 places, then a storm of a second and a half, then 20 places; about one request in twelve fails besides."""
    behaviour = Behaviour(
        latency_s=LATENCY_S,
        limit=lambda now: 30 if now < 10 else 20,
        storm=lambda now: 10 <= now < 11.5,
        fault=unreliable,
        refusal_headers={"retry-after-ms": "500"},
    )
    for _ in range(3):  # a machine that others use too can only make it look worse: the best of three counts
        server, stats, answers = ask_for(behaviour, 22, at_once=60)
        early, late = occupied(server, 5, 10, 30), occupied(server, 16, 22, 20)
        if min(early, late) >= 0.9:
            break
    assert early >= 0.9
    assert late >= 0.9
    assert peak(server, 5, 10) <= 45
    assert peak(server, 16, 22) <= 30
    assert sum(10 <= one.at < 11.5 for one in server.received) < 60
    assert {len(one) for one in answers.values()} == {1}
    assert server.answered.total() == len(answers)
    assert set(server.answered.values()) == {1}
    refused = sum(one.status == 429 for one in server.received)
    assert stats.requests == len(server.received)
    assert (stats.rate_limited, stats.gave_up) == (refused, 0)
    assert refused < 0.2 * len(server.received)


@pytest.mark.parametrize("fault", ["reset", "cut", "malformed", "html", "empty", "blank", "500", "trickle"])
def test_every_way_of_failing_is_survived(fault: Fault) -> None:
    async def asking() -> tuple[MisbehavingServer, CallStats]:
        async with MisbehavingServer(Behaviour(fault=lambda number, _: fault if number % 2 == 0 else "ok")) as server:
            caller = caller_of(server, Concurrency(1, 1), timeout_s=0.3, backoff_s=0.01)
            for number in range(3):
                assert len(await caller.ask(prompt(number))) == 1
            await caller.aclose()
            return server, caller.stats

    server, stats = asyncio.run(asking())
    assert server.answered == {"thing 0": 1, "thing 1": 1, "thing 2": 1}
    assert (stats.requests, stats.retries, stats.answered) == (6, 3, 3)


def test_several_samples_in_one_request_and_only_the_missing_again() -> None:
    async def asking(most_samples: int) -> list[object]:
        async with MisbehavingServer(Behaviour(most_samples=most_samples)) as server:
            caller = caller_of(server)
            assert len(await caller.ask(prompt(0, 8))) == 8
            await caller.aclose()
            return [one.body.get("n", 1) for one in server.received]

    assert asyncio.run(asking(128)) == [8]
    assert asyncio.run(asking(1)) == [8, *[1] * 7]


def test_what_may_have_been_billed_counts_against_a_budget() -> None:
    async def asking() -> Ledger:
        async with MisbehavingServer(Behaviour(fault=lambda number, _: ("cut", "500", "ok")[number])) as server:
            ledger = Ledger(1.0)
            caller = caller_of(server, ledger=ledger, backoff_s=0.01)
            await caller.ask(prompt(0))
            await caller.aclose()
            return ledger

    ledger = asyncio.run(asking())
    assert ledger.spent_usd == pytest.approx(12e-6)
    assert 50e-6 < ledger.lost_usd < 120e-6
    assert ledger.reserved_usd == 0


def test_patience_ends_with_the_providers_words() -> None:
    async def asking() -> int:
        behaviour = Behaviour(fault=lambda _number, _prompt: "503", error_message="we are moving house")
        async with MisbehavingServer(behaviour) as server:
            caller = caller_of(server, patience_s=0.3, backoff_s=0.05)
            with pytest.raises(TransientError, match="mine: HTTP 503: we are moving house"):
                await caller.ask(prompt(0))
            await caller.aclose()
            return len(server.received)

    assert 2 <= asyncio.run(asking()) <= 12
