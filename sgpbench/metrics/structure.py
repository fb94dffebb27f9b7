"""Structure: how the programs are built. Descriptive: no column here is better high or low."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.errors import UsageError
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Score
from sgpbench.svg.structure import MEASURES

__all__ = ["Structure", "open_structure"]


class Structure:
    """Passes on what ``sgpbench.svg.structure`` measured of each program."""

    name = "structure"
    version = "1"
    needs: frozenset[Need] = frozenset()
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 1024
    columns = tuple(
        Column(f"structure.{measure}", None, description, 0.0, None, "omit")
        for measure, description in MEASURES.items()
    )
    identity: Mapping[str, Json] = {"version": "1"}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """The measures of each drawing, in their order; a measure a drawing lacks is left out."""
        return [_score(drawing) for drawing in batch]

    async def aclose(self) -> None:
        """Nothing to free."""


def _score(drawing: Drawing) -> Score | Failure:
    if not drawing.structure:
        return Failure(Outcome.SCORER_ERROR, "the structure of this program was not measured; render it again")
    return Score(
        {f"structure.{name}": float(drawing.structure[name]) for name in MEASURES if name in drawing.structure}
    )


def open_structure(context: MetricContext) -> Metric:
    """The metric; it takes no argument.

    Raises:
        UsageError: an argument was given.
    """
    if context.argument is not None:
        raise UsageError(f"The metric structure takes no argument; got '{context.argument}'.")
    return Structure()
