"""The judge metric over a scripted model: what is asked, kept, scored, and never scored."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from judge_support import BINDING, NUMERACY, SpeakingModel, context, down, drawing, invalid, words_of
from PIL import Image

from sgpbench.errors import DataError, MetricUnavailable, ModelUnavailable, TransientError, UsageError
from sgpbench.metrics.interface import Metric
from sgpbench.metrics.judge import open_judge
from sgpbench.metrics.replies import MemoryReplies
from sgpbench.paths import root_folder
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, ImagePart, Outcome, Prompt, Request, RubricPart, Score, TextPart

PAPER_WORDS = {
    "binding": "Does it match {prompt}?",
    "relation": "How does {prompt} stand?",
    "total": "Are there {total_count}?",
    "items": "Is there {noun_list}?",
    "count": "Are there {count} of {noun}?",
}


def score(metric: Metric, batch: Sequence[Drawing]) -> list[Score | Failure]:
    return list(asyncio.run(metric.score(batch)))


def by_part(request: Request) -> str:
    """A reply that depends on the question alone."""
    words = words_of(request)
    for sign, number in (("cat", 50), ("dog", 100), ("{", 0), ("separate things", 30)):
        if sign in words and "kinds of thing" not in words:
            return f"Reasons.\nSCORE: {number}"
    return "Reasons.\nSCORE: 100"


def scored(answer: Score | Failure) -> Score:
    assert isinstance(answer, Score), answer
    return answer


@pytest.fixture
def paper_like(tmp_path: Path) -> Path:
    """A protocol file with the released code's rules and words of our own."""
    protocol = load_protocol("paper")
    rule = protocol.scoring.judge
    templates = {kind: {"text": words} for kind, words in PAPER_WORDS.items()}

    text = (
        (root_folder("protocols") / "paper.toml").read_text("utf-8").replace('name = "paper"', 'name = "paperlike"', 1)
    )
    for kind, words in PAPER_WORDS.items():
        original = f'{kind} = {{ upstream = "{rule.rubrics[kind].upstream}" }}'
        assert original in text
        text = text.replace(original, f'{kind} = {{ text = "{words}" }}')
    path = tmp_path / "paperlike.toml"
    path.write_text(text, "utf-8")
    assert tomllib.loads(text)["scoring"]["judge"]["rubrics"] == templates
    return path


def test_each_part_is_one_request_and_all_are_in_flight_at_once(tmp_path: Path) -> None:
    model = SpeakingModel(by_part)
    metric = open_judge(context(model, folder=tmp_path))
    answers = score(metric, [drawing(NUMERACY, tmp_path), drawing(BINDING, tmp_path)])
    assert scored(answers[0]).values == {
        "judge[speaking]": pytest.approx(0.2 * 30 + 0.2 * 100 + 0.6 * 75),
        "judge[speaking].total": 30.0,
        "judge[speaking].items": 100.0,
        "judge[speaking].count": 75.0,
    }
    assert scored(answers[1]).values == {"judge[speaking]": 100.0}
    assert len(model.answered) == 5
    assert model.most_at_once >= len(NUMERACY.rubric)


def test_a_request_holds_the_words_the_picture_and_the_protocols_sampling(tmp_path: Path) -> None:
    model = SpeakingModel(by_part)
    score(open_judge(context(model, folder=tmp_path)), [drawing(BINDING, tmp_path)])
    (request,) = model.answered
    system, user = request.messages
    text, image = user.parts
    assert system.role == "system"
    assert isinstance(text, TextPart)
    assert "a red cube" in text.text
    assert image == ImagePart((tmp_path / "red.png").read_bytes(), "image/png")
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 2000)


def test_the_paper_shows_a_jpeg_and_sends_no_system_message_and_no_temperature(
    tmp_path: Path, paper_like: Path
) -> None:
    model = SpeakingModel(by_part)
    score(open_judge(context(model, str(paper_like), folder=tmp_path)), [drawing(BINDING, tmp_path)])
    (request,) = model.answered
    (user,) = request.messages
    text, image = user.parts
    assert text == TextPart("Does it match a red cube?")
    assert isinstance(image, ImagePart)
    with Image.open(io.BytesIO(image.data)) as shown:
        assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", (32, 24))
        quality_95 = io.BytesIO()
        Image.open(tmp_path / "red.png").save(quality_95, format="JPEG", quality=95)
        assert image.data == quality_95.getvalue()
    assert (request.sampling.temperature, request.sampling.max_tokens) == (None, 2000)


