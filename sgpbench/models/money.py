"""What calls cost: prices to dollars, upper bounds before a call, and a ledger that never lets a budget be crossed.

Before a call the ledger sets aside the most it can cost: every byte of text counted as a token, every picture by its
tiles, and the full token limit of the answer for each sample. Afterwards the true cost replaces that sum. While what is
set aside for calls in flight does not leave room for one more, the next call waits; only when it does not fit even
with nothing in flight is the budget reached. So a budget is used up to about the cost of one longest answer.
"""

from __future__ import annotations

import asyncio
import io
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from sgpbench.errors import BudgetError, BudgetReached
from sgpbench.models.interface import Price
from sgpbench.records import ImagePart, Part, Request, TextPart, Usage

__all__ = [
    "Estimate",
    "Ledger",
    "Reservation",
    "cost_usd",
    "estimate",
    "rough_input_tokens",
    "split_usage",
    "total",
    "upper_bound_usd",
]

_MILLION = 1_000_000
_TOKENS_PER_MESSAGE = 16
"""More than any provider's chat template adds around one message."""
_IMAGE_BASE_TOKENS, _IMAGE_TILE_TOKENS, _TILE = 2833, 5667, 512
"""The dearest published rule for pictures (gpt-4o-mini: so many tokens, and so many per tile of 512 pixels)."""
_IMAGE_ROUGH_TOKENS = 800
_CHARACTERS_PER_TOKEN = 4


def cost_usd(usage: Usage, price: Price | None) -> float | None:
    """The cost of one sample in US dollars; ``None`` where price or token counts are not known."""
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    reasoning = min(usage.reasoning_tokens or 0, usage.output_tokens)
    dollars = (
        (usage.input_tokens - cached) * price.input
        + cached * (price.input if price.cached is None else price.cached)
        + (usage.output_tokens - reasoning) * price.output
        + reasoning * (price.output if price.reasoning is None else price.reasoning)
    )
    return dollars / _MILLION


def split_usage(usage: Usage, samples: int) -> list[Usage]:
    """One request's tokens spread over its samples as evenly as whole numbers allow; the parts add up to the whole."""
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    return [
        Usage(*(None if count is None else (count + samples - 1 - index) // samples for count in counts))
        for index in range(samples)
    ]


def upper_bound_usd(request: Request, price: Price, most_output_tokens: int) -> float:
    """The most that a request can cost: no answer within its token limit is dearer.

    A token is at least one byte of UTF-8, so the bytes of the text bound its tokens.
    """
    parts = [part for message in request.messages for part in message.parts]
    text = request.text or ""
    tokens = sum(map(_most_tokens, parts)) + len(text.encode()) + _TOKENS_PER_MESSAGE * (len(request.messages) + 1)
    per_input = max(price.input, price.cached or 0.0)
    per_output = max(price.output, price.reasoning or 0.0)
    return (tokens * per_input + most_output_tokens * len(request.seeds) * per_output) / _MILLION


def _most_tokens(part: Part) -> int:
    if isinstance(part, TextPart):
        return len(part.text.encode())
    return _IMAGE_BASE_TOKENS + _IMAGE_TILE_TOKENS * _tiles(part)


def _tiles(part: ImagePart) -> int:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(part.data)) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError):
        return 16
    return math.ceil(width / _TILE) * math.ceil(height / _TILE)


