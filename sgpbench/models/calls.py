"""Asking a model patiently: retries with jittered backoff, time limits, the endpoint's limiter, and the ledger.

A ``Caller`` is the only thing that talks to a ``Model``. What it gives up on is an error of ours, never an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from sgpbench.errors import (
    BudgetError,
    ModelError,
    ModelUnavailable,
    RateLimited,
    Stopped,
    TransientError,
    UnsupportedParameter,
)
from sgpbench.models.interface import KnowsSecrets, Model
from sgpbench.models.limiter import EndpointDown, Limiter, Pace, Slot
from sgpbench.models.money import Ledger, Reservation, cost_usd, upper_bound_usd
from sgpbench.models.usage import cleaned
from sgpbench.records import Completion, Request
from sgpbench.redaction import Secrets, environment_secrets

__all__ = ["CallEvent", "CallStats", "Caller", "Keep", "KnowsTimeLimit", "KnowsTokenLimit", "SaysPace"]

Keep = Callable[[int, Completion], None]
"""Takes the position of a sample within the request's seeds and its completion, the moment it arrives."""

_LONGEST_WAIT = 60.0


@runtime_checkable
class SaysPace(Protocol):
    """A model whose provider tells in each answer how much of its rate limit is left."""

    def pace(self) -> Pace | None:
        """What the last answers said, once; ``None`` if nothing new."""


@runtime_checkable
class KnowsTokenLimit(Protocol):
    """A model that may lower or replace the request's token limit."""

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens one sample of the request can have, as it will be sent."""


@runtime_checkable
class KnowsTimeLimit(Protocol):
    """A model whose user set the seconds one request may take."""

    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Something that happened to one request, for logs and progress. Holds no key and nothing of the answer."""

    kind: Literal["answered", "retry", "rate_limited", "gave_up", "stopped"]
    model: str
    purpose: str
    """``generation`` or ``judge``."""
    prompt_id: str
    attempt: int
    message: str = ""
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallStats:
    """Counts since the caller was made, and the limiter's present state."""

    requests: int
    """Requests sent, retries included."""
    answered: int
    retries: int
    rate_limited: int
    gave_up: int
    in_flight: int
    limit: int


