"""Which choice an answer means, and how answers count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgpbench.metrics.vqa_core import accuracy, accuracy_by_kind, choose, evidence, exact_choice, normal
from sgpbench.records import Question

YES_NO = Question("q1", "is there a dog?", ("yes", "no"), "yes", "animal")
COLOR = Question("q2", "what color is it?", ("dark red", "blue"), "dark red", "color")


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """Embeds a text by its letters: near in spelling is near in meaning."""
    counts = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def never(texts: Sequence[str]) -> NDArray[np.float32]:
    raise AssertionError("an exact answer needs no embedding")


def test_an_answer_that_equals_a_choice_is_that_choice() -> None:
    marked = choose([YES_NO, COLOR], [" Yes. ", "DARK  red"], never)
    assert [item.choice for item in marked] == ["yes", "dark red"]
    assert [item.right for item in marked] == [True, True]


def test_any_other_answer_goes_to_the_nearest_choice() -> None:
    marked = choose([COLOR, YES_NO], ["redder", "nope"], letters)
    assert [item.choice for item in marked] == ["dark red", "no"]
    assert [item.right for item in marked] == [True, False]


def test_among_equally_near_choices_the_first_one_counts() -> None:
    question = Question("q", "?", ("ab", "ba"), "ab", "other")
    assert choose([question], ["aabb"], letters)[0].choice == "ab"


def test_embedding_is_asked_for_once_and_only_for_what_needs_it() -> None:
    calls = []

    def counting(texts: Sequence[str]) -> NDArray[np.float32]:
        calls.append(sorted(texts))
        return letters(texts)

    choose([YES_NO, COLOR, COLOR], ["yes", "redder", "bluish"], counting)
    assert calls == [["blue", "bluish", "dark red", "redder"]]


def test_an_expected_answer_outside_the_choices_can_only_be_missed_where_choices_are_offered() -> None:
    question = Question("q", "?", ("red", "blue"), "green", "color")
    assert not choose([question], ["green"], letters)[0].right
    assert choose([Question("q", "?", (), "green", "color")], ["Green."], never)[0].right


def test_repeated_choices_do_no_harm() -> None:
    assert exact_choice(Question("q", "?", ("red", "red", "blue"), "red", "color"), "red") == "red"


def test_accuracy_is_the_share_answered_as_expected_in_all_and_by_kind() -> None:
    odd = Question("q3", "?", ("a", "b"), "a", "engine control unit")
    marked = choose([YES_NO, COLOR, odd, COLOR], ["yes", "blue", "a", "dark red"], never)
    assert accuracy(marked) == 0.75
    assert accuracy_by_kind(marked) == {"animal": 1.0, "color": 0.5, "other": 1.0}
    assert evidence(marked)["q1"] == {"said": "yes", "choice": "yes", "expected": "yes", "right": True}


def test_no_question_has_no_accuracy_and_answers_must_be_complete() -> None:
    with pytest.raises(ValueError, match="no question"):
        accuracy([])
    with pytest.raises(ValueError, match="shorter"):
        choose([YES_NO, COLOR], ["yes"], never)


@given(st.text())
def test_normal_texts_stay_as_they_are(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(st.permutations(range(4)))
def test_the_order_of_questions_changes_no_mark(order: list[int]) -> None:
    questions = [YES_NO, COLOR, Question("q3", "?", ("cat", "dog"), "cat", "animal"), YES_NO]
    said = ["nah", "redish", "dog", "yes"]
    straight = choose(questions, said, letters)
    assert choose([questions[i] for i in order], [said[i] for i in order], letters) == [straight[i] for i in order]
