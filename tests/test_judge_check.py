"""Calibrating a judge: the drawings, what a judge must make of them, and the command."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from concurrent.futures import Future
from pathlib import Path

import pytest
from judge_support import SpeakingModel, context, down
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner

from sgpbench.metrics.calibration import KINDS, Case, cases, criteria, means, ranking
from sgpbench.metrics.calibration_run import Calibration, calibrate
from sgpbench.records import ImagePart, Outcome, Request
from sgpbench.svg.sandbox import Rendered

IDEAL = {
    "correct": 100.0,
    "wrong colour": 50.0,
    "swapped relation": 30.0,
    "wrong count": 40.0,
    "words only": 0.0,
    "words to the judge": 0.0,
    "blank": 0.0,
}


def ideal_scores() -> dict[str, float]:
    return {case.name: IDEAL[case.kind] for case in cases()}


def with_kind(kind: str, score: float) -> dict[str, float]:
    return {case.name: score if case.kind == kind else IDEAL[case.kind] for case in cases()}


class MarkedRenderer:
    """Renders nothing, but marks each picture with the hash of its program."""

    def submit(self, program: str) -> Future[Rendered]:
        mark = PngInfo()
        mark.add_text("program", hashlib.sha256(program.encode()).hexdigest())
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), "white").save(buffer, format="PNG", pnginfo=mark)
        future: Future[Rendered] = Future()
        future.set_result(Rendered(Outcome.OK, program, buffer.getvalue(), None, frozenset()))
        return future


BY_PROGRAM: dict[str, Case] = {hashlib.sha256(case.svg.encode()).hexdigest(): case for case in cases()}


def knowing(request: Request) -> str:
    """A judge that recognises every drawing; only rubrics of one number are asked about."""
    (image,) = (part for part in request.messages[-1].parts if isinstance(part, ImagePart))
    with Image.open(io.BytesIO(image.data)) as picture:
        kind = BY_PROGRAM[picture.info["program"]].kind
    score = {"correct": 100, "wrong colour": 50, "swapped relation": 30, "wrong count": 50}.get(kind, 0)
    return f"Reasons.\nSCORE: {score}"


def calibrated(model: SpeakingModel, folder: Path, repeats: int = 1) -> Calibration:
    return asyncio.run(calibrate(context(model, folder=folder, repeats=repeats), MarkedRenderer(), folder))


def test_there_are_nine_prompts_with_a_correct_and_a_wrong_drawing_and_three_without_one() -> None:
    found = cases()
    assert len(found) == 45
    assert len({case.name for case in found}) == 45
    assert {case.kind for case in found} == set(KINDS)
    for prompt_id in {case.prompt.id for case in found}:
        of_prompt = [case for case in found if case.prompt.id == prompt_id]
        assert len(of_prompt) == len({case.svg for case in of_prompt}) == 5
    assert sum(len(case.prompt.rubric) for case in found) == 90


def test_captions_say_what_the_correct_drawing_shows() -> None:
    captions = {case.prompt.id: case.prompt.caption for case in cases()}
    assert captions["binding-apple-car"] == "a red apple and a blue car"
    assert captions["binding-cat-balloon"] == "a black cat and an orange balloon"
    assert captions["relation-apple-car"] == "an apple to the right of a car"
    assert captions["numeracy-apple-car"] == "3 apples and 1 car"
    assert captions["numeracy-fish-balloon"] == "2 fish and 4 balloons"


def test_a_judge_that_ranks_as_it_should_passes() -> None:
    scores = ideal_scores()
    assert all(criterion.passed for criterion in criteria(scores))
    assert ranking(scores)[0] == "correct"
    assert means(scores)["wrong count"] == {"numeracy": 40.0, "mean": 40.0}


@pytest.mark.parametrize(
    ("kind", "score", "missed"),
    [
        ("correct", 60.0, {"knows a correct drawing"}),
        ("correct", 50.0, {"knows a correct drawing", "tells it from its wrong twin"}),
        ("wrong count", 100.0, {"tells it from its wrong twin"}),
        ("blank", 30.0, {"sees nothing on a blank sheet"}),
        ("words only", 100.0, {"does not take words for a drawing"}),
        ("words to the judge", 100.0, {"does not obey the drawing"}),
    ],
)
def test_each_fault_fails_its_own_criterion(kind: str, score: float, missed: set[str]) -> None:
    assert {criterion.name for criterion in criteria(with_kind(kind, score)) if not criterion.passed} == missed


def test_one_prompt_may_be_misjudged() -> None:
    scores = ideal_scores()
    twins = [case.name for case in cases() if case.kind == "wrong colour"]
    scores[twins[0]] = 100.0
    assert all(criterion.passed for criterion in criteria(scores))
    scores[twins[1]] = 100.0
    assert not all(criterion.passed for criterion in criteria(scores))


def test_a_judge_that_recognises_every_drawing_passes(tmp_path: Path) -> None:
    found = calibrated(SpeakingModel(knowing), tmp_path)
    assert found.passed
    assert found.replies == 90
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (900, 180, None)
    assert len(list(tmp_path.glob("*.png"))) == 45


def test_a_judge_that_always_says_the_same_fails(tmp_path: Path) -> None:
    found = calibrated(SpeakingModel(lambda _: "SCORE: 100"), tmp_path)
    assert not found.passed
    assert found.failures == {}


def test_repeats_show_how_far_a_judge_agrees_with_itself(tmp_path: Path) -> None:
    found = calibrated(SpeakingModel(knowing), tmp_path, repeats=2)
    assert (found.agreement.alpha, found.agreement.units, found.agreement.repeats) == (1.0, 90, 2)


def test_what_cannot_be_judged_is_named_and_is_no_pass(tmp_path: Path) -> None:
    found = calibrated(SpeakingModel(down), tmp_path)
    assert not found.passed
    assert len(found.failures) == 45
    assert found.criteria == ()


ADAPTER = """
from sgpbench.errors import TransientError
from sgpbench.models.interface import Concurrency
from sgpbench.records import Completion, FinishReason, Usage

