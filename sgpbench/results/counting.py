"""What a sample counts as: its score, 0, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sgpbench.records import HARNESS_OUTCOMES, Column, Outcome
from sgpbench.results.intervals import Floats

if TYPE_CHECKING:
    from sgpbench.protocol import InvalidRule, Scoring

__all__ = ["ALL", "Counting", "Kept", "counting_of", "metric_of"]

_OURS = frozenset(str(outcome) for outcome in HARNESS_OUTCOMES)
_MODEL = frozenset(str(outcome) for outcome in Outcome) - _OURS


@dataclass(frozen=True, slots=True)
class Counting:
    """How one column counts samples.

    ``invalid``: what a sample without a valid drawing counts as where the metric gave it no score of its own.
    ``samples``: ``last-valid`` keeps only a prompt's last valid sample. ``prompts``: ``last-of-cluster`` keeps only the
    last prompt of a cluster that has a value.
    """

    column: Column
    invalid: Literal["zero", "omit"]
    samples: Literal["all", "last-valid"] = "all"
    prompts: Literal["all", "last-of-cluster"] = "all"

    def counted(self, scores: Floats, outcomes: npt.NDArray[np.object_], applies: npt.NDArray[np.bool_]) -> Floats:
        """Each sample's value in the mean; NaN where it does not count.

        ``scores``: the metric's, NaN where it gave none. ``outcomes``: names, ``None`` while pending. ``applies``: whether
        the column can have a value for the sample's prompt at all (a prompt without questions has no ``vqa``). Samples
        that are pending or failed through no fault of the model never count.
        """
        final = np.isin(outcomes, list(_MODEL))
        counts = np.where(final, scores, np.nan)
        if self.invalid == "zero":
            failed = final & applies & (outcomes != str(Outcome.OK)) & np.isnan(scores)
            counts[failed] = 0.0
        return counts

    def applies_to(self, applies: Mapping[str, Collection[str]]) -> Collection[str] | None:
        """The ids of prompts that can have a value; ``None`` for all. ``applies`` is keyed by column or metric."""
        return applies.get(self.column.name, applies.get(metric_of(self.column.name)))

    def one(self, score: float | None, outcome: str) -> float | None:
        """The same for a single sample of a prompt that the column applies to."""
        if outcome not in _MODEL:
            return None
        if score is None and self.invalid == "zero" and outcome != Outcome.OK:
            return 0.0
        return score


def metric_of(column: str) -> str:
    """The metric a column belongs to, without answerer or part: ``judge[gpt-4o-mini].total`` → ``judge``."""
    return column.split("[")[0].split(".")[0]


@dataclass(frozen=True, slots=True)
class Kept:
    """Metrics of which only a prompt's last valid sample counts, and of which only a cluster's last prompt."""

    last_valid: Collection[str] = ()
    last_of_cluster: Collection[str] = ()

    @classmethod
    def under(cls, scoring: Scoring, task: str) -> Kept:
        """What a protocol keeps of a task's samples and prompts."""
        last_valid = ("vqa",) if scoring.vqa.samples == "last-valid" else ()
        return cls(last_valid, scoring.invalid.last_of_cluster.get(task, ()))


ALL = Kept()
"""Every sample of every prompt counts."""


def counting_of(column: Column, invalid: InvalidRule, kept: Kept = ALL) -> Counting:
    """How a column counts under a protocol: 0 for a failed drawing only where both column and protocol say so."""
    metric = metric_of(column.name)
    zero = column.invalid == "zero" and invalid.policy(metric) == "zero"
    return Counting(
        column,
        "zero" if zero else "omit",
        "last-valid" if metric in kept.last_valid else "all",
        "last-of-cluster" if metric in kept.last_of_cluster else "all",
    )
