"""Columns that have no number yet: how many of their samples are settled, and between which bounds the mean must lie.

A failed drawing counts 0 at once, while a good one waits for its judge: a mean over what is there already would be wrong,
and always to one side. So a column has a number only once every sample that it needs is settled: scored, or failed
through the model's own doing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sgpbench.records import MODEL_OUTCOMES, Json, Slice
from sgpbench.results.counting import Counting
from sgpbench.run.table import SETTLED

if TYPE_CHECKING:
    import pandas as pd

    from sgpbench.results.intervals import Floats
    from sgpbench.results.summary import Layout

__all__ = ["in_words", "unfinished_columns"]

_MODEL = [str(outcome) for outcome in MODEL_OUTCOMES]


def unfinished_columns(
    ordered: pd.DataFrame,
    layout: Layout,
    slices: Sequence[Slice],
    countings: Sequence[Counting],
    counted: Iterable[Floats],
    applies: Mapping[str, Collection[str]],
) -> dict[str, dict[str, Json]]:
    """The columns of which some sample is not settled.

    Args:
        ordered: The samples, sorted; a column ``settled.NAME`` (bool) per score column. Where it is missing, a sample is
            settled once it has an outcome of the model's.
        layout: Of the same samples.
        slices: What is published; the bounds are of the overall mean.
        countings: The columns.
        counted: Per column (samples,), each sample's value as it counts; NaN where it does not.
        applies: Column or metric → the ids of prompts that can have a value.

    Returns:
        Column → ``settled`` and ``of`` (samples), and ``bounds``: the lowest and highest mean that the samples still to
        come allow; ``None`` where the column has no range, or not every sample counts.
    """
    found: dict[str, dict[str, Json]] = {}
    known = np.isin(layout.outcomes, _MODEL)
    for counting, values in zip(countings, counted, strict=True):
        name = counting.column.name
        among = counting.applies_to(applies)
        fits = np.ones(layout.ids.size, bool) if among is None else np.isin(layout.ids, list(among))
        wanted = fits[layout.prompt]
        settled = known
        if SETTLED + name in ordered:
            settled = known & ordered[SETTLED + name].to_numpy(bool)
        waiting = wanted & ~settled
        if waiting.any():
            found[name] = {
                "settled": int((wanted & settled).sum()),
                "of": int(wanted.sum()),
                "bounds": _bounds(layout, slices, counting, values, waiting),
            }
    return found


def in_words(unfinished: Mapping[str, Json]) -> str:
    """``270 of 300 judged``."""
    return f"{unfinished['settled']} of {unfinished['of']} judged"


def _bounds(
    layout: Layout, slices: Sequence[Slice], counting: Counting, values: Floats, waiting: npt.NDArray[np.bool_]
) -> Json:
    from sgpbench.results.summary import prompt_means

    low, high = counting.column.low, counting.column.high
    overall = next((part for part in slices if part.kind == "overall"), None)
    if low is None or high is None or overall is None or (counting.samples, counting.prompts) != ("all", "all"):
        return None
    if counting.invalid == "zero":
        low, high = min(low, 0.0), max(high, 0.0)
    weights = np.array([overall.weights.get(str(prompt_id), 0.0) for prompt_id in layout.ids])
    ends: list[Json] = []
    for end in (low, high):
        means = prompt_means(layout.prompt, layout.ids.size, np.where(waiting, end, values))
        use = ~np.isnan(means) & (weights > 0)
        if not use.any():
            return None
        ends.append(float(f"{float(means[use] @ weights[use] / weights[use].sum()):.8g}"))
    return ends
