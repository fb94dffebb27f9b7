"""The task ``scene``: captions of COCO photographs; see README.md beside this file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypedDict

from sgpbench.errors import UsageError
from sgpbench.records import Prompt, Reference, Slice
from sgpbench.tasks.info import read_task_info
from sgpbench.tasks.interface import DataFolders
from sgpbench.tasks.questions import read_questions
from sgpbench.tasks.slices import category_slices

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TASK", "SceneTask"]

_INFO = read_task_info(Path(__file__).parent)
_PHOTOGRAPHS = "coco-val2017-photographs"


class _Row(TypedDict):
    image_id: int
    caption: str
    image_path: str


class SceneTask:
    """1,024 captions of 954 photographs, which are their references; captions of one photograph are one cluster."""

    name = _INFO.name
    version = _INFO.version
    splits = _INFO.splits
    metrics = _INFO.metrics
    headline = _INFO.headline

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """All captions in the order of the published file; ids are ``coco-<photograph>-<its how-manieth caption>``."""
        if split != "official":
            raise UsageError(f"The task scene has no split '{split}'.", remedy="It has official.")
        rows: list[_Row] = json.loads(data.file("coco-val-captions", "coco_test_data.json").read_bytes())
        questions = read_questions(data.file("tifa-questions", "coco_qa.json"))
        seen: Counter[int] = Counter()
        prompts = []
        for row in rows:
            image_id = row["image_id"]
            seen[image_id] += 1
            prompts.append(
                Prompt(
                    id=f"coco-{image_id}-{seen[image_id]}",
                    caption=row["caption"],
                    category="scene",
                    cluster=f"coco-{image_id}",
                    metadata={"image_id": image_id},
                    reference=_reference(data, PurePosixPath(row["image_path"]).name),
                    questions=questions.of(row["caption"]),
                )
            )
        return prompts

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """The plain mean over prompts."""
        return category_slices(prompts)


def _reference(data: DataFolders, name: str) -> Reference:
    """The photograph of that file name, or which data set holds it."""
    photograph = data.find(_PHOTOGRAPHS, name)
    return Reference(image=photograph) if photograph else Reference(missing=_PHOTOGRAPHS)


TASK = SceneTask()
