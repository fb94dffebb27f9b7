"""Asks a judge about the calibration drawings, through the same metric that scores runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sgpbench.errors import RendererError
from sgpbench.metrics.agreement import Agreement, judge_agreement
from sgpbench.metrics.calibration import Case, Criterion, cases, criteria
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.judge import open_judge
from sgpbench.metrics.replies import MemoryReplies
from sgpbench.records import Completion, Drawing, Json, Outcome, Score
from sgpbench.svg.sandbox import Rendered

__all__ = ["Calibration", "Renderer", "calibrate"]


class Renderer(Protocol):
    """What renders a program; see ``sgpbench.svg.sandbox.Sandbox``."""

    def submit(self, program: str) -> Future[Rendered]:
        """The rendering, once it is there."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a judge made of the calibration drawings."""

    judge: str
    identity: Mapping[str, Json]
    scores: Mapping[str, float]
    """By case name, 0 to 100; those that were judged."""
    failures: Mapping[str, str]
    """By case name: why it could not be judged."""
    criteria: tuple[Criterion, ...]
    """Empty where a drawing could not be judged."""
    agreement: Agreement
    replies: int
    input_tokens: float | None
    output_tokens: float | None
    cost_usd: float | None
    """``None`` where the judge's price is not known."""

    @property
    def passed(self) -> bool:
        """Whether every drawing was judged and every criterion is met."""
        return not self.failures and all(criterion.passed for criterion in self.criteria)


class _Counted(MemoryReplies):
    """Keeps replies and what they cost."""

    def __init__(self) -> None:
        super().__init__()
        self.completions: list[Completion] = []

    def put(self, key: str, completion: Completion) -> None:
        super().put(key, completion)
        self.completions.append(completion)


async def calibrate(context: MetricContext, renderer: Renderer, folder: Path) -> Calibration:
    """Renders all cases into ``folder`` (``<case>.png``) and has them judged as one batch.

    Raises:
        RendererError: one of our own drawings does not render.
        MetricUnavailable, ModelUnavailable: the judge cannot be used.
        BudgetReached: the budget does not suffice.
    """
    drawings = await _rendered(renderer, folder)
    counted = _Counted()
    metric = open_judge(replace(context, replies=counted))
    answers = await metric.score([drawing for _, drawing in drawings])
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    evidence: list[Json] = []
    for (case, _), answer in zip(drawings, answers, strict=True):
        if isinstance(answer, Score):
            scores[case.name] = answer.values[metric.name]
            evidence.append(answer.evidence[metric.name])
        else:
            failures[case.name] = answer.message
    return Calibration(
        judge=metric.name.removeprefix("judge[").removesuffix("]"),
        identity=metric.identity,
        scores=scores,
        failures=failures,
        criteria=() if failures else criteria(scores),
        agreement=judge_agreement(evidence),
        replies=len(counted.completions),
        input_tokens=_total([completion.usage.input_tokens for completion in counted.completions]),
        output_tokens=_total([completion.usage.output_tokens for completion in counted.completions]),
        cost_usd=_total([completion.cost_usd for completion in counted.completions]),
    )


async def _rendered(renderer: Renderer, folder: Path) -> list[tuple[Case, Drawing]]:
    waiting = [(case, asyncio.wrap_future(renderer.submit(case.svg))) for case in cases()]
    drawings = []
    for case, future in waiting:
        rendered = await future
        if rendered.png is None:
            raise RendererError(f"The calibration drawing {case.name} does not render: {rendered.outcome}.")
        path = folder / f"{case.name}.png"
        path.write_bytes(rendered.png)
        drawings.append((case, Drawing(case.prompt, 0, Outcome.OK, case.svg, path, case.name)))
    return drawings


def _total(values: Sequence[float | None]) -> float | None:
    """The sum, or ``None`` if one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
