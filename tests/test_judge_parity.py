"""Scores of official prompts under ``paper``, over OpenAI's wire format, against a straight computation.

The computation on the test's side follows the sentences of PROTOCOL.md and shares no code with the judge: how a reply is
read, ``int(0.2*total + 0.2*item + 0.6*mean)`` in floats, and means over prompts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from judge_server import FORMS, JudgeServer, reply_to
from PIL import Image

from sgpbench.data.store import DataStore
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.judge import open_judge
from sgpbench.metrics.replies import MemoryReplies
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency, ModelSpec
from sgpbench.models.limiter import Limiter
from sgpbench.models.registry import open_model
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, Outcome, Prompt, Score
from sgpbench.tasks.registry import load_task

pytestmark = pytest.mark.upstream

NAME = "judge[parity]"
Row = dict[str, Any]


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with JudgeServer() as running:
        yield running


@pytest.fixture(scope="module")
def rows(upstream: Path) -> list[Row]:
    return json.loads((upstream / "sgp-compbench-prompts.json").read_bytes())


@pytest.fixture(scope="module")
def words(upstream: Path) -> Mapping[str, str]:
    return json.loads((upstream / "protocol-templates.json").read_bytes())["templates"]


# --- the straight computation ----------------------------------------------------------------------------------------


def straight_score(reply: str) -> int:
    """If ``SCORE:`` is there: the first token after its first occurrence, if exactly 100, 50, 30 or 0; else the last such
    integer anywhere in the reply; else 0. A further ``SCORE:`` ends what comes after the first."""
    allowed = ("100", "50", "30", "0")
    if "SCORE:" in reply:
        after = reply[reply.index("SCORE:") + 6 :]
        after = after[: after.index("SCORE:")] if "SCORE:" in after else after
        token = after.split()[0] if after.split() else ""
        if token in allowed:
            return int(token)
    integers, digits = [], ""
    for character in [*reply, "end"]:
        if len(character) == 1 and character.isdecimal():
            digits += character
        elif digits:
            integers.append(digits)
            digits = ""
    known = [integer for integer in integers if integer in allowed]
    return int(known[-1]) if known else 0


def straight_judgement(row: Row, words: Mapping[str, str]) -> dict[str, float]:
    """The score of a row and, for numeracy, its three parts, from the server's replies to upstream's questions."""

    def ask(template: str, **values: object) -> int:
        text = words[template]
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return straight_score(reply_to(text))

    if row["major_type"] != "numeracy":
        return {NAME: float(ask(f"eval_prompt_{row['major_type']}", prompt=row["prompt"]))}
    counts = row["metadata"]["object_counts"]
    total = ask("eval_prompt_numeracy_total", total_count=row["metadata"]["total_count"])
    item = ask("eval_prompt_numeracy_item", noun_list=", ".join(entry["noun"] for entry in counts))
    each = [ask("eval_prompt_numeracy_count_binding", count=entry["count"], noun=entry["noun"]) for entry in counts]
    mean = sum(each) / len(each)
    score = int(0.2 * float(total) + 0.2 * float(item) + 0.6 * float(mean))
    return {NAME: float(score), f"{NAME}.total": float(total), f"{NAME}.items": float(item), f"{NAME}.count": mean}


def mean_over_prompts(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


# --- our side --------------------------------------------------------------------------------------------------------


def judged(
    server: JudgeServer, upstream: Path, folder: Path, prompts: Sequence[Prompt], replies: MemoryReplies | None = None
) -> dict[str, Score | Failure]:
    """What our judge makes of a drawing of each prompt."""
    picture = folder / "drawing.png"
    Image.new("RGB", (64, 48), "white").save(picture)
    drawings = [Drawing(prompt, 0, Outcome.OK, "<svg/>", picture, "drawing") for prompt in prompts]

    async def run() -> list[Score | Failure]:
        spec = ModelSpec(
            "parity", "openai", "judge", {"base_url": server.url}, sees=True, concurrency=Concurrency(16, 16)
        )
        model = open_model(spec)
        limiter = Limiter(model.concurrency)
        context = MetricContext(
            argument="parity",
            protocol=load_protocol("paper"),
            cache_dir=folder,
            open_caller=lambda _: Caller(model, limiter, patience_s=0.05, backoff_s=0.01, kind="judge"),
            data=DataStore([upstream]),
            replies=replies,
        )
        metric = open_judge(context)
        answers: list[Score | Failure] = []
        for start in range(0, len(drawings), metric.batch_size):
            answers += await metric.score(drawings[start : start + metric.batch_size])
        limiter.close()
        await model.aclose()
        return answers

    return {drawing.prompt.id: answer for drawing, answer in zip(drawings, asyncio.run(run()), strict=True)}


def official(upstream: Path, every: int) -> list[Prompt]:
    return list(load_task("comp").prompts(DataStore([upstream]), "official", 0))[::every]


def values(answers: Mapping[str, Score | Failure]) -> dict[str, Mapping[str, float]]:
    failed = [answer for answer in answers.values() if isinstance(answer, Failure)]
    assert not failed, failed[:3]
    return {key: answer.values for key, answer in answers.items() if isinstance(answer, Score)}


# --- what must hold --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [pytest.param(41, id="a sample"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_every_prompt_has_the_score_of_the_straight_computation(
    server: JudgeServer, upstream: Path, tmp_path: Path, rows: list[Row], words: Mapping[str, str], every: int
) -> None:
    ours = values(judged(server, upstream, tmp_path, official(upstream, every)))
    theirs = {row["id"]: straight_judgement(row, words) for row in rows[::every]}
    assert ours == theirs
    assert len({value[NAME] for value in ours.values()}) > 4

    scores = {prompt_id: value[NAME] for prompt_id, value in ours.items()}
    for major in ("binding", "relation", "numeracy"):
        chosen = [row["id"] for row in rows[::every] if row["major_type"] == major]
        straight = mean_over_prompts([theirs[prompt_id][NAME] for prompt_id in chosen])
        assert mean_over_prompts([scores[prompt_id] for prompt_id in chosen]) == straight
    if every == 1:
        by_major = {
            major: mean_over_prompts([scores[row["id"]] for row in rows if row["major_type"] == major])
            for major in ("binding", "relation", "numeracy")
        }
        overall = (1200 * by_major["binding"] + 1200 * by_major["relation"] + 800 * by_major["numeracy"]) / 3200
        assert mean_over_prompts(list(scores.values())) == pytest.approx(overall, abs=1e-9)


def test_the_replies_cover_every_form(words: Mapping[str, str], rows: list[Row]) -> None:
    replies = {reply_to(words["eval_prompt_binding"].replace("{prompt}", row["prompt"])) for row in rows[:400]}
    shown = {straight_score(reply) for reply in replies}
    assert shown == {0, 30, 50, 100}
    for form in FORMS:
        start = form.split("{")[0]
        assert any(reply.startswith(start) for reply in replies)


def test_the_judge_is_asked_upstreams_words_exactly(
    server: JudgeServer, upstream: Path, tmp_path: Path, rows: list[Row], words: Mapping[str, str]
) -> None:
    row = next(row for row in rows if row["major_type"] == "numeracy")
    prompt = next(prompt for prompt in official(upstream, 1) if prompt.id == row["id"])
    judged(server, upstream, tmp_path, [prompt])
    counts = row["metadata"]["object_counts"]
    count_words = words["eval_prompt_numeracy_count_binding"]
    wanted = [
        words["eval_prompt_numeracy_total"].replace("{total_count}", str(row["metadata"]["total_count"])),
        words["eval_prompt_numeracy_item"].replace("{noun_list}", ", ".join(entry["noun"] for entry in counts)),
        *(count_words.replace("{count}", str(e["count"])).replace("{noun}", e["noun"]) for e in counts),
    ]
    assert sorted(server.answered) == sorted(wanted)


def test_a_judge_that_is_down_for_a_third_of_the_run_changes_no_score(
    server: JudgeServer, upstream: Path, tmp_path: Path
) -> None:
    prompts = official(upstream, 40)
    with JudgeServer() as faultless:
        wanted = judged(faultless, upstream, tmp_path, prompts)
    outage = {"from": len(faultless.answered) // 3, "to": 2 * len(faultless.answered) // 3}
    server.is_down = lambda _: outage["from"] <= server.requests < outage["to"]
    replies = MemoryReplies()
    first = judged(server, upstream, tmp_path, prompts, replies)
    failed = [answer for answer in first.values() if isinstance(answer, Failure)]
    assert failed
    assert {failure.outcome for failure in failed} == {Outcome.JUDGE_ERROR}
    assert all(first[key] == wanted[key] for key in first if isinstance(first[key], Score))

    server.is_down = lambda _: False
    assert judged(server, upstream, tmp_path, prompts, replies) == wanted
    assert len(server.answered) == len(faultless.answered)
