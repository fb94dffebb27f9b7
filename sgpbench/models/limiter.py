"""How many requests may be in flight at one endpoint: a limiter that finds the provider's limit by itself.

A limiter starts at ``START`` requests and grows by half every ``TICK`` seconds while requests wait, until the endpoint
turns one away (additive increase above a known ceiling, faster below it). A rejection cuts the limit to what the
endpoint evidently accepts (the requests in flight before the rejected one), by at least 5 %; that number becomes the
ceiling, to which the limit returns at once. Above a ceiling it looks again only after a while: a probe costs one
rejected request, or, where the provider answers with ``Retry-After``, a pause of everything; such pauses may cost 4 %
of the throughput.

A ``Retry-After`` pauses the whole endpoint. When nothing succeeds any more (every request of a window fails or is
turned away) the endpoint counts as down: one request at a time asks whether it is back, ever more rarely, and with the
first success the limit that was proven before applies again. What is a rejection and what a failure is the caller's to
say; the limiter knows nothing of models.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass

from sgpbench.errors import TransientError
from sgpbench.models.interface import Concurrency

__all__ = ["START", "TICK", "EndpointDown", "Limiter", "Limiters", "Pace", "Slot"]

TICK = 0.25
"""Seconds between two looks at whether the limit may grow."""
START = 16
"""Requests in flight a limiter starts with, within its bounds."""

_GROWTH = 1.5
_CUT = 0.95
_FIRST_PROBE = 0.05
_LARGEST_PROBE = 0.25
_SHORTEST_HOLD, _LONGEST_HOLD = 0.5, 60.0
"""Seconds without a probe after a rejection: about two answers' time, up to four times that while the ceiling stays the
same."""
_COST_OF_PROBING = 0.04
"""The same where the provider answers with ``Retry-After``: as long as keeps the pauses below this share of the time."""
_LONGEST_HOLD_OF_PAUSES = 600.0
_FAILURES_TO_BE_DOWN = 8
_FIRST_PROBE_OF_LIFE = 0.5
_LAST_PROBE_OF_LIFE = 30.0
_MEMORY = 5.0
"""Seconds that a proven number of requests in flight is remembered for at least."""


class EndpointDown(TransientError):
    """Nothing has come from the endpoint for as long as the request may wait; it was not sent. Holds the last error."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a provider said of its own limit in an answer: what is left, and seconds until there is more."""

    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to have one request in flight; given back exactly once."""

    started: float
    level: int
    """Requests in flight when this one was let in, itself included."""
    silence: int
    """How many times the endpoint had fallen silent before."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    entry: asyncio.Future[Slot]
    patience_s: float


