"""What 1,000 prompts cost: the model's answers, and what judged them or answered questions about the drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgpbench.results.schema import Execution

__all__ = ["Cost", "cost_of"]


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars per 1,000 prompts that were answered."""

    generation: float
    judging: float | None
    """``None`` where no price of a judge or answerer is known, or none was asked."""
    judging_unpriced: bool
    """Whether one was asked in a run that knows no price of it, so that the total is without that."""

    @property
    def total(self) -> float:
        """Generation and, as far as its price is known, judging."""
        return self.generation + (self.judging or 0.0)


def cost_of(executions: Sequence[Execution], prompts: float, *, asks: Sequence[bool]) -> Cost | None:
    """The cost of ``prompts`` answered prompts in all of ``executions``; ``None`` unless all know their generation's.

    ``asks``: of each, whether a model judged or answered.
    """
    generation = [one.cost_usd for one in executions if one.cost_usd is not None]
    judging = [one.judge_cost_usd for one in executions if one.judge_cost_usd is not None]
    if not prompts or len(generation) != len(executions):
        return None
    return Cost(
        generation=1000 * sum(generation) / prompts,
        judging=1000 * sum(judging) / prompts if judging else None,
        judging_unpriced=any(asked and one.judge_cost_usd is None for one, asked in zip(executions, asks, strict=True)),
    )
