"""Prompts that are looked up by photograph, as the released scripts do; and HPS, which they gather so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from sgpbench.metrics.hps import ReleasedHps
from sgpbench.metrics.keyed import KeyedPrompts
from sgpbench.metrics.text_image import TextImageMetric
from sgpbench.protocol import HpsRule
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Prompt, Question, Score


def prompt(name: str, caption: str, photograph: int | None, *questions: str) -> Prompt:
    return Prompt(
        name,
        caption,
        "scene",
        f"coco-{photograph}",
        metadata={} if photograph is None else {"image_id": photograph},
        questions=tuple(Question(f"q{n}", text, ("yes", "no"), "yes", "object") for n, text in enumerate(questions, 1)),
    )


PROMPTS = (
    prompt("1-1", "a wave", 1, "is there a wave?"),
    prompt("2-1", "two dogs", 2, "is there a dog?", "are there two?"),
    prompt("1-2", "a surfer on a wave", 1, "is there a surfer?"),
    prompt("2-2", "dogs at play", 2, "is there a dog?"),
    # The caption of photograph 1 once more.
    prompt("3-1", "a wave", 3, "is there a wave?"),
    prompt("free", "a lamp", None, "is it lit?"),
)


def test_the_last_prompt_of_a_photograph_is_asked_the_questions_of_all_its_captions() -> None:
    keyed = KeyedPrompts(PROMPTS, "image_id")
    asked = {one.id: [question.text for question in keyed.questions(one)] for one in PROMPTS if keyed.counts(one)}
    assert asked == {
        "1-2": ["is there a surfer?"],
        "2-2": ["is there a dog?", "are there two?", "is there a dog?"],
        "3-1": ["is there a wave?"],
        "free": ["is it lit?"],
    }
    for one in PROMPTS:
        ids = [question.id for question in keyed.questions(one)]
        assert len(set(ids)) == len(ids)


def test_without_a_key_every_prompt_counts_with_its_own_questions() -> None:
    keyed = KeyedPrompts((), None)
    assert keyed.identity is None
    assert all(keyed.counts(one) and keyed.questions(one) == one.questions for one in PROMPTS)


def test_what_is_pooled_is_part_of_the_identity() -> None:
    whole, part = KeyedPrompts(PROMPTS, "image_id"), KeyedPrompts(PROMPTS[:3], "image_id")
    assert whole.identity != part.identity
    assert whole.identity == KeyedPrompts(PROMPTS, "image_id").identity


@pytest.mark.upstream
def test_the_published_questions_are_all_asked_once_of_953_photographs(upstream: Path) -> None:
    rows: list[dict[str, Any]] = json.loads((upstream / "coco_test_data.json").read_bytes())
    published: dict[str, Any] = json.loads((upstream / "coco_qa.json").read_bytes())
    prompts = [
        prompt(
            f"{n}", row["caption"], row["image_id"], *(q["question"] for q in published[row["caption"]]["questions"])
        )
        for n, row in enumerate(rows)
    ]
    keyed = KeyedPrompts(prompts, "image_id")
    counting = [one for one in prompts if keyed.counts(one)]
    # One photograph has no other caption than the one that it shares with a later one.
    assert len(counting) == 953
    assert sum(len(keyed.questions(one)) for one in counting) == 9073


class Given:
    """Scores each drawing by what is given for its sample."""

    name, version, identity = "hps", "1", {"version": "1"}
    columns = (Column("hps", True, "given", -1.0, 1.0, "omit"),)

    def __init__(self, values: Mapping[int, float]) -> None:
        self.values = values

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        return [Score({"hps": self.values[drawing.sample]}) for drawing in batch]


def gathered(tmp_path: Path, sizes: Sequence[tuple[int, int]], rule: HpsRule, of: Prompt = PROMPTS[3]) -> Score:
    drawings = []
    for number, size in enumerate(sizes):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", size, "red").save(file)
        drawings.append(Drawing(of, number, Outcome.OK, "<svg/>", file, str(number)))
    each = cast("TextImageMetric", Given({number: (number + 1) / 10 for number in range(len(sizes))}))
    metric = ReleasedHps(each, rule, KeyedPrompts(PROMPTS, rule.keyed_by))
    (score,) = asyncio.run(metric.score(drawings[::-1]))
    assert isinstance(score, Score)
    return score


RELEASED = HpsRule(keyed_by="image_id", too_narrow="zero-all")


def test_hps_of_a_photograph_is_the_mean_of_its_last_captions_drawings(tmp_path: Path) -> None:
    score = gathered(tmp_path, [(224, 224), (300, 20), (447, 1)], RELEASED)
    assert score.values["hps"] == pytest.approx(0.2)
    evidence: Json = score.evidence["hps"]
    assert evidence == {"drawings": {"0": 0.1, "1": 0.2, "2": 0.3}}
    assert gathered(tmp_path, [(90, 90)], RELEASED, PROMPTS[1]) == Score({})


@pytest.mark.parametrize("narrow", [(448, 1), (1, 2000), (5, 3000), (224, 100), (223, 224)])
def test_one_picture_that_hpsv2_fails_on_makes_all_hps_of_its_prompt_0(tmp_path: Path, narrow: tuple[int, int]) -> None:
    assert gathered(tmp_path, [(90, 90), narrow], RELEASED).values["hps"] == 0
    kept = gathered(tmp_path, [(90, 90), narrow], RELEASED.model_copy(update={"too_narrow": "one-pixel"}))
    assert kept.values["hps"] == pytest.approx(0.15)