class Limiter:
    """Lets requests to one endpoint through, first come first served. Belongs to one event loop."""

    def __init__(self, bounds: Concurrency, *, chance: random.Random | None = None) -> None:
        self.bounds = bounds
        self.in_flight = 0
        self._limit = float(min(bounds.high, max(bounds.low, START)))
        self._ceiling = float(bounds.high)
        self._chance = chance or random.Random()
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._grown_at = 0.0
        self._paused_until = 0.0
        # What was learnt about the ceiling.
        self._cut_at = 0.0
        self._settled = 0.0
        self._accepted = 0
        self._struck_at = float("-inf")
        self._hold_until = 0.0
        self._hold_factor = 1
        self._probes = 0
        self._mean_latency = 1.0
        self._proven = (0.0, 0, 0)
        # Whether the endpoint answers at all.
        self._failures = 0
        self._silent_since: float | None = None
        self._silences = 0
        self._older = 0
        self._least_patience = float("inf")
        self._last_error: TransientError | None = None
        self._down_since: float | None = None
        self._life_probes = 0

    @property
    def limit(self) -> int:
        """Requests that may be in flight now; 1 while the endpoint is down."""
        return 1 if self._down_since is not None else int(self._limit)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiters)

    async def acquire(self, patience_s: float, *, first: bool = False) -> Slot:
        """Waits for a turn; ``first`` goes to the head of the queue (a request that is asked again).

        Raises:
            EndpointDown: the endpoint has not answered anything for ``patience_s`` seconds, or asked for a longer
                pause than that.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._raise_if_hopeless(now, patience_s)
        if (not self._waiters or first) and self._may_start(now):
            return self._start(now)
        waiter = _Waiter(loop.create_future(), patience_s)
        self._least_patience = min(self._least_patience, patience_s)
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        self._arm(loop, now)
        try:
            return await waiter.entry
        except asyncio.CancelledError:
            if waiter.entry.done() and not waiter.entry.cancelled() and waiter.entry.exception() is None:
                self.abandoned(waiter.entry.result())
            else:
                self._forget(waiter)
            raise

    # --- what became of a request --------------------------------------------------------------------------------

    def succeeded(self, slot: Slot) -> None:
        """The endpoint answered."""
        now = self._give_back(slot)
        if slot.started >= self._cut_at:
            self._accepted = max(self._accepted, slot.level)
        self._mean_latency += 0.1 * (now - slot.started - self._mean_latency)
        self._failures = 0
        self._silent_since = self._last_error = self._down_since = None
        self._life_probes = 0
        since, level, before = self._proven
        if now - since > _MEMORY:
            since, level, before = now, 0, level
        self._proven = (since, max(level, slot.level), before)
        self._admit(now)

    def rejected(self, slot: Slot, error: TransientError) -> None:
        """The endpoint asked us to slow down."""
        now = self._give_back(slot)
        if self._down_since is None:
            self._cut(slot, now, error.retry_after)
        self._failed(slot, now, error)
        if error.retry_after is not None:
            self._pause(now, error.retry_after)
        self._admit(now)

    def failed(self, slot: Slot, error: TransientError) -> None:
        """The request failed for another reason that may pass."""
        now = self._give_back(slot)
        self._failed(slot, now, error)
        self._admit(now)

    def abandoned(self, slot: Slot) -> None:
        """The request ended without saying anything of the endpoint (it was cancelled)."""
        self._admit(self._give_back(slot))

    def pause(self, seconds: float) -> None:
        """Starts no request for so many seconds."""
        self._pause(asyncio.get_running_loop().time(), seconds)

    def narrow(self, bounds: Concurrency) -> None:
        """Takes tighter bounds from now on."""
        self.bounds = bounds
        self._limit = min(self._limit, float(bounds.high))
        self._ceiling = min(self._ceiling, float(bounds.high))

    def close(self) -> None:
        """Cancels its timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- within --------------------------------------------------------------------------------------------------

    def _may_start(self, now: float) -> bool:
        return now >= self._paused_until and self.in_flight < self.limit

    def _start(self, now: float) -> Slot:
        self.in_flight += 1
        return Slot(now, self.in_flight, self._silences)

    def _give_back(self, slot: Slot) -> float:
        self.in_flight -= 1
        if slot.silence < self._silences:
            self._older -= 1
        return asyncio.get_running_loop().time()

    def _admit(self, now: float) -> None:
        while self._waiters and self._may_start(now):
            waiter = self._waiters.popleft()
            if not waiter.entry.done():
                waiter.entry.set_result(self._start(now))

    def _forget(self, waiter: _Waiter) -> None:
        with contextlib.suppress(ValueError):
            self._waiters.remove(waiter)

    def _arm(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        if self._timer is None:
            paused = self._paused_until - now
            self._timer = loop.call_later(min(TICK, paused) if paused > 0 else TICK, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        if self._silent_since is not None:
            self._dismiss_hopeless(now)
        if now - self._grown_at >= TICK * 0.99 and self._waiters and self.in_flight >= self.limit:
            self._grow(now)
        self._admit(now)
        if self._waiters:
            self._arm(loop, now)

    def _grow(self, now: float) -> None:
        if self._down_since is not None or now < self._paused_until:
            return
        high = float(self.bounds.high)
        if self._limit < self._ceiling:
            self._limit = min(self._ceiling, self._limit * _GROWTH + 0.5)
        elif now >= self._hold_until and self._limit < high:
            share = min(_LARGEST_PROBE, _FIRST_PROBE * 2.0**self._probes)
            self._probes += 1
            self._limit = self._ceiling = min(high, self._limit + max(1.0, self._limit * share))
        self._grown_at = now

    def _cut(self, slot: Slot, now: float, retry_after: float | None) -> None:
        """Lowers the limit to what is evidently accepted: what was in flight before the request that was turned away."""
        if slot.level <= self._accepted and now - self._struck_at > max(TICK, self._mean_latency):
            # So many were accepted just before: one rejection may be a place that the endpoint has not cleared yet.
            self._struck_at = now
            return
        low = float(self.bounds.low)
        accepted = max(low, float(slot.level - 1))
        self._accepted = 0
        if slot.started >= self._cut_at:  # Sent under the present limit: news. An older one only refines the last cut.
            same = abs(accepted - self._settled) <= max(1.0, 0.15 * self._settled)
            self._hold_factor = min(4, self._hold_factor * 2) if same else 1
            hold = min(_LONGEST_HOLD, max(_SHORTEST_HOLD, 2 * self._mean_latency) * self._hold_factor)
            paused = min(_LONGEST_HOLD_OF_PAUSES, self._cost_of_pause(retry_after or 0.0) / _COST_OF_PROBING)
            self._hold_until = now + max(hold, paused)
            self._cut_at = now
            self._probes = 0
            self._limit *= _CUT
        self._limit = max(low, min(self._limit, accepted))
        self._ceiling = min(self._ceiling, accepted)
        self._settled = self._ceiling

    def _cost_of_pause(self, seconds: float) -> float:
        """Seconds' worth of answers that a pause costs: requests in flight go on, and places empty only bit by bit."""
        mean = self._mean_latency
        return seconds - mean / 2 if seconds > mean else seconds * seconds / (2 * mean)

    def _failed(self, slot: Slot, now: float, error: TransientError) -> None:
        self._failures += 1
        self._last_error = error
        if self._silent_since is None:
            self._silent_since = now
            self._silences += 1
            self._older = self.in_flight
        if self._down_since is None:
            # Requests that were in flight before the silence may have been accepted and just take their time.
            without_hope = self._older <= 0 or now - self._silent_since > _MEMORY
            if self._failures >= max(_FAILURES_TO_BE_DOWN, int(self._limit)) and without_hope:
                self._down_since = now
                # All of a window failed: that says nothing about how many are accepted at a time.
                _, recent, before = self._proven
                known = float(max(recent, before))
                self._limit = min(float(self.bounds.high), max(self._limit, known))
                self._ceiling = max(self._ceiling, self._limit)
                self._wait_for_life(now)
        elif slot.started >= self._down_since:
            self._wait_for_life(now)

    def _wait_for_life(self, now: float) -> None:
        seconds = min(_LAST_PROBE_OF_LIFE, _FIRST_PROBE_OF_LIFE * 1.6**self._life_probes)
        self._life_probes += 1
        self._pause(now, seconds * self._chance.uniform(0.5, 1.0))

    def _pause(self, now: float, seconds: float) -> None:
        self._paused_until = max(self._paused_until, now + seconds)
        self._dismiss_hopeless(now)
        if self._timer is not None and self._waiters:
            self._timer.cancel()
            self._timer = None
            self._arm(asyncio.get_running_loop(), now)

    def _hopeless(self, now: float, patience_s: float) -> bool:
        if self._paused_until <= now:
            return False
        silent = self._silent_since is not None and now - self._silent_since >= patience_s
        return silent or self._paused_until - now > patience_s

    def _error(self) -> EndpointDown:
        if self._last_error is None:
            return EndpointDown("The endpoint asked for a longer pause than we may wait.")
        return EndpointDown(self._last_error.message, remedy=self._last_error.remedy)

    def _raise_if_hopeless(self, now: float, patience_s: float) -> None:
        if self._hopeless(now, patience_s):
            raise self._error()

    def _dismiss_hopeless(self, now: float) -> None:
        if not self._hopeless(now, self._least_patience):
            return
        staying: deque[_Waiter] = deque()
        for waiter in self._waiters:
            if waiter.entry.done():
                continue
            if self._hopeless(now, waiter.patience_s):
                waiter.entry.set_exception(self._error())
            else:
                staying.append(waiter)
        self._waiters = staying


class Limiters:
    """One limiter per endpoint, shared by everything that asks there (generation and judge alike)."""

    def __init__(self) -> None:
        self._limiters: dict[str, Limiter] = {}

    def limiter_for(self, endpoint: str, bounds: Concurrency) -> Limiter:
        """The endpoint's limiter; where several bounds were asked for, the tightest hold."""
        limiter = self._limiters.get(endpoint)
        if limiter is None:
            limiter = self._limiters[endpoint] = Limiter(bounds)
        else:
            high = min(limiter.bounds.high, bounds.high)
            limiter.narrow(Concurrency(min(limiter.bounds.low, bounds.low, high), high))
        return limiter

    def close(self) -> None:
        """Cancels all timers."""
        for limiter in self._limiters.values():
            limiter.close()
