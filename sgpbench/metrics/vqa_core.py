"""Visual question answering as TIFA counts it (Hu et al., 2023), free of models: which choice is meant, and scores.

An answer that equals a choice (case, outer space and a final period aside; in the released code letter by letter) is that
choice. Any other goes to the choice whose sentence embedding is nearest (all-mpnet-base-v2 in the paper); among equally near
ones, to the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sgpbench.records import Json, Question

__all__ = [
    "KINDS",
    "Marked",
    "Nearest",
    "accuracy",
    "accuracy_by_kind",
    "as_published",
    "choose",
    "evidence",
    "exact_choice",
    "normal",
]

Nearest = Callable[[Sequence[str]], NDArray[np.float32]]
"""Embeds texts: ``(n, d) float32``, rows of length 1."""

KINDS = (
    "object",
    "human",
    "animal",
    "food",
    "activity",
    "attribute",
    "counting",
    "color",
    "material",
    "spatial",
    "location",
    "shape",
    "other",
)
"""The element types of TIFA; what a data set calls otherwise counts as ``other``."""


@dataclass(frozen=True, slots=True)
class Marked:
    """One answered question."""

    question: Question
    said: str
    choice: str
    """The choice that ``said`` was taken for."""

    @property
    def right(self) -> bool:
        """Whether that is the expected answer; never, where that was not offered."""
        if self.question.choices and self.question.answer not in self.question.choices:
            return False
        return normal(self.choice) == normal(self.question.answer)


def as_published(question: Question) -> Question:
    """The question without the answer that was added to its choices."""
    return replace(question, choices=question.choices[:-1]) if question.answer_added else question


def normal(text: str) -> str:
    """A text without case, outer white space and final periods, runs of white space as one space."""
    return " ".join(text.casefold().split()).rstrip(". ")


def exact_choice(question: Question, said: str, *, exact: bool = False) -> str | None:
    """The first choice that ``said`` equals once both are normal (``exact``: as they stand); ``said`` itself for a
    question without choices.
    """
    if not question.choices:
        return said
    if exact:
        return said if said in question.choices else None
    wanted = normal(said)
    return next((choice for choice in question.choices if normal(choice) == wanted), None)


def choose(
    questions: Sequence[Question], said: Sequence[str], nearest: Nearest, *, exact: bool = False
) -> list[Marked]:
    """Each answer with the choice it means. ``nearest`` is called at most once, and only if some answer is no choice.

    ``exact``: see ``exact_choice``.

    Raises:
        ValueError: the number of answers is not the number of questions.
    """
    plain = [exact_choice(question, text, exact=exact) for question, text in zip(questions, said, strict=True)]
    loose = [index for index, choice in enumerate(plain) if choice is None]
    chosen = dict(zip(loose, _nearest([(questions[i], said[i]) for i in loose], nearest), strict=True))
    return [
        Marked(question, text, choice if choice is not None else chosen[index])
        for index, (question, text, choice) in enumerate(zip(questions, said, plain, strict=True))
    ]


def _nearest(pairs: Sequence[tuple[Question, str]], nearest: Nearest) -> list[str]:
    if not pairs:
        return []
    texts = sorted({text for question, said in pairs for text in (said, *question.choices)})
    vectors = dict(zip(texts, nearest(texts), strict=True))
    found = []
    for question, said in pairs:
        near = [float(vectors[choice] @ vectors[said]) for choice in question.choices]
        found.append(question.choices[int(np.argmax(near))])
    return found


def accuracy(marked: Sequence[Marked]) -> float:
    """The share of questions answered as expected, 0 to 1.

    Raises:
        ValueError: there is no question.
    """
    if not marked:
        raise ValueError("no question was asked")
    return sum(item.right for item in marked) / len(marked)


def accuracy_by_kind(marked: Sequence[Marked]) -> dict[str, float]:
    """The same for each element type that was asked about."""
    groups: dict[str, list[Marked]] = defaultdict(list)
    for item in marked:
        groups[item.question.kind if item.question.kind in KINDS else "other"].append(item)
    return {kind: accuracy(groups[kind]) for kind in KINDS if kind in groups}


def evidence(marked: Sequence[Marked]) -> Mapping[str, Json]:
    """What was asked, said, understood and expected, by question id."""
    return {
        item.question.id: {
            "said": item.said,
            "choice": item.choice,
            "expected": item.question.answer,
            "right": item.right,
        }
        for item in marked
    }