def test_evidence_holds_each_parts_request_reply_and_score(tmp_path: Path) -> None:
    answer = scored(
        score(open_judge(context(SpeakingModel(by_part), folder=tmp_path)), [drawing(NUMERACY, tmp_path)])[0]
    )
    parts = answer.evidence["judge[speaking]"]
    assert isinstance(parts, list)
    assert [(part["id"], part["repeat"], part["reply"], part["score"]) for part in parts] == [
        ("total", 0, "Reasons.\nSCORE: 30", 30),
        ("items", 0, "Reasons.\nSCORE: 100", 100),
        ("count.1", 0, "Reasons.\nSCORE: 50", 50),
        ("count.2", 0, "Reasons.\nSCORE: 100", 100),
    ]
    assert len({part["request"] for part in parts}) == 4


def test_batches_and_order_do_not_matter(tmp_path: Path) -> None:
    batch = [drawing(NUMERACY, tmp_path), drawing(BINDING, tmp_path), drawing(BINDING, tmp_path, "blue", 1)]
    together = score(open_judge(context(SpeakingModel(by_part), folder=tmp_path)), batch)
    backwards = score(open_judge(context(SpeakingModel(by_part), folder=tmp_path)), batch[::-1])
    alone = [score(open_judge(context(SpeakingModel(by_part), folder=tmp_path)), [one])[0] for one in batch]
    assert together == backwards[::-1] == alone


@pytest.mark.parametrize("outcome", [Outcome.NO_SVG, Outcome.RENDER_ERROR, Outcome.REFUSED, Outcome.RENDER_TIMEOUT])
def test_a_sample_without_a_drawing_is_zero_and_no_judge_is_asked(tmp_path: Path, outcome: Outcome) -> None:
    model = SpeakingModel(down)
    answers = score(
        open_judge(context(model, folder=tmp_path)), [invalid(NUMERACY, outcome), invalid(BINDING, outcome)]
    )
    name = "judge[speaking]"
    zero = {name: 0.0, f"{name}.total": 0.0, f"{name}.items": 0.0, f"{name}.count": 0.0}
    assert [scored(answer).values for answer in answers] == [zero, {name: 0.0}]


@pytest.mark.parametrize(
    ("outcome", "program", "has_parts"),
    [
        (Outcome.NO_SVG, None, False),
        (Outcome.MALFORMED, None, False),
        (Outcome.RENDER_ERROR, None, False),
        (Outcome.RENDER_ERROR, "<svg/>", True),
        (Outcome.RENDER_CRASH, "<svg/>", True),
    ],
)
def test_the_paper_gives_parts_only_to_programs_that_parse(
    tmp_path: Path, paper_like: Path, outcome: Outcome, program: str | None, has_parts: bool
) -> None:
    metric = open_judge(context(SpeakingModel(down), str(paper_like), folder=tmp_path))
    (answer,) = score(metric, [invalid(NUMERACY, outcome, program)])
    values = scored(answer).values
    assert set(values.values()) == {0.0}
    assert len(values) == (4 if has_parts else 1)


def test_what_is_ours_is_not_scored(tmp_path: Path) -> None:
    (answer,) = score(
        open_judge(context(SpeakingModel(by_part), folder=tmp_path)), [invalid(BINDING, Outcome.API_ERROR)]
    )
    assert isinstance(answer, Failure)


def test_a_reply_without_a_score_is_asked_about_once_in_the_same_conversation(tmp_path: Path) -> None:
    def shy(request: Request) -> str:
        return "SCORE: 50" if len(request.messages) > 2 else "It is nice."

    model = SpeakingModel(shy)
    (answer,) = score(open_judge(context(model, folder=tmp_path)), [drawing(BINDING, tmp_path)])
    assert scored(answer).values == {"judge[speaking]": 50.0}
    (part,) = scored(answer).evidence["judge[speaking]"]
    assert (part["reply"], part["unclear"]) == ("SCORE: 50", ["It is nice."])
    first, second = model.answered
    assert second.messages[:2] == first.messages
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "user"]


