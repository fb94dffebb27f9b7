"""The task ``edit``: a damaged drawing and a request in, the repaired program out; see README.md beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.data.manifest import load_manifest
from sgpbench.errors import DataError, UsageError
from sgpbench.records import Prompt, Slice
from sgpbench.tasks.info import read_task_info
from sgpbench.tasks.interface import DataFolders
from sgpbench.tasks.slices import category_slices

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASK", "EditTask"]

_INFO = read_task_info(Path(__file__).parent)
_DATA = "vector-bench"


class EditTask:
    """20 repairs: the caption is the request, the input ``program`` the damaged drawing."""

    name = _INFO.name
    version = _INFO.version
    splits = _INFO.splits
    metrics = _INFO.metrics
    headline = _INFO.headline

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """The published tasks in the order of their ids."""
        if split != "official":
            raise UsageError(f"The task edit has no split '{split}'.", remedy="It has official.")
        return [_read(data.file(_DATA, file.name)) for file in load_manifest(_DATA).files]

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """The plain mean over tasks, and by the difficulty that their authors give."""
        return category_slices(prompts)


def _read(path: Path) -> Prompt:
    try:
        row = json.loads(path.read_bytes())
        return Prompt(
            id=row["task_id"],
            caption=row["instruction"],
            category=row["difficulty"],
            # No two tasks come from the same drawing.
            cluster=row["task_id"],
            inputs={"program": row["initial_svg"]},
            metadata={
                "edit": {
                    "target": row["target_svg"],
                    "changes": row["expected_diff"],
                    "preserve": row["should_preserve"],
                }
            },
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a task of Vector-Bench: {type(error).__name__}: {error}.") from None


TASK = EditTask()