def rough_input_tokens(request: Request) -> int:
    """About how many input tokens a request has (four characters a token), for ``--dry-run`` where no run is known."""
    parts = [part for message in request.messages for part in message.parts]
    characters = len(request.text or "") + sum(len(part.text) for part in parts if isinstance(part, TextPart))
    pictures = sum(isinstance(part, ImagePart) for part in parts)
    return math.ceil(characters / _CHARACTERS_PER_TOKEN) + pictures * _IMAGE_ROUGH_TOKENS + 4 * len(request.messages)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a piece of work will probably take."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    """``None`` where the price is not known."""


def estimate(requests: int, mean_input_tokens: float, mean_output_tokens: float, price: Price | None) -> Estimate:
    """The expected tokens and cost of so many requests of one sample each."""
    usage = Usage(round(requests * mean_input_tokens), round(requests * mean_output_tokens))
    return Estimate(requests, usage.input_tokens or 0, usage.output_tokens or 0, cost_usd(usage, price))


def total(estimates: Iterable[Estimate]) -> Estimate:
    """The sum of several estimates; its cost is known only if all are."""
    parts = list(estimates)
    costs = [part.cost_usd for part in parts if part.cost_usd is not None]
    return Estimate(
        sum(part.requests for part in parts),
        sum(part.input_tokens for part in parts),
        sum(part.output_tokens for part in parts),
        sum(costs) if len(costs) == len(parts) else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """Money set aside for one call; given to exactly one of ``settle``, ``release`` and ``lose``."""

    usd: float


class Ledger:
    """Money spent and set aside, for everything one command does (generation and judge). Belongs to one event loop.

    Attributes:
        budget_usd: the most that may ever be spent; ``None`` without a budget.
        spent_usd: what answers have cost, earlier parts of the run included.
        lost_usd: the most that calls may have cost whose answer never arrived whole; it counts against the budget.
        reserved_usd: set aside for calls in flight.
    """

    def __init__(self, budget_usd: float | None, spent_usd: float = 0.0, lost_usd: float = 0.0) -> None:
        self.budget_usd = budget_usd
        self.spent_usd = spent_usd
        self.lost_usd = lost_usd
        self.reserved_usd = 0.0
        self._calls = 0
        self._waiters: deque[tuple[float, asyncio.Future[Reservation]]] = deque()

    @property
    def remaining_usd(self) -> float | None:
        """What may still be spent, calls in flight counted at their upper bound."""
        if self.budget_usd is None:
            return None
        return self.budget_usd - self.spent_usd - self.lost_usd - self.reserved_usd

    def require_price(self, model: str, price: Price | None) -> None:
        """Checks that a model may be asked at all.

        Raises:
            BudgetError: there is a budget, and its price is not known.
        """
        if self.budget_usd is not None and price is None:
            raise BudgetError(
                f"The price of {model} is not known, so a budget cannot be kept.",
                remedy="Leave --budget out, or use a model of the catalog that has a price.",
            )

    async def reserve(self, usd: float) -> Reservation:
        """Sets the most a call can cost aside, waiting for calls in flight where that makes room.

        Raises:
            BudgetReached: the call might cross the budget even with nothing else in flight.
        """
        if not self._waiters and self._fits(usd):
            return self._set_aside(usd)
        if self._calls == 0 and not self._waiters:
            raise self._reached(usd)
        entry: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._waiters.append((usd, entry))
        try:
            return await entry
        except asyncio.CancelledError:
            if entry.done() and not entry.cancelled() and entry.exception() is None:
                self.release(entry.result())
            else:
                self._let_in()
            raise

    def settle(self, reservation: Reservation, usd: float | None) -> None:
        """Replaces what was set aside by the true cost; by itself where the provider did not say."""
        self.spent_usd += reservation.usd if usd is None else usd
        self._end(reservation)

    def release(self, reservation: Reservation) -> None:
        """The call cost nothing."""
        self._end(reservation)

    def lose(self, reservation: Reservation) -> None:
        """The call may have been billed, but its answer was lost: its upper bound stays taken."""
        self.lost_usd += reservation.usd
        self._end(reservation)

    def _fits(self, usd: float) -> bool:
        remaining = self.remaining_usd
        return remaining is None or usd <= remaining

    def _set_aside(self, usd: float) -> Reservation:
        self.reserved_usd += usd
        self._calls += 1
        return Reservation(usd)

    def _end(self, reservation: Reservation) -> None:
        self._calls -= 1
        self.reserved_usd = self.reserved_usd - reservation.usd if self._calls else 0.0
        self._let_in()

    def _let_in(self) -> None:
        while self._waiters:
            usd, entry = self._waiters[0]
            if entry.done():
                self._waiters.popleft()
            elif self._fits(usd):
                self._waiters.popleft()
                entry.set_result(self._set_aside(usd))
            elif self._calls == 0:
                self._waiters.popleft()
                entry.set_exception(self._reached(usd))
            else:
                return

    def _reached(self, usd: float) -> BudgetReached:
        lost = f" and up to ${self.lost_usd:.4f} for answers that never arrived" if self.lost_usd else ""
        return BudgetReached(
            f"The budget of ${self.budget_usd:.2f} is reached: ${self.spent_usd:.4f} is spent{lost}, and the next call "
            f"may cost up to ${usd:.4f}.",
            remedy="Start the same run with a larger --budget to go on.",
        )