def test_a_judge_that_never_scores_is_an_error_of_ours_and_is_asked_anew_later(tmp_path: Path) -> None:
    replies, mood = MemoryReplies(), ["It is nice."]
    model = SpeakingModel(lambda _: mood[0])
    metric = open_judge(context(model, folder=tmp_path, replies=replies))
    (answer,) = score(metric, [drawing(BINDING, tmp_path)])
    assert isinstance(answer, Failure)
    assert answer.outcome is Outcome.JUDGE_ERROR
    assert len(model.answered) == 2
    mood[0] = "SCORE: 30"
    (answer,) = score(metric, [drawing(BINDING, tmp_path)])
    assert scored(answer).values == {"judge[speaking]": 30.0}
    assert "unclear" not in scored(answer).evidence["judge[speaking]"][0]


def test_the_paper_counts_an_unreadable_reply_as_zero_without_asking_again(tmp_path: Path, paper_like: Path) -> None:
    model = SpeakingModel(lambda _: "It is nice.")
    (answer,) = score(open_judge(context(model, str(paper_like), folder=tmp_path)), [drawing(BINDING, tmp_path)])
    assert scored(answer).values == {"judge[speaking]": 0.0}
    assert scored(answer).evidence["judge[speaking]"][0]["unreadable"] is True
    assert len(model.answered) == 1


@pytest.mark.parametrize("protocol", ["v1", "paperlike"])
def test_an_outage_is_never_a_score_and_nothing_is_paid_twice(tmp_path: Path, paper_like: Path, protocol: str) -> None:
    broken = {"on": True}

    def sometimes(request: Request) -> str:
        if broken["on"] and "dog" in words_of(request):
            raise TransientError("the server is down")
        return by_part(request)

    model, replies = SpeakingModel(sometimes), MemoryReplies()
    name = str(paper_like) if protocol == "paperlike" else protocol
    metric = open_judge(context(model, name, folder=tmp_path, replies=replies))
    failed, fine = score(metric, [drawing(NUMERACY, tmp_path), drawing(BINDING, tmp_path)])
    assert isinstance(failed, Failure)
    assert failed.outcome is Outcome.JUDGE_ERROR
    assert "the server is down" in failed.message
    assert isinstance(fine, Score)

    broken["on"] = False
    again = score(open_judge(context(model, name, folder=tmp_path, replies=replies)), [drawing(NUMERACY, tmp_path)])
    faultless = score(open_judge(context(SpeakingModel(by_part), name, folder=tmp_path)), [drawing(NUMERACY, tmp_path)])
    assert again == faultless
    assert set(Counter(words_of(request) for request in model.answered).values()) == {1}


def test_a_judge_that_cannot_be_used_ends_scoring_but_loses_no_reply(tmp_path: Path) -> None:
    def refuses(request: Request) -> str:
        if "dog" in words_of(request):
            raise ModelUnavailable("no key")
        return by_part(request)

    model, fresh, replies = SpeakingModel(refuses), SpeakingModel(by_part), MemoryReplies()
    batch = [drawing(BINDING, tmp_path), drawing(NUMERACY, tmp_path)]
    with pytest.raises(ModelUnavailable, match="no key"):
        score(open_judge(context(model, folder=tmp_path, replies=replies)), batch)
    score(open_judge(context(fresh, folder=tmp_path, replies=replies)), batch)
    assert len(model.answered) + len(fresh.answered) == 5


def test_repeats_are_separate_requests_with_a_mean_a_range_and_evidence(tmp_path: Path) -> None:
    moods = iter(["SCORE: 100", "SCORE: 50", "SCORE: 30"])
    model = SpeakingModel(lambda _: next(moods))
    metric = open_judge(context(model, folder=tmp_path, repeats=3))
    (answer,) = score(metric, [drawing(BINDING, tmp_path)])
    assert scored(answer).values == {"judge[speaking]": 60.0, "judge[speaking].range": 70.0}
    parts = scored(answer).evidence["judge[speaking]"]
    assert [part["repeat"] for part in parts] == [0, 1, 2]
    assert [column.name for column in metric.columns][-1] == "judge[speaking].range"


def test_more_repeats_pay_only_for_the_new_ones(tmp_path: Path) -> None:
    model, replies = SpeakingModel(by_part), MemoryReplies()
    score(open_judge(context(model, folder=tmp_path, replies=replies)), [drawing(BINDING, tmp_path)])
    score(open_judge(context(model, folder=tmp_path, replies=replies, repeats=3)), [drawing(BINDING, tmp_path)])
    assert len(model.answered) == 3


