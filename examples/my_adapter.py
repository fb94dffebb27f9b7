"""The smallest model of one's own: copy it, and put your model's answer in the place of the circle.

With this folder's path, nothing needs to be installed::

    sgpbench run --model ./examples/my_adapter.py:open_mine/some-id --task shapes --limit 5
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price
from sgpbench.records import Completion, FinishReason, Json, Request, Usage

CIRCLE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="3" fill="red"/></svg>'


class MyModel:
    """Answers each request with a red circle. What the attributes mean stands in ``sgpbench/models/interface.py``."""

    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
    sees = False
    max_n = 1
    seeds = False
    concurrency = Concurrency(1, 4)
    price: Price | None = None
    device: str | None = None

    def __init__(self, spec: ModelSpec) -> None:
        self.name = spec.name
        self.endpoint = "my-server"
        self.identity: Mapping[str, Json] = {"id": spec.model_id}

    async def generate(self, request: Request) -> Sequence[Completion]:
        """One completion per seed of the request. What was asked is in ``request.messages``."""
        return [Completion(CIRCLE, FinishReason.STOP, Usage(0, 0)) for _ in request.seeds]

    async def aclose(self) -> None:
        """Nothing is held open."""


def open_mine(spec: ModelSpec) -> Model:
    """The adapter: what stands after the colon on the command line."""
    return MyModel(spec)
