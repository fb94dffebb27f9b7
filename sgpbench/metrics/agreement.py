"""Agreement between the repeats of a judge: Krippendorff's alpha.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). 1 is perfect agreement, 0 what chance
would give, below 0 worse than chance.

We report ``interval`` alpha over single rubric parts: the published number is a mean of these scores, so distances
between them are taken at face value (100 against 0 disagrees more than 50 against 30).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgpbench.records import Json

__all__ = ["Agreement", "judge_agreement", "krippendorff_alpha"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well repeats of one judge agree."""

    alpha: float | None
    """``None`` where it is not defined: no unit was judged twice, or every score is the same."""
    units: int
    """Rubric parts of drawings that were judged at least twice."""
    repeats: int
    """The most scores any unit has."""
    level: Literal["interval", "ordinal"] = "interval"


def krippendorff_alpha(
    units: Iterable[Sequence[float]], level: Literal["interval", "ordinal"] = "interval"
) -> float | None:
    """Alpha of ratings grouped by the unit they rate; units with fewer than two ratings say nothing and are left out.

    ``None`` where it is not defined: no unit has two ratings, or all ratings are equal.
    """
    rated = [list(unit) for unit in units if len(unit) >= 2]
    values = sorted({value for unit in rated for value in unit})
    if len(values) < 2:
        return None
    index = {value: position for position, value in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for unit in rated:
        counts = np.bincount([index[value] for value in unit], minlength=len(values)).astype(float)
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    totals = coincidences.sum(axis=1)
    distance = _distance(np.array(values, dtype=float), totals, level)
    observed = float((coincidences * distance).sum())
    expected = float((np.outer(totals, totals) * distance).sum()) / (float(totals.sum()) - 1)
    return 1.0 - observed / expected


def _distance(
    values: NDArray[np.float64], totals: NDArray[np.float64], level: Literal["interval", "ordinal"]
) -> NDArray[np.float64]:
    """Squared differences between each two values, shape ``(v, v)``."""
    if level == "interval":
        return (values[:, None] - values[None, :]) ** 2
    # Ordinal: how many ratings lie between two ranks, counting half of each end; the middle of a rank stands for it.
    middles = np.cumsum(totals) - totals / 2
    return (middles[:, None] - middles[None, :]) ** 2


def judge_agreement(evidence: Iterable[Json], level: Literal["interval", "ordinal"] = "interval") -> Agreement:
    """The agreement of a judge's repeats, from the evidence of its drawings: a list of parts each (see ``judge.py``)."""
    units: list[list[float]] = []
    for drawing in evidence:
        by_part: dict[str, list[float]] = {}
        for part in drawing if isinstance(drawing, Sequence) else ():
            if isinstance(part, Mapping) and isinstance(score := part.get("score"), int | float):
                by_part.setdefault(str(part.get("id")), []).append(float(score))
        units += by_part.values()
    judged_twice = [unit for unit in units if len(unit) >= 2]
    return Agreement(
        alpha=krippendorff_alpha(judged_twice, level),
        units=len(judged_twice),
        repeats=max((len(unit) for unit in units), default=0),
        level=level,
    )