def test_seeds_differ_between_repeats_and_not_between_runs_of_one_seed(tmp_path: Path) -> None:
    def seeds(seed: int) -> set[tuple[int, ...]]:
        model = SpeakingModel(by_part, seeds=True)
        score(open_judge(context(model, folder=tmp_path, repeats=2, seed=seed)), [drawing(BINDING, tmp_path)])
        return {request.seeds for request in model.answered}

    assert len(seeds(0)) == 2
    assert seeds(0) == seeds(0)
    assert seeds(0).isdisjoint(seeds(1))


def test_the_identity_names_judge_rule_rubrics_and_repeats(tmp_path: Path, paper_like: Path) -> None:
    identity = open_judge(context(SpeakingModel(by_part), folder=tmp_path)).identity
    assert identity["judge"] == "speaking"
    assert identity["repeats"] == 1
    other = open_judge(context(SpeakingModel(by_part), str(paper_like), folder=tmp_path)).identity
    assert identity["rubric_hash"] != other["rubric_hash"]
    repeated = open_judge(context(SpeakingModel(by_part), folder=tmp_path, repeats=2)).identity
    assert {key for key in identity if identity[key] != repeated[key]} == {"repeats"}


def test_the_argument_in_brackets_goes_before_the_option_and_the_protocol(tmp_path: Path) -> None:
    given = context(SpeakingModel(by_part), folder=tmp_path)
    assert open_judge(dataclasses.replace(given, argument="mine")).name == "judge[mine]"
    assert open_judge(given).name == "judge[speaking]"
    ranked = load_protocol("v1").scoring.judge.model
    assert open_judge(dataclasses.replace(given, judge=None)).name == f"judge[{ranked}]"


def test_a_judge_must_see_and_be_allowed_to_be_asked(tmp_path: Path) -> None:
    blind = context(SpeakingModel(by_part, sees=False), folder=tmp_path)
    with pytest.raises(MetricUnavailable, match="does not see"):
        open_judge(blind)
    with pytest.raises(MetricUnavailable, match="asks none"):
        open_judge(dataclasses.replace(blind, open_caller=None))
    with pytest.raises(UsageError, match="judge-repeats"):
        open_judge(dataclasses.replace(blind, judge_repeats=0))


def test_missing_upstream_rubrics_name_the_command_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sgpbench data fetch upstream-templates"):
        open_judge(context(SpeakingModel(by_part), "paper", folder=tmp_path))


def test_a_missing_rendering_is_ours(tmp_path: Path) -> None:
    lost = dataclasses.replace(drawing(BINDING, tmp_path), rendering=tmp_path / "gone.png")
    (answer,) = score(open_judge(context(SpeakingModel(by_part), folder=tmp_path)), [lost])
    assert isinstance(answer, Failure)
    assert answer.outcome is Outcome.SCORER_ERROR


def test_a_rendering_too_long_for_a_jpeg_has_zero_parts_in_the_paper(tmp_path: Path, paper_like: Path) -> None:
    path = tmp_path / "long.png"
    Image.new("1", (65_600, 1)).save(path)
    long = dataclasses.replace(drawing(NUMERACY, tmp_path), rendering=path)
    (answer,) = score(open_judge(context(SpeakingModel(down), str(paper_like), folder=tmp_path)), [long])
    assert set(scored(answer).values.values()) == {0.0}
    assert len(scored(answer).values) == 4


def test_words_with_braces_reach_the_judge_as_they_are(tmp_path: Path) -> None:
    caption = "a {noun} of {prompt}"
    prompt = Prompt(
        "odd", caption, "binding/color", "odd", rubric=(RubricPart("binding", "binding", {"prompt": caption}),)
    )
    model = SpeakingModel(by_part)
    score(open_judge(context(model, folder=tmp_path)), [drawing(prompt, tmp_path)])
    assert caption in words_of(model.answered[0])


def test_lone_surrogates_in_a_reply_are_made_storable(tmp_path: Path) -> None:
    model = SpeakingModel(lambda _: "\ud800\nSCORE: 100")
    (answer,) = score(open_judge(context(model, folder=tmp_path)), [drawing(BINDING, tmp_path)])
    assert scored(answer).evidence["judge[speaking]"][0]["reply"].encode() == b"?\nSCORE: 100"