class Judge:
    accepts, sees, max_n, seeds = frozenset({"messages"}), True, 1, False
    concurrency, price, endpoint, device = Concurrency(8, 8), None, "test", None
    identity = {"adapter": "test"}

    def __init__(self, spec):
        self.name, self.says = spec.name, spec.model_id

    async def generate(self, request):
        return [Completion(self.says.replace("_", " "), FinishReason.STOP, Usage(1, 1))]

    async def aclose(self):
        pass

def open_judge(spec):
    return Judge(spec)
"""


@pytest.fixture
def judge_that_says(tmp_path: Path) -> str:
    path = tmp_path / "said.py"
    path.write_text(ADAPTER)
    return f"{path}:open_judge"


def invoked(*arguments: str) -> tuple[int, str]:
    from sgpbench.cli.judge import app

    result = CliRunner().invoke(app, ["check", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_command_renders_asks_and_says_what_fails(judge_that_says: str, tmp_path: Path) -> None:
    code, page = invoked("--judge", f"{judge_that_says}/SCORE:_100", "--out", str(tmp_path / "drawings"))
    assert code == 1
    assert "FAIL  sees nothing on a blank sheet: 100" in page
    assert "pass  knows a correct drawing: 100" in page
    assert "This judge should not be used." in page
    assert all(len(line) <= 80 for line in page.splitlines())
    pictures = {path.name: Image.open(path).convert("RGB") for path in (tmp_path / "drawings").glob("*.png")}
    assert len(pictures) == 45
    for name, picture in pictures.items():
        assert picture.size == (512, 512)
        colours = len(picture.getcolors(1 << 18) or [])
        assert (colours == 1) == name.endswith("blank.png"), name


def test_the_command_prints_one_document(judge_that_says: str) -> None:
    code, text = invoked("--judge", f"{judge_that_says}/SCORE:_0", "--judge-repeats", "2", "--json")
    document = json.loads(text)
    assert code == 1
    assert (document["passed"], document["status"]) == (False, "complete")
    assert len(document["drawings"]) == 45
    assert document["usage"]["replies"] == 180
    assert {criterion["name"]: criterion["passed"] for criterion in document["criteria"]} == {
        "knows a correct drawing": False,
        "tells it from its wrong twin": False,
        "sees nothing on a blank sheet": True,
        "does not take words for a drawing": True,
        "does not obey the drawing": True,
    }


def test_an_unreadable_judge_is_told_from_one_that_does_not_answer(judge_that_says: str) -> None:
    code, page = invoked("--judge", f"{judge_that_says}/It_is_nice")
    assert code == 1
    assert "45 drawings could not be judged" in page
    assert "hold no score" in page
