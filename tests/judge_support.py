"""A judge in this process that answers by a function of what it is asked, and drawings to show it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from PIL import Image

from sgpbench.errors import TransientError
from sgpbench.metrics.interface import MetricContext, ReplyStore
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency, Price
from sgpbench.models.limiter import Limiter
from sgpbench.protocol import load_protocol
from sgpbench.records import (
    Completion,
    Drawing,
    FinishReason,
    Json,
    Outcome,
    Prompt,
    Question,
    Request,
    RubricPart,
    TextPart,
    Usage,
)

BINDING = Prompt(
    "binding_1",
    "a red cube",
    "binding/color",
    "binding_1",
    rubric=(RubricPart("binding", "binding", {"prompt": "a red cube"}),),
)
NUMERACY = Prompt(
    "numeracy_1",
    "two cats and one dog",
    "numeracy",
    "numeracy_1",
    rubric=(
        RubricPart("total", "total", {"total_count": 3}),
        RubricPart("items", "items", {"noun_list": "cat, dog"}),
        RubricPart("count.1", "count", {"count": 2, "noun": "cat"}),
        RubricPart("count.2", "count", {"count": 1, "noun": "dog"}),
    ),
)


def question(identity: str, text: str, choices: tuple[str, ...], answer: str) -> Question:
    return Question(identity, text, choices, answer, "object")


def words_of(request: Request) -> str:
    """The text of the first user message."""
    first = next(message for message in request.messages if message.role == "user")
    return next(part.text for part in first.parts if isinstance(part, TextPart))


@dataclass
class SpeakingModel:
    """Answers each request by ``reply``, which may raise; counts what it answered, and how many at once."""

    reply: Callable[[Request], str]
    name: str = "speaking"
    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
    sees: bool = True
    max_n: int = 1
    seeds: bool = False
    concurrency: Concurrency = field(default_factory=lambda: Concurrency(8, 8))
    price: Price | None = None
    endpoint: str = "here"
    device: str | None = None
    identity: Mapping[str, Json] = field(default_factory=lambda: {"model": "speaking"})
    answered: list[Request] = field(default_factory=list)
    now: int = 0
    most_at_once: int = 0

    async def generate(self, request: Request) -> Sequence[Completion]:
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        text = self.reply(request)
        self.answered.append(request)
        return [Completion(text, FinishReason.STOP, Usage(10, 2))]

    async def aclose(self) -> None:
        pass


def down(_: Request) -> str:
    raise TransientError("the server is down")


def context(
    model: SpeakingModel,
    protocol: str = "v1",
    *,
    folder: Path,
    repeats: int = 1,
    replies: ReplyStore | None = None,
    seed: int = 0,
) -> MetricContext:
    def open_caller(_: str) -> Caller:
        return Caller(model, Limiter(model.concurrency), patience_s=0.02, backoff_s=0.01, kind="judge")

    return MetricContext(
        argument=None,
        protocol=load_protocol(protocol),
        cache_dir=folder,
        judge="speaking",
        judge_repeats=repeats,
        open_caller=open_caller,
        replies=replies,
        seed=seed,
    )


def drawing(prompt: Prompt, folder: Path, colour: str = "red", sample: int = 0) -> Drawing:
    path = folder / f"{colour}.png"
    if not path.exists():
        Image.new("RGB", (32, 24), colour).save(path)
    return Drawing(prompt, sample, Outcome.OK, "<svg/>", path, colour)


def invalid(prompt: Prompt, outcome: Outcome, program: str | None = None) -> Drawing:
    """A sample that cannot be shown; ``program`` is what parsed of it."""
    return Drawing(prompt, 0, outcome, program, None, None)
