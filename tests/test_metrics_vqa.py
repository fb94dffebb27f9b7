"""What the metric asks and counts where the expected answer is none of the published choices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.vqa import Vqa
from sgpbench.metrics.vqa_core import choose
from sgpbench.metrics.vqa_interface import Answers, Asked
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Json, Outcome, Prompt, Question, Score

LISTED = Question("q1", "is there a dog?", ("yes", "no"), "yes", "animal")
UNLISTED = Question("q2", "what color is it?", ("red", "blue", "green"), "green", "color", answer_added=True)


class LastChoice:
    """Says yes to everything, else what stands last; keeps what it was asked."""

    name = "scripted"
    version = "1"
    identity: Mapping[str, Json] = {"scripted": "1"}
    free_text = False
    batch_size = 4

    def __init__(self) -> None:
        self.asked: list[Question] = []

    async def answer(self, batch: Sequence[Asked]) -> Sequence[Answers]:
        self.asked += [question for one in batch for question in one.questions]
        return [Answers(tuple(_said(question) for question in one.questions)) for one in batch]

    async def aclose(self) -> None:
        pass


def _said(question: Question) -> str:
    return "yes" if "yes" in question.choices else question.choices[-1]


@pytest.mark.parametrize(
    ("protocol", "offered", "share"), [("v1", ("red", "blue", "green"), 1.0), ("paper", ("red", "blue"), 0.5)]
)
def test_an_answer_that_was_not_published_is_offered_by_v1_and_never_right_under_paper(
    tmp_path: Path, protocol: str, offered: tuple[str, ...], share: float
) -> None:
    picture = tmp_path / "p1.png"
    Image.new("RGB", (8, 8), "green").save(picture)
    prompt = Prompt("p1", "a green dog", "a", "p1", questions=(LISTED, UNLISTED))
    drawing = Drawing(prompt, 0, Outcome.OK, "<svg/>", picture, "hash")
    answerer = LastChoice()
    metric = Vqa(answerer, MetricContext(None, load_protocol(protocol), tmp_path), None)
    (score,) = asyncio.run(metric.score([drawing]))
    assert isinstance(score, Score)
    assert [question.choices for question in answerer.asked] == [("yes", "no"), offered]
    assert score.values["vqa[scripted]"] == share


class Says:
    """Says the same to every question."""

    name = "scripted"
    version = "1"
    identity: Mapping[str, Json] = {"scripted": "2"}
    free_text = True
    batch_size = 4

    def __init__(self, words: str) -> None:
        self.words = words
        self.asked: list[Asked] = []

    async def answer(self, batch: Sequence[Asked]) -> Sequence[Answers]:
        self.asked += batch
        return [Answers((self.words,) * len(one.questions)) for one in batch]

    async def aclose(self) -> None:
        pass


def drawn(prompt: Prompt, sample: int, folder: Path) -> Drawing:
    picture = folder / f"{prompt.id}-{sample}.png"
    Image.new("RGB", (8, 8), "green").save(picture)
    return Drawing(prompt, sample, Outcome.OK, "<svg/>", picture, "hash")


def test_under_paper_the_last_drawing_of_a_photograph_is_asked_about_all_its_captions(tmp_path: Path) -> None:
    dog = Question("q1", "is there a dog?", ("yes", "no"), "yes", "animal")
    cat = Question("q1", "is there a cat?", ("yes", "no"), "no", "animal")
    first = Prompt("1-1", "a dog", "scene", "1", metadata={"image_id": 1}, questions=(dog,))
    last = Prompt("1-2", "no cat", "scene", "1", metadata={"image_id": 1}, questions=(cat,))
    answerer = Says("yes")
    metric = Vqa(answerer, MetricContext(None, load_protocol("paper"), tmp_path, prompts=(first, last)), None)
    assert asyncio.run(metric.score([drawn(first, 0, tmp_path)])) == [Score({})]
    (score,) = asyncio.run(metric.score([drawn(last, 1, tmp_path), drawn(last, 0, tmp_path)]))
    assert isinstance(score, Score)
    (asked,) = answerer.asked
    assert (asked.prompt_id, asked.sample) == ("1-2", 1)
    assert sorted(question.text for question in asked.questions) == ["is there a cat?", "is there a dog?"]
    assert score.values["vqa[scripted]"] == 0.5
    own = Vqa(Says("yes"), MetricContext(None, load_protocol("v1"), tmp_path, prompts=(first, last)), None)
    values = [
        one.values["vqa[scripted]"]
        for one in asyncio.run(own.score([drawn(first, 0, tmp_path), drawn(last, 0, tmp_path)]))
        if isinstance(one, Score)
    ]
    assert values == [1.0, 0.0]


def test_under_paper_an_answer_is_a_choice_only_letter_by_letter() -> None:
    def nearest(texts: Sequence[str]) -> NDArray[np.float32]:
        # "yes." lies nearer to "no".
        return np.array([{"no": (1, 0), "yes": (0, 1), "yes.": (0.9, 0.1)}[text] for text in texts], np.float32)

    assert [marked.choice for marked in choose([LISTED], ["yes."], nearest)] == ["yes"]
    assert [marked.choice for marked in choose([LISTED], ["yes."], nearest, exact=True)] == ["no"]
    assert [marked.choice for marked in choose([LISTED], ["yes"], nearest, exact=True)] == ["yes"]
