"""What a task plugin is. One screen; everything else about tasks builds on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from sgpbench.data.interface import DataFolders
from sgpbench.records import Prompt, Slice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataFolders", "Task"]


class Task(Protocol):
    """A set of prompts and what their scores mean."""

    name: str
    version: int
    """Part of a run's identity; raised whenever a prompt, its id, order or cluster changes."""
    splits: tuple[str, ...]
    """The first one is the default and the one that is ranked."""
    metrics: tuple[str, ...]
    """Metric names that ``--metrics auto`` asks for."""
    headline: str
    """The metric by which models are ranked."""

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """All prompts of a split, in the published order. ``seed`` matters only to generated splits.

        Raises:
            DataError: data is missing.
            UsageError: there is no such split.
        """

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """Which weighted means over prompts are published, ``overall`` first.

        ``prompts`` has one row per prompt: ``prompt_id, category, cluster``. The intervals around the means are not a
        task's business.
        """
