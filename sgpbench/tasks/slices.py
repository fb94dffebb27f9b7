"""Which weighted means tasks publish: overall, every level of the categories, and each text counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgpbench.records import Slice

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["category_slices", "distinct_slice"]


def category_slices(prompts: pd.DataFrame) -> Sequence[Slice]:
    """``overall`` (every prompt weighs 1), then each category level that holds some but not all prompts.

    ``prompts`` has the columns ``prompt_id`` and ``category``; ``a/b`` counts under ``a`` and under ``a/b``. The order
    is that of first appearance, each major category before its minor ones.
    """
    ids = [str(value) for value in prompts["prompt_id"]]
    members: dict[str, list[str]] = {}
    for prompt_id, category in zip(ids, prompts["category"], strict=True):
        for level in _levels(str(category)):
            members.setdefault(level, []).append(prompt_id)
    majors = list(dict.fromkeys(level.split("/")[0] for level in members))
    ordered = sorted(members, key=lambda level: majors.index(level.split("/")[0]))  # stable: minors follow their major
    slices = [Slice("overall", dict.fromkeys(ids, 1.0), kind="overall")]
    slices += [Slice(level, dict.fromkeys(members[level], 1.0)) for level in ordered if len(members[level]) < len(ids)]
    return slices


def distinct_slice(prompts: pd.DataFrame, name: str = "distinct texts") -> Slice:
    """The mean in which every cluster counts once: each prompt weighs 1 / (number of prompts in its cluster)."""
    sizes = prompts["cluster"].map(prompts["cluster"].value_counts())
    weights = {str(i): 1.0 / int(size) for i, size in zip(prompts["prompt_id"], sizes, strict=True)}
    return Slice(name, weights, kind="variant")


def _levels(category: str) -> list[str]:
    parts = category.split("/")
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]
