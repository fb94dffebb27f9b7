"""The published TIFA questions, and the one rule for each of their defects.

- A **repeated question** (equal words within a prompt) is kept and counts each time: nearly all of them ask about
  another thing, with other choices, and the published scores count them so.
- A **repeated choice** is offered once, where it first stands.
- An **answer that is no choice** is added as the last choice, so that the question can be answered; it is marked
  (``answer_added``), because the released code can never count it as answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from sgpbench.errors import DataError
from sgpbench.records import Question

__all__ = ["Questions", "read_questions"]


class _Published(TypedDict):
    question: str
    choices: list[str]
    answer: str
    cls: str


class _Entry(TypedDict):
    questions: list[_Published]


class Questions:
    """Questions by caption."""

    def __init__(self, published: Mapping[str, _Entry]) -> None:
        self._exact = {
            caption: tuple(map(_question, range(1, 1000), entry["questions"])) for caption, entry in published.items()
        }
        self._stripped = {caption.strip(): caption for caption in self._exact}

    def __len__(self) -> int:
        """How many captions have questions."""
        return len(self._exact)

    @property
    def total(self) -> int:
        """How many questions there are in all."""
        return sum(len(questions) for questions in self._exact.values())

    def of(self, caption: str) -> tuple[Question, ...]:
        """The questions about a caption, found by its exact text, else by its text without outer spaces."""
        found = self._exact.get(caption)
        if found is None:
            found = self._exact.get(self._stripped.get(caption.strip(), ""), ())
        return found


def read_questions(path: Path) -> Questions:
    """All questions of a published file.

    Raises:
        DataError: the file has another form.
    """
    try:
        return Questions(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a file of questions by caption: {type(error).__name__}: {error}.") from None


def _question(number: int, published: _Published) -> Question:
    choices = tuple(dict.fromkeys(published["choices"]))
    answer = published["answer"]
    added = answer not in choices
    return Question(
        id=f"q{number}",
        text=published["question"],
        choices=(*choices, answer) if added else choices,
        answer=answer,
        kind=published["cls"],
        answer_added=added,
    )
