"""A model for tests whose name, answers and errors hold brackets, terminal escapes and characters that reorder text.

Used as ``tests/hostile_model.py:open_hostile/NAME``, with ``--model-arg fails=fatal`` or ``fails=now-and-then``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.errors import ModelUnavailable, TransientError
from sgpbench.models.interface import Concurrency, ModelSpec, Price
from sgpbench.records import Completion, FinishReason, Json, Request, Usage

HOSTILE = "[red]\x1b[2J\x1b]0;owned\x07\x9b31m\u202etxt[/] :smile:"
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>[bold]\u202e\x9b1m</text></svg>'


class Hostile:
    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
    sees = False
    max_n = 1
    seeds = True
    price: Price | None = Price(1.0, 2.0)
    device: str | None = None
    concurrency = Concurrency(1, 1)

    def __init__(self, spec: ModelSpec) -> None:
        self.name = spec.name
        self.endpoint = f"hostile {spec.model_id}"
        self.identity: Mapping[str, Json] = {"adapter": "hostile", "id": spec.model_id}
        self._fails = spec.args.get("fails")
        self._asked = 0

    async def generate(self, request: Request) -> Sequence[Completion]:
        self._asked += 1
        if self._fails == "fatal":
            raise ModelUnavailable(f"No such model: {HOSTILE}.", remedy=f"Ask for {HOSTILE}.")
        if self._fails == "at-third" and self._asked > 2:
            raise ModelUnavailable(f"The quota of {HOSTILE} is used up.")
        if self._fails == "now-and-then" and self._asked % 2:
            raise TransientError(f"Bad gateway: {HOSTILE}")
        text = f"{HOSTILE}: no." if self._asked % 3 == 0 else f"```svg\n{DRAWING}\n```"
        return [Completion(text, FinishReason.STOP, Usage(10, 5), 0.01, 0.0002, HOSTILE) for _ in request.seeds]

    async def aclose(self) -> None:
        pass


def open_hostile(spec: ModelSpec) -> Hostile:
    return Hostile(spec)
