"""The task plugin: which prompts there are, and which means over them are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from sgpbench.errors import UsageError
from sgpbench.records import Prompt, Slice
from sgpbench.tasks.slices import category_slices

from .grammar import CATEGORIES, make_scene
from .words import canonical_text, caption

if TYPE_CHECKING:
    import pandas as pd

    from sgpbench.tasks.interface import DataFolders

__all__ = ["PROMPTS_PER_SPLIT", "ShapesTask"]

PROMPTS_PER_SPLIT = 500
_TRIES_FOR_A_NEW_SCENE = 200


class ShapesTask:
    """500 captions over eight graded categories; no data, no weights."""

    name = "shapes"
    version = 1
    splits = ("official", "generated")
    metrics = ("validity", "structure", "shapes")
    headline = "shapes"

    def prompts(self, data: DataFolders, split: str, seed: int) -> Iterable[Prompt]:
        """500 prompts, the categories in turn. ``official`` is always made from seed 0, ``generated`` from ``seed``.

        Raises:
            UsageError: there is no such split.
        """
        if split not in self.splits:
            raise UsageError(f"The task 'shapes' has no split '{split}'.", remedy=f"It has: {', '.join(self.splits)}.")
        return _prompts(0 if split == "official" else seed, PROMPTS_PER_SPLIT)

    def aggregate(self, prompts: pd.DataFrame) -> Sequence[Slice]:
        """The mean over all prompts, and over each category; every prompt weighs 1."""
        return category_slices(prompts)


def _prompts(seed: int, number: int) -> Iterable[Prompt]:
    """``number`` prompts of one seed; a scene is drawn again while its like has been seen, as long as that helps."""
    seen: set[str] = set()
    for index in range(number):
        category = CATEGORIES[index % len(CATEGORIES)]
        rng = Random(f"shapes:{seed}:{index}")
        for _ in range(_TRIES_FOR_A_NEW_SCENE):
            scene = make_scene(category, rng)
            cluster = canonical_text(scene)
            if cluster not in seen:
                break
        seen.add(cluster)
        yield Prompt(
            id=f"shapes-{category}-{index:04d}",
            caption=caption(scene),
            category=category,
            cluster=cluster,
            metadata={"scene": scene.as_json()},
        )
