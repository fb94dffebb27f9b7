"""Validity: the share of samples that gave a drawing at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.errors import UsageError
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Score

__all__ = ["Validity", "open_validity"]


class Validity:
    """1 for a sample whose outcome is ``ok``, else 0."""

    name = "validity"
    version = "1"
    needs: frozenset[Need] = frozenset({"invalid"})
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 1024
    columns: tuple[Column, ...] = (Column("validity", True, "samples that gave a drawing", 0.0, 1.0),)
    identity: Mapping[str, Json] = {"version": "1"}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One value per drawing, in their order."""
        return [Score({"validity": float(drawing.outcome is Outcome.OK)}) for drawing in batch]

    async def aclose(self) -> None:
        """Nothing to free."""


def open_validity(context: MetricContext) -> Metric:
    """The metric; it takes no argument.

    Raises:
        UsageError: an argument was given.
    """
    if context.argument is not None:
        raise UsageError(f"The metric validity takes no argument; got '{context.argument}'.")
    return Validity()
