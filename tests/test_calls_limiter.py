"""The limiter against simulated endpoints, in virtual time: it finds limits, keeps them, and leaves the down alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

import pytest
from virtual_time import run

from sgpbench.errors import RateLimited, TransientError
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency
from sgpbench.models.limiter import EndpointDown, Limiter, Limiters
from sgpbench.records import Completion, FinishReason, Json, Request, Sampling

ANY_NUMBER = 10**9


class SimulatedModel:
    """Answers after a while, turns requests above a limit away, and remembers when."""

    name = "simulated"
    accepts = frozenset({"messages"})
    sees = False
    max_n = 1
    seeds = False
    concurrency = Concurrency(1, 200)
    price = None
    endpoint = "simulated"
    device = None
    identity: Mapping[str, Json] = {}

    def __init__(
        self,
        limit: Callable[[float], int] = lambda _: ANY_NUMBER,
        *,
        latency_s: float = 0.2,
        retry_after: float | None = None,
        storm: Callable[[float], bool] = lambda _: False,
        down: Callable[[float], bool] = lambda _: False,
    ) -> None:
        self._limit = limit
        self._latency_s = latency_s
        self._retry_after = retry_after
        self._storm = storm
        self._down = down
        self._chance = random.Random(7)
        self.in_flight = 0
        self.sent = 0
        self.most_sent: list[tuple[float, int]] = []
        """Requests that arrived and were not yet answered, turned away ones included, by time."""
        self.started: list[tuple[float, int]] = []
        self.answered: list[float] = []
        self.refused: list[float] = []

    async def generate(self, request: Request) -> Sequence[Completion]:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.sent += 1
        self.most_sent.append((now, self.sent))
        try:
            return await self._answer(loop, now)
        finally:
            self.sent -= 1

    async def _answer(self, loop: asyncio.AbstractEventLoop, now: float) -> Sequence[Completion]:
        if self._down(now):
            self.refused.append(now)
            await asyncio.sleep(0.002)
            raise TransientError("connection refused")
        if self._storm(now) or self.in_flight >= self._limit(now):
            self.refused.append(now)
            await asyncio.sleep(0.005)
            raise RateLimited("slow down", retry_after=self._retry_after)
        self.in_flight += 1
        self.started.append((now, self.in_flight))
        try:
            await asyncio.sleep(self._latency_s * self._chance.uniform(0.7, 1.3))
        finally:
            self.in_flight -= 1
        self.answered.append(loop.time())
        return [Completion("", FinishReason.STOP)]

    async def aclose(self) -> None:
        """Nothing to close."""

    def share(self, begin: float, end: float, allowed_per_s: float) -> float:
        """Answers between two times, as a share of what is allowed."""
        return sum(begin <= moment < end for moment in self.answered) / (allowed_per_s * (end - begin))

    def peak(self, begin: float, end: float = float("inf")) -> int:
        """Most requests on their way at once, those that are about to be turned away included."""
        return max((level for moment, level in self.most_sent if begin <= moment < end), default=0)


def ask_for(
    model: SimulatedModel, seconds: float, *, requests: int = 20_000, bounds: Concurrency | None = None
) -> Caller:
    """Asks as many as fit into so many virtual seconds."""

    async def asking() -> Caller:
        limiter = Limiter(bounds or Concurrency(1, 200), chance=random.Random(1))
        caller = Caller(model, limiter, chance=random.Random(2))
        left = iter(range(requests))

        async def worker() -> None:
            for _ in left:
                await caller.ask(Request(Sampling()))

        tasks = [asyncio.create_task(worker()) for _ in range(400)]
        await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        limiter.close()
        return caller

    return run(asking())


@pytest.mark.parametrize("retry_after", [None, 0.5, 1.0])
def test_finds_a_hard_limit_and_stays_at_it(retry_after: float | None) -> None:
    model = SimulatedModel(lambda _: 20, retry_after=retry_after)
    ask_for(model, 45)
    assert model.share(5, 45, 100) >= 0.9
    assert model.peak(5) <= 30
    assert len(model.refused) < 0.02 * len(model.answered)


def test_a_limit_that_falls_is_followed() -> None:
    model = SimulatedModel(lambda now: 40 if now < 10 else 12)
    ask_for(model, 25)
    assert model.share(5, 10, 200) >= 0.9
    assert model.share(15, 25, 60) >= 0.9
    assert model.peak(15) <= 18


def test_a_limit_that_rises_is_found() -> None:
    model = SimulatedModel(lambda now: 12 if now < 10 else 60)
    ask_for(model, 25)
    assert model.share(18, 25, 300) >= 0.9


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_a_storm_is_sat_out_and_forgotten(retry_after: float | None) -> None:
    model = SimulatedModel(lambda _: 20, retry_after=retry_after, storm=lambda now: 10 <= now < 14)
    ask_for(model, 40)
    assert sum(10.5 <= moment < 14 for moment in model.refused) < 60
    assert model.share(20, 40, 100) >= 0.9
    assert model.peak(5) <= 30


def test_retry_after_pauses_the_whole_endpoint() -> None:
    model = SimulatedModel(retry_after=3.0, storm=lambda now: 5 <= now < 5.2)
    ask_for(model, 12, bounds=Concurrency(10, 10))
    assert not [moment for moment, _ in model.started if 5.2 <= moment < 7.9]
    assert model.share(9, 12, 50) >= 0.9


def test_grows_quickly_where_nothing_limits_it() -> None:
    model = SimulatedModel()
    ask_for(model, 6)
    assert model.peak(0, 3) == 200
    assert model.share(3, 6, 1000) >= 0.95


def test_bounds_hold() -> None:
    model = SimulatedModel(lambda _: 4)
    caller = ask_for(model, 10, bounds=Concurrency(8, 8))
    assert caller.limiter.limit in {1, 8}
    assert len(model.answered) > 100


def test_a_slow_model_is_not_overrun() -> None:
    model = SimulatedModel(lambda _: 50, latency_s=10)
    ask_for(model, 200, requests=1000)
    assert model.share(20, 180, 5) >= 0.9


def test_errors_at_random_do_not_lower_the_limit() -> None:
    chance = random.Random(3)
    model = SimulatedModel(down=lambda _: chance.random() < 0.3)
    ask_for(model, 10, bounds=Concurrency(1, 50))
    assert model.share(5, 10, 250) >= 0.85


def test_a_place_that_is_cleared_late_does_not_lower_the_limit() -> None:
    chance = random.Random(4)
    model = SimulatedModel(lambda _: 20 if chance.random() < 0.995 else 0)
    ask_for(model, 20, bounds=Concurrency(1, 20))
    assert model.share(5, 20, 100) >= 0.93


def test_a_server_that_is_down_is_asked_ever_more_rarely() -> None:
    model = SimulatedModel(down=lambda now: 5 <= now < 65)
    ask_for(model, 100, bounds=Concurrency(1, 50))
    during = [moment for moment in model.refused if 6 <= moment < 65]
    assert len(during) < 20
    back = min(moment for moment in model.answered if moment > 65)
    assert back < 96
    assert model.share(back + 1, back + 4, 250) >= 0.9


def test_an_endpoint_silent_for_longer_than_patience_fails_everyone_waiting() -> None:
    model = SimulatedModel(down=lambda _: True)

    async def asking() -> tuple[float, int]:
        limiter = Limiter(Concurrency(1, 50))
        caller = Caller(model, limiter, patience_s=60)
        results = await asyncio.gather(*(caller.ask(Request(Sampling())) for _ in range(1000)), return_exceptions=True)
        assert all(isinstance(result, TransientError) for result in results)
        assert {str(result) for result in results} == {"connection refused"}
        return asyncio.get_running_loop().time(), caller.stats.requests

    ended, requests = run(asking())
    assert ended < 200
    assert requests < 200


def test_a_pause_longer_than_patience_is_not_waited_for() -> None:
    async def asking() -> float:
        limiter = Limiter(Concurrency(1, 50))
        slot = await limiter.acquire(900)
        limiter.rejected(slot, RateLimited("come back tomorrow", retry_after=86_400))
        with pytest.raises(EndpointDown, match="come back tomorrow"):
            await limiter.acquire(900)
        return asyncio.get_running_loop().time()

    assert run(asking()) < 1


def test_turns_are_in_order_and_repeats_go_first() -> None:
    async def asking() -> list[str]:
        limiter = Limiter(Concurrency(1, 1))
        held = await limiter.acquire(60)
        order: list[str] = []

        async def one(name: str, *, first: bool) -> None:
            slot = await limiter.acquire(60, first=first)
            order.append(name)
            limiter.succeeded(slot)

        tasks = [asyncio.create_task(one(name, first=name == "again")) for name in ("a", "b", "again", "c")]
        await asyncio.sleep(0)
        limiter.succeeded(held)
        await asyncio.gather(*tasks)
        limiter.close()
        return order

    assert run(asking()) == ["again", "a", "b", "c"]


def test_cancelled_requests_give_their_turn_back() -> None:
    async def asking() -> tuple[int, int]:
        limiter = Limiter(Concurrency(1, 2))
        model = SimulatedModel(latency_s=1000)
        caller = Caller(model, limiter)
        tasks = [asyncio.create_task(caller.ask(Request(Sampling()))) for _ in range(10)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        limiter.close()
        return limiter.in_flight, limiter.waiting

    assert run(asking()) == (0, 0)


def test_one_limiter_for_an_endpoint_within_the_tightest_bounds() -> None:
    limiters = Limiters()
    first = limiters.limiter_for("openai (abc)", Concurrency(5, 100))
    second = limiters.limiter_for("openai (abc)", Concurrency(1, 40))
    assert first is second
    assert second.bounds == Concurrency(1, 40)
    assert limiters.limiter_for("anthropic (abc)", Concurrency(5, 100)) is not first
