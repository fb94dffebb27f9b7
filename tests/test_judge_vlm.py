"""Questions about a picture, answered by a scripted model that sees."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from judge_support import BINDING as SOME
from judge_support import SpeakingModel, context, down, drawing, question, words_of

from sgpbench.errors import MetricUnavailable
from sgpbench.metrics.replies import MemoryReplies
from sgpbench.metrics.vqa_interface import Answers, Asked
from sgpbench.metrics.vqa_vlm import open_vlm_answerer, read_answers, shown_choices
from sgpbench.records import Failure, Outcome, Request

QUESTIONS = (
    question("q1", "is this a dog?", ("yes", "no"), "yes"),
    question("q2", "what animal is it?", ("dog", "cat", "bird", "fish"), "dog"),
    question("q3", "which is repeated?", ("red", "blue", "red"), "red"),
)
TRUTH = {item.text: item.answer for item in QUESTIONS}


def knowing(request: Request) -> str:
    """Reads the sheet as a model would, and gives the right letter of each question."""
    lines, number, wanted = [], "", ""
    for line in words_of(request).splitlines():
        if match := re.fullmatch(r"(\d+)\. (.+)", line):
            number, wanted = match[1], TRUTH[match[2]]
        elif (match := re.fullmatch(r"   ([A-Z])\) (.+)", line)) and match[2] == wanted:
            lines.append(f"{number}: {match[1]}")
    return "\n".join(lines)


def asked(folder: Path, prompt_id: str = "p1") -> Asked:
    path = drawing(SOME, folder).rendering
    assert path is not None
    return Asked(path, QUESTIONS, prompt_id)


def answers(model: SpeakingModel, folder: Path, protocol: str = "v1", **options: MemoryReplies) -> Answers | Failure:
    answerer = open_vlm_answerer("speaking", context(model, protocol, folder=folder, **options))
    return asyncio.run(answerer.answer([asked(folder)]))[0]


def test_all_questions_of_a_picture_take_one_call(tmp_path: Path) -> None:
    model = SpeakingModel(knowing)
    answer = answers(model, tmp_path)
    assert isinstance(answer, Answers)
    assert answer.texts == ("yes", "dog", "red")
    assert len(model.answered) == 1
    (call,) = answer.evidence["calls"]
    assert call["reply"] == knowing(model.answered[0])


def test_the_caption_is_never_shown(tmp_path: Path) -> None:
    model = SpeakingModel(knowing)
    answers(model, tmp_path)
    assert SOME.caption not in words_of(model.answered[0])


def test_choices_are_shuffled_by_seed_prompt_and_question_each_once() -> None:
    orders = {shown_choices(QUESTIONS[1], f"p{k}", 0) for k in range(200)}
    assert len(orders) == 24
    assert all(sorted(order) == ["bird", "cat", "dog", "fish"] for order in orders)
    assert shown_choices(QUESTIONS[1], "p1", 0) == shown_choices(QUESTIONS[1], "p1", 0)
    assert len({shown_choices(QUESTIONS[1], "p1", seed) for seed in range(50)}) > 10
    assert sorted(shown_choices(QUESTIONS[2], "p1", 0)) == ["blue", "red"]


@pytest.mark.parametrize(
    "reply",
    [
        "1: A\n2: C",
        "1. A) yes\n2. (C) bird",
        "**1**: A\n**2:** C",
        "- 1) a\n- 2) c",
        "1 - A\n\n2 - C.",
        "1: B\n1: A\n2: C",
    ],
)
def test_letters_are_read_in_the_forms_models_use(reply: str) -> None:
    assert read_answers(reply, "multiple-choice") == {1: "A", 2: "C"}


@pytest.mark.parametrize("reply", ["", "The dog is brown.", "1: Absolutely", "A", "1:", "2 dogs, A sofa and more"])
def test_words_that_are_no_letters_answer_nothing(reply: str) -> None:
    assert read_answers(reply, "multiple-choice") == {}


def test_free_answers_are_the_words_after_the_number() -> None:
    assert read_answers("1: a dog\n2. **on the sofa**\n3) two", "free-form") == {1: "a dog", 2: "on the sofa", 3: "two"}


def test_the_paper_shows_no_choices_and_takes_words(tmp_path: Path) -> None:
    model = SpeakingModel(lambda _: "1: yes it is\n2: dog\n3: red")
    answer = answers(model, tmp_path, "paper")
    assert isinstance(answer, Answers)
    assert answer.texts == ("yes it is", "dog", "red")
    assert "A)" not in words_of(model.answered[0])
    assert open_vlm_answerer("speaking", context(model, "paper", folder=tmp_path)).free_text


def test_open_questions_are_asked_once_more(tmp_path: Path) -> None:
    def forgetful(request: Request) -> str:
        lines = knowing(request).splitlines()
        return lines[1] if len(request.messages) > 1 else "\n".join([lines[0], "2: Z", lines[2]])

    model = SpeakingModel(forgetful)
    answer = answers(model, tmp_path)
    assert isinstance(answer, Answers)
    assert answer.texts == ("yes", "dog", "red")
    assert "no answer to: 2." in str(model.answered[1].messages[-1].parts[0])


def test_garbage_is_ours_and_is_asked_anew_later(tmp_path: Path) -> None:
    replies = MemoryReplies()
    garbled = SpeakingModel(lambda _: "!!!")
    answer = answers(garbled, tmp_path, replies=replies)
    assert isinstance(answer, Failure)
    assert answer.outcome is Outcome.JUDGE_ERROR
    assert len(garbled.answered) == 2
    healthy = answers(SpeakingModel(knowing), tmp_path, replies=replies)
    assert isinstance(healthy, Answers)
    assert healthy.texts == ("yes", "dog", "red")


def test_an_outage_is_ours_and_a_kept_reply_is_not_paid_for_again(tmp_path: Path) -> None:
    answer = answers(SpeakingModel(down), tmp_path)
    assert isinstance(answer, Failure)
    assert answer.outcome is Outcome.JUDGE_ERROR
    replies = MemoryReplies()
    first = answers(SpeakingModel(knowing), tmp_path, replies=replies)
    assert answers(SpeakingModel(down), tmp_path, replies=replies) == first


def test_a_model_that_does_not_see_cannot_answer(tmp_path: Path) -> None:
    with pytest.raises(MetricUnavailable, match="does not see"):
        open_vlm_answerer("speaking", context(SpeakingModel(knowing, sees=False), folder=tmp_path))
