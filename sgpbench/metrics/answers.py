"""What a metric returns, checked against what it declares, before anything of it is stored.

A plugin's slip must never become a number: no mean above a column's maximum, no value in a column that nobody described.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from sgpbench.errors import PluginError
from sgpbench.metrics.interface import Metric
from sgpbench.records import Column, Failure, Outcome, Score

__all__ = ["checked_answers"]

_SLACK = 1e-5
"""Of a column's range: as much as sums of float32 may miss its ends by. Such a value is moved onto the end."""


def checked_answers(metric: Metric, answers: object, wanted: int) -> list[Score | Failure]:
    """A metric's answers to one batch. One that breaks what the metric declares becomes a failure that names the metric.

    Args:
        metric: Whose answers they are.
        answers: What its ``score`` returned.
        wanted: How many there must be.

    Raises:
        PluginError: there are not as many answers as drawings, so that nobody can tell which is whose.
    """
    if not isinstance(answers, Sequence) or isinstance(answers, str | bytes):
        raise PluginError(f"The metric {metric.name} returned {type(answers).__name__} instead of a list of answers.")
    if len(answers) != wanted:
        raise PluginError(f"The metric {metric.name} gave {len(answers)} answers where {wanted} were asked for.")
    columns = {column.name: column for column in metric.columns}
    return [_checked(metric.name, columns, answer) for answer in answers]


def _checked(name: str, columns: Mapping[str, Column], answer: object) -> Score | Failure:
    if isinstance(answer, Failure):
        return answer
    if not isinstance(answer, Score):
        return _fault(name, f"answered with {type(answer).__name__} instead of a Score or a Failure")
    values: dict[str, float] = {}
    for column_name, value in answer.values.items():
        column = columns.get(column_name)
        if column is None:
            return _fault(name, f"gave a value for '{column_name}', a column that it does not declare")
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return _fault(name, f"gave {value!r} for '{column_name}', which is no number")
        if not math.isfinite(number):
            return _fault(name, f"gave {number} for '{column_name}'")
        inside = _inside(number, column)
        if inside is None:
            low, high = ("unbounded" if end is None else f"{end:g}" for end in (column.low, column.high))
            return _fault(name, f"gave {number:g} for '{column_name}', outside its declared range {low} to {high}")
        values[column_name] = inside
    try:
        json.dumps(answer.evidence, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return _fault(name, f"gave evidence that is not JSON ({error})")
    return Score(values, answer.evidence)


def _inside(value: float, column: Column) -> float | None:
    """The value, moved onto the end of the range where it misses it by rounding alone; ``None`` where it is outside."""
    low, high = column.low, column.high
    size = max((abs(end) for end in (low, high) if end is not None), default=0.0) or 1.0
    if low is not None and value < low:
        return low if value >= low - _SLACK * size else None
    if high is not None and value > high:
        return high if value <= high + _SLACK * size else None
    return value


def _fault(name: str, what: str) -> Failure:
    return Failure(Outcome.SCORER_ERROR, f"The metric {name} {what}.")
