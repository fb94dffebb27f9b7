"""What the metric asks and counts where the expected answer is none of the published choices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.vqa import Vqa
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
