"""The task ``object``: captions of single things with reference SVGs; see README.md beside this file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.errors import UsageError
from sgpbench.records import Prompt, Slice
from sgpbench.tasks.info import read_task_info
from sgpbench.tasks.interface import DataFolders
from sgpbench.tasks.questions import read_questions
from sgpbench.tasks.slices import category_slices

from .rows import read_prompts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASK", "ObjectTask"]

_INFO = read_task_info(Path(__file__).parent)


class ObjectTask:
    """930 captions, each with the SVG it was written for as its reference."""

    name = _INFO.name
    version = _INFO.version
    splits = _INFO.splits
    metrics = _INFO.metrics
    headline = _INFO.headline

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """All rows with a description and an SVG, in the order of the published file."""
        if split != "official":
            raise UsageError(f"The task object has no split '{split}'.", remedy="It has official.")
        # The file of that name holds the questions of the object captions; see the data card.
        questions = read_questions(data.file("tifa-questions", "sgp_compbench_qa.json"))
        return read_prompts(data.file("sgp-object", "SGP-Object.json"), questions)

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """The plain mean over prompts, and by class where the data names classes."""
        return category_slices(prompts)


TASK = ObjectTask()
