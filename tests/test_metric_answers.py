"""What a metric's plugin returns is checked against what it declares; a slip of it never becomes a number."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_support import Sgpbench, caller

from sgpbench.metrics.answers import checked_answers
from sgpbench.metrics.validity import Validity
from sgpbench.records import Failure, Score

METRIC = """
from sgpbench.records import Column, Score

class Wild:
    name, version, unit, batch_size = "wild", "1", "sample", 8
    needs = frozenset()
    columns = (Column("wild", True, "anything", 0.0, 1.0),)
    identity = {{"version": "1"}}
    async def score(self, batch):
        answers = [Score({{"wild": 0.5}}) for _ in batch]
        {slip}
        return answers
    async def aclose(self):
        pass

def open_wild(context):
    return Wild()
"""
SLIPS = {
    "answers[0] = Score({'wild': 1.3})": "outside its declared range 0 to 1",
    "answers[0] = Score({'wild': -0.1})": "outside its declared range 0 to 1",
    "answers[0] = Score({'wild': float('nan')})": "gave nan for 'wild'",
    "answers[0] = Score({'wild': float('inf')})": "gave inf for 'wild'",
    "answers[0] = Score({'wild': 10**400})": "which is no number",
    "answers[0] = Score({'wild': 'much'})": "which is no number",
    "answers[0] = Score({'wilder': 0.5})": "'wilder', a column that it does not declare",
    "answers[0] = Score({'wild': 0.5}, {'why': object()})": "evidence that is not JSON",
    "answers[0] = 0.5": "answered with float",
    "answers.pop()": " answers where ",
    "answers.append(answers[0])": " answers where ",
    "answers = None": "returned NoneType",
}


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_a_metric_is_an_error_that_names_it_and_no_number(sgpbench: Sgpbench, slip: str) -> None:
    Path("wild.py").write_text(METRIC.format(slip=slip))
    words = ("--model", "baseline/procedural", "--task", "shapes", "--limit", "4", "--json")
    done = sgpbench("run", *words, "--metrics", "validity,./wild.py:open_wild")
    assert (done.code, done.run["status"]) == (3, "incomplete")
    assert "wild" not in done.run["metrics"]
    assert done.run["metrics"]["validity"]["mean"] == 1.0
    message = done.run["pending"]["last_failures"]["scorer_error"]
    assert message.startswith("The metric wild ")
    assert SLIPS[slip] in message


@pytest.mark.parametrize(("value", "kept"), [(1.0 + 1e-7, 1.0), (-1e-7, 0.0), (0.25, 0.25)])
def test_what_misses_the_range_by_rounding_alone_is_moved_onto_its_end(value: float, kept: float) -> None:
    assert checked_answers(Validity(), [Score({"validity": value})], 1) == [Score({"validity": kept})]


def test_what_misses_it_by_more_is_a_failure() -> None:
    (answer,) = checked_answers(Validity(), [Score({"validity": 1.001})], 1)
    assert isinstance(answer, Failure)
