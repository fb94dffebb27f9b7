"""The words of prompts and the links to their photographs, as far as the data is here; else the prompt's id stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgpbench.data.store import DataStore
from sgpbench.errors import SgpbenchError
from sgpbench.paths import data_dirs
from sgpbench.records import Prompt
from sgpbench.tasks.registry import load_task, load_task_info

__all__ = ["TaskWords", "task_words"]

_ATTRIBUTION = {
    "object": "Captions: SGP-Object (SphereLab), CC BY-NC 4.0.",
    "scene": "Captions: COCO (Lin et al., 2014), CC BY 4.0. Photographs are linked, not copied.",
    "comp": "Texts: SGP-CompBench (Chen et al., 2025), MIT.",
    "shapes": "Texts: sgpbench, Apache-2.0.",
}


@dataclass(frozen=True, slots=True)
class TaskWords:
    """What is known here of a task's prompts."""

    title: str
    description: str = ""
    attribution: str | None = None
    """Whose words the captions are; ``None`` where there are none."""
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    """By id; empty where the data is not here."""
    missing: str | None = None
    """Why there are no captions."""

    def caption(self, prompt_id: str) -> str | None:
        """A prompt's words, or ``None``."""
        prompt = self.prompts.get(prompt_id)
        return prompt.caption if prompt else None

    def photograph(self, prompt_id: str) -> str | None:
        """The address of the photograph that a caption describes, or ``None``."""
        prompt = self.prompts.get(prompt_id)
        image = prompt.metadata.get("image_id") if prompt else None
        return f"https://images.cocodataset.org/val2017/{image:012d}.jpg" if isinstance(image, int) else None


def task_words(task: str, split: str, seed: int, data: Path | None) -> TaskWords:
    """The words of a task; a task that is not installed or whose data is missing has none, and says so."""
    try:
        info = load_task_info(task)
    except SgpbenchError as error:
        return TaskWords(task, missing=str(error))
    try:
        prompts = {prompt.id: prompt for prompt in load_task(task).prompts(DataStore(data_dirs(data)), split, seed)}
    except SgpbenchError as error:
        return TaskWords(info.title, info.description, missing=str(error))
    return TaskWords(info.title, info.description, _ATTRIBUTION.get(task, f"Texts: {info.licence}."), prompts)