class Caller:
    """Asks one model, within its endpoint's limiter and the ledger.

    ``patience_s`` is how long one request may keep failing, ``timeout_s`` how long one attempt may take (a model whose
    user set a limit of its own overrides it), ``kind`` what the calls are for. ``on_lost`` takes the dollars that an
    answer which never arrived, or did not say its usage, may have cost beyond what is known. ``backoff_s`` is the first
    wait after a failure; waits double up to a minute and are jittered.

    No key leaves a caller: what a model says, in answers or errors, is cleaned of all that it was sent (``usage.cleaned``).

    Raises:
        BudgetError: the ledger has a budget and the model no known price.
    """

    def __init__(
        self,
        model: Model,
        limiter: Limiter,
        *,
        ledger: Ledger | None = None,
        patience_s: float = 900.0,
        timeout_s: float = 600.0,
        kind: str = "generation",
        on_event: Callable[[CallEvent], None] | None = None,
        on_lost: Callable[[float], None] | None = None,
        backoff_s: float = 0.5,
        chance: random.Random | None = None,
    ) -> None:
        if ledger is not None:
            ledger.require_price(model.name, model.price)
        self.model = model
        self.limiter = limiter
        self._ledger = ledger
        self._patience_s = patience_s
        own = model.timeout_s if isinstance(model, KnowsTimeLimit) else None
        self._timeout_s = timeout_s if own is None else own
        self._purpose = kind
        self._on_event = on_event
        self._on_lost = on_lost
        self._backoff_s = backoff_s
        self._chance = chance or random.Random()
        self._environment = environment_secrets()
        self._pacing = model if isinstance(model, SaysPace) else None
        self._stopped: ModelError | None = None
        self._woken = asyncio.Event()
        self._requests = self._answered = self._retries = self._rate_limited = self._gave_up = 0

    @property
    def stats(self) -> CallStats:
        """What has happened so far."""
        return CallStats(
            self._requests,
            self._answered,
            self._retries,
            self._rate_limited,
            self._gave_up,
            self.limiter.in_flight,
            self.limiter.limit,
        )

    @property
    def secrets(self) -> Secrets:
        """What is taken out of everything that comes from the model."""
        return self.model.secrets if isinstance(self.model, KnowsSecrets) else self._environment

    async def ask(self, request: Request, *, keep: Keep | None = None) -> Sequence[Completion]:
        """One completion per seed of the request, in their order.

        More samples than the model returns at once are asked for in several requests, side by side; if fewer come back
        than were asked for, only the missing ones are asked for again. ``keep`` gets each completion as it arrives, so
        that none that was paid for is lost when a later one fails.

        Raises:
            TransientError: the model kept failing until patience ended; its last error.
            ModelUnavailable, UnsupportedParameter: it cannot be asked at all; every later call fails the same way.
            BudgetReached: the next request might cross the budget.
        """
        answers: dict[int, Completion] = {}

        def take(position: int, completion: Completion) -> None:
            answers[position] = completion
            if keep is not None:
                keep(position, completion)

        await self._fill(request, range(len(request.seeds)), take)
        return [answers[position] for position in range(len(request.seeds))]

    def stop(self) -> None:
        """Makes no further request: each raises ``Stopped``, also one that waits to be repeated. Others are awaited."""
        if self._stopped is None:
            self._stopped = Stopped(f"{self.model.name} is asked no more.")
        self._woken.set()

    async def aclose(self) -> None:
        """Closes the model."""
        await self.model.aclose()

    # --- within --------------------------------------------------------------------------------------------------

    async def _fill(self, request: Request, wanted: Sequence[int], take: Keep) -> None:
        """Asks until every wanted sample has been taken."""
        missing = wanted
        failing_since: float | None = None
        attempt = 0
        while missing:
            if len(missing) > self.model.max_n:
                await self._side_by_side(request, missing, take)
                return
            try:
                completions = await self._attempt(_part_of(request, missing), attempt)
            except TransientError as error:
                failing_since, wait = self._next_wait(request, error, attempt, failing_since)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait)
                attempt += 1
                self._retries += 1
                continue
            for position, completion in zip(missing, completions, strict=False):
                take(position, completion)
            missing = missing[len(completions) :]
            failing_since, attempt = None, 0

    async def _side_by_side(self, request: Request, missing: Sequence[int], take: Keep) -> None:
        size = max(1, self.model.max_n)
        chunks = [missing[start : start + size] for start in range(0, len(missing), size)]
        results = await asyncio.gather(*(self._fill(request, chunk, take) for chunk in chunks), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _attempt(self, request: Request, attempt: int) -> Sequence[Completion]:
        """Asks once; every slot and every reservation taken here is given back here."""
        self._raise_if_stopped()
        reservation = await self._reserve(request)
        slot: Slot | None = None
        billed: float | None = 0.0
        known = 0.0
        lost = False
        try:
            slot = await self.limiter.acquire(self._patience_s, first=attempt > 0)
            self._raise_if_stopped()
            lost = True  # Until it is known what became of it: a cancelled request may be billed too.
            completions = await self._send(request)
            billed, lost = _sum_of_costs(completions), False
            known = sum(completion.cost_usd or 0.0 for completion in completions)
            self.limiter.succeeded(slot)
            slot = None
        except TransientError as error:
            lost = error.maybe_billed
            if slot is not None:
                self._tell_limiter(slot, error)
                slot = None
            raise
        except (ModelUnavailable, UnsupportedParameter) as error:
            lost = False
            self._stop(request, error, attempt)
            raise
        finally:
            if slot is not None:
                self.limiter.abandoned(slot)
            self._account(reservation, billed, known, lost=lost)
        self._answered += len(completions)
        self._tell("answered", request, attempt)
        if self._pacing is not None:
            pace = self._pacing.pace()
            if pace is not None and pace.remaining <= 0:
                self.limiter.pause(pace.reset_s)
        return completions

    async def _send(self, request: Request) -> Sequence[Completion]:
        self._requests += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                completions = await self.model.generate(request)
        except TimeoutError:
            raise TransientError(
                f"{self.model.name} did not answer within {self._timeout_s:g} seconds.", maybe_billed=True
            ) from None
        except ModelError as error:
            error.reword(self.secrets.clean)
            raise
        if not completions:
            raise TransientError(f"{self.model.name} returned no completion.")
        price, secrets = self.model.price, self.secrets
        clean = [cleaned(completion, secrets) for completion in completions[: len(request.seeds)]]
        return [one if one.cost_usd is not None else replace(one, cost_usd=cost_usd(one.usage, price)) for one in clean]

    def _tell_limiter(self, slot: Slot, error: TransientError) -> None:
        if isinstance(error, RateLimited) or error.retry_after is not None:
            self._rate_limited += 1
            self.limiter.rejected(slot, error)
        else:
            self.limiter.failed(slot, error)

    def _next_wait(
        self, request: Request, error: TransientError, attempt: int, failing_since: float | None
    ) -> tuple[float, float]:
        """Since when it has been failing, and seconds to wait before it is asked again.

        Raises:
            TransientError: patience ends before that.
        """
        now = asyncio.get_running_loop().time()
        since = now if failing_since is None else failing_since
        wait = min(_LONGEST_WAIT, self._backoff_s * 2.0 ** min(attempt, 20)) * self._chance.uniform(0.5, 1.0)
        ends = now + max(wait, error.retry_after or 0.0) - since > self._patience_s
        if ends or isinstance(error, EndpointDown):
            self._gave_up += 1
            self._tell("gave_up", request, attempt, str(error))
            raise error
        limited = isinstance(error, RateLimited)
        self._tell("rate_limited" if limited else "retry", request, attempt, str(error), wait)
        return since, wait

    def _stop(self, request: Request, error: ModelError, attempt: int) -> None:
        if self._stopped is None:
            self._stopped = error
            self._tell("stopped", request, attempt, str(error))

    def _raise_if_stopped(self) -> None:
        if self._stopped is not None:
            raise type(self._stopped)(self._stopped.message, remedy=self._stopped.remedy)

    async def _reserve(self, request: Request) -> Reservation | None:
        if self._ledger is None:
            return None
        price = self.model.price
        if self._ledger.budget_usd is None or price is None:
            return await self._ledger.reserve(0.0)
        limit = (
            self.model.token_limit(request) if isinstance(self.model, KnowsTokenLimit) else request.sampling.max_tokens
        )
        if limit is None:
            raise BudgetError(
                f"{self.model.name} is asked without a token limit, so a budget cannot be kept.",
                remedy="Set one with --model-arg max_tokens=N.",
            )
        return await self._ledger.reserve(upper_bound_usd(request, price, limit))

    def _account(self, reservation: Reservation | None, billed: float | None, known: float, *, lost: bool) -> None:
        """Settles a call: ``billed`` is what it cost, or ``None``, and then ``known`` that of its priced answers."""
        if self._ledger is None or reservation is None:
            return
        if lost:
            self._ledger.lose(reservation)
            if self._on_lost is not None and reservation.usd:
                self._on_lost(reservation.usd)
        else:
            self._ledger.settle(reservation, billed)
            if billed is None and self._on_lost is not None and reservation.usd > known:
                # A later start adds up what answers cost; what this one may have cost beyond that it must be told.
                self._on_lost(reservation.usd - known)

    def _tell(
        self,
        kind: Literal["answered", "retry", "rate_limited", "gave_up", "stopped"],
        request: Request,
        attempt: int,
        message: str = "",
        wait_s: float | None = None,
    ) -> None:
        if self._on_event is not None:
            event = CallEvent(kind, self.model.name, self._purpose, request.prompt_id, attempt, message, wait_s)
            self._on_event(event)


def _part_of(request: Request, positions: Sequence[int]) -> Request:
    """The request for the samples at these positions alone."""
    if len(positions) == len(request.seeds):
        return request
    samples = request.samples
    if len(samples) == len(request.seeds):
        samples = tuple(samples[position] for position in positions)
    return replace(request, seeds=tuple(request.seeds[position] for position in positions), samples=samples)


def _sum_of_costs(completions: Sequence[Completion]) -> float | None:
    """What the completions cost together; ``None`` if that is not known of one of them."""
    costs = [completion.cost_usd for completion in completions if completion.cost_usd is not None]
    return sum(costs) if len(costs) == len(completions) else None
