"""A model for tests: draws by caption, slowly enough to be killed, and writes down each request in a file.

Used as ``tests/counting_model.py:open_counting/NAME`` with ``--model-arg log=FILE`` and ``delay_ms=N``.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.models.interface import Concurrency, ModelSpec, Price
from sgpbench.records import Completion, FinishReason, Json, Request, Usage


class Counting:
    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages", "text"})
    sees = False
    max_n = 2
    seeds = True
    price: Price | None = Price(1.0, 2.0)
    device: str | None = None

    def __init__(self, spec: ModelSpec) -> None:
        self.name = spec.name
        self.endpoint = f"counting {spec.model_id}"
        self.identity: Mapping[str, Json] = {"adapter": "counting", "id": spec.model_id}
        self.concurrency = spec.concurrency or Concurrency(8, 8)
        self._log = spec.args.get("log")
        self._delay_s = float(spec.args.get("delay_ms", "0")) / 1000

    async def generate(self, request: Request) -> Sequence[Completion]:
        if self._log:
            line = "".join(f"{request.prompt_id} {sample}\n" for sample in request.samples)
            with open(self._log, "ab", buffering=0) as log:  # noqa: PTH123 - one unbuffered write
                os.write(log.fileno(), line.encode())
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        return [self._draw(request, seed) for seed in request.seeds]

    def _draw(self, request: Request, seed: int) -> Completion:
        chance = random.Random(f"{request.prompt_id} {seed}")
        size, hue = chance.randrange(40, 200), chance.randrange(360)
        kind = chance.randrange(8)
        circle = f'<circle cx="128" cy="128" r="{size / 2}" fill="hsl({hue},80%,50%)"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">{circle}</svg>'
        text = "I cannot draw." if kind == 0 else svg[:60] if kind == 1 else f"Here it is:\n```svg\n{svg}\n```"
        return Completion(text, FinishReason.STOP, Usage(100, 50), 0.01, 0.0002, self.name)

    async def aclose(self) -> None:
        pass


def open_counting(spec: ModelSpec) -> Counting:
    return Counting(spec)
