"""The task ``comp``: SGP-CompBench, compositional prompts graded by a judge; see README.md beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.errors import UsageError
from sgpbench.records import Prompt, Slice
from sgpbench.tasks.info import read_task_info
from sgpbench.tasks.interface import DataFolders
from sgpbench.tasks.slices import category_slices, distinct_slice

from .generated import generated_prompts
from .official import official_prompts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASK", "CompTask"]

_INFO = read_task_info(Path(__file__).parent)


class CompTask:
    """3,200 published prompts (``official``), or as many new ones from a seed (``generated``)."""

    name = _INFO.name
    version = _INFO.version
    splits = _INFO.splits
    metrics = _INFO.metrics
    headline = _INFO.headline

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """All prompts of a split: the published file's order, or new ones that depend on ``seed`` alone."""
        match split:
            case "official":
                return official_prompts(data.file("sgp-compbench", "sgp-compbench-prompts.json"))
            case "generated":
                return generated_prompts(seed)
            case _:
                raise UsageError(f"The task comp has no split '{split}'.", remedy=f"It has {', '.join(self.splits)}.")

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """Overall is the mean over prompts, not over categories; ``distinct texts`` counts each text once."""
        return [*category_slices(prompts), distinct_slice(prompts)]


TASK = CompTask()
