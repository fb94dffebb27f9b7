"""What a task's prompts are, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sgpbench.records import Json, Prompt

__all__ = ["Census", "Count", "take_census"]


@dataclass(frozen=True, slots=True)
class Count:
    """How many prompts, and in how many clusters."""

    prompts: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Census:
    """Counts over all prompts of a split."""

    prompts: int
    clusters: int
    categories: Mapping[str, Count]
    """Every category level (``binding`` and ``binding/color``), in order of first appearance."""
    questions: int
    with_questions: int
    references: int
    missing_references: int
    rubric_parts: int

    def as_json(self) -> Json:
        """The same as a JSON object."""
        return {
            "prompts": self.prompts,
            "clusters": self.clusters,
            "categories": {
                name: {"prompts": count.prompts, "clusters": count.clusters} for name, count in self.categories.items()
            },
            "questions": self.questions,
            "with_questions": self.with_questions,
            "references": self.references,
            "missing_references": self.missing_references,
            "rubric_parts": self.rubric_parts,
        }


def take_census(prompts: Iterable[Prompt]) -> Census:
    """Counts prompts by every category level, and what they carry."""
    prompts = list(prompts)
    majors = dict.fromkeys(prompt.category.split("/")[0] for prompt in prompts)
    members: dict[str, list[Prompt]] = {}
    for major in majors:
        for prompt in prompts:
            parts = prompt.category.split("/")
            if parts[0] == major:
                for depth in range(1, len(parts) + 1):
                    members.setdefault("/".join(parts[:depth]), []).append(prompt)
    references = [prompt.reference for prompt in prompts if prompt.reference is not None]
    missing = sum(reference.missing is not None for reference in references)
    return Census(
        prompts=len(prompts),
        clusters=_clusters(prompts),
        categories={name: Count(len(found), _clusters(found)) for name, found in members.items()},
        questions=sum(len(prompt.questions) for prompt in prompts),
        with_questions=sum(bool(prompt.questions) for prompt in prompts),
        references=len(references) - missing,
        missing_references=missing,
        rubric_parts=sum(len(prompt.rubric) for prompt in prompts),
    )


def _clusters(prompts: Iterable[Prompt]) -> int:
    return len({prompt.cluster for prompt in prompts})
