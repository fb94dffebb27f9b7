"""What counts as a repair, and what an editor may not touch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sgpbench.errors import ProtocolError, UsageError
from sgpbench.metrics.edit import child
from sgpbench.metrics.edit.metric import Edit, open_edit
from sgpbench.metrics.edit.tolerances import compare
from sgpbench.metrics.edit.values import MALFORMED, canonical, is_well_formed
from sgpbench.metrics.edit.verdict import read_edit, verdict
from sgpbench.metrics.interface import MetricContext
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, Json, Outcome, Prompt, Score
from sgpbench.run.generate import Asking

TARGET = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<rect id="wall" x="10" y="10" width="80" height="80" fill="#ffffff"/>'
    '<circle id="sun" cx="30" cy="30" r="10" fill="#ffcc00"/>'
    '<path id="roof" d="M10 10 L50 0 L90 10" stroke="black"/></svg>'
)
DAMAGED = TARGET.replace('cx="30"', 'cx="60"').replace("#ffcc00", "#0000ff")
CHANGES: list[Json] = [
    {"part": "sun", "attribute": "cx", "before": 60, "after": 30},
    {"part": "sun", "attribute": "fill", "before": "#0000ff", "after": "#ffcc00"},
]
SPEC: dict[str, Json] = {"target": TARGET, "changes": CHANGES, "preserve": ["wall", "roof"]}
EDIT = read_edit(SPEC)


def test_the_intended_program_passes_and_the_damaged_one_does_not() -> None:
    assert verdict(TARGET, EDIT).passed
    found = verdict(DAMAGED, EDIT)
    assert (found.validity, found.preservation, found.repair, found.completion) == (True, True, False, 0.0)


@pytest.mark.parametrize(
    "rewritten",
    [
        TARGET.replace('fill="#ffcc00"', 'style="fill: #FFCC00"'),
        TARGET.replace('cx="30"', 'cx="31.5"'),
        TARGET.replace('d="M10 10 L50 0 L90 10"', 'd="M10,10L50,0,90,10"').replace(",0,90", ",0 L90"),
        TARGET.replace('fill="#ffffff"', 'fill="white"'),
        TARGET.replace('id="roof"', 'id="roof" aria-label="a roof"'),
        TARGET.replace("<rect", "\n  <rect").replace("<circle", "\n\t<circle"),
    ],
)
def test_another_spelling_of_the_same_drawing_passes(rewritten: str) -> None:
    assert verdict(rewritten, EDIT).passed


@pytest.mark.parametrize(
    ("spoilt", "gate"),
    [
        (TARGET.replace('cx="30"', 'cx="44"'), "repair"),
        (TARGET.replace("#ffcc00", "#00ffcc"), "repair"),
        (TARGET.replace('width="80"', 'width="81"'), "preservation"),
        (TARGET.replace("</svg>", '<rect id="new"/></svg>'), "preservation"),
        (TARGET.replace('xmlns="http://www.w3.org/2000/svg"', ""), "preservation"),
        (TARGET.replace('id="roof"', 'id="wall"'), "validity"),
        (TARGET.replace('stroke="black"', 'stroke="url(#gone)"'), "validity"),
        (TARGET.replace("M10 10 L", "M10 10 X"), "validity"),
        (TARGET[:-3], "validity"),
        ("", "validity"),
    ],
)
def test_each_gate_holds_what_it_is_for(spoilt: str, gate: str) -> None:
    found = verdict(spoilt, EDIT)
    assert not found.passed
    assert not getattr(found, gate)


def test_one_missing_repair_that_is_nearly_done_is_near() -> None:
    cases = [CHANGES[1], {"part": "sun", "attribute": "cx", "before": 60, "after": 30}]
    edit = read_edit(SPEC | {"changes": cases})
    found = verdict(TARGET.replace('cx="30"', 'cx="33"'), edit)
    assert found.near
    assert found.progress == pytest.approx((1 + 0.9) / 2)


def test_the_damaged_value_never_passes_however_small_the_damage() -> None:
    for damage in (0.01, 0.1, 0.5, 1.0, 3.0):
        assert not compare(30 + damage, 30 + damage, 30, "cx", (100, 100)).passed
        assert compare(30, 30 + damage, 30, "cx", (100, 100)).passed


def test_values_against_their_syntax_are_told_from_odd_but_legal_ones() -> None:
    assert canonical("x", "+1.50") == canonical("x", "1.5")
    assert canonical("transform", "translate( 1, 2 )") == "translate(1 2)"
    assert canonical("transform", "translate(1 2 3)").startswith(MALFORMED)
    assert not is_well_formed("points", "1 2 3")
    assert is_well_formed("points", "1,2 3,4")
    assert not is_well_formed("viewBox", "0 0 0 10")


# --- the metric --------------------------------------------------------------------------------------------------


def _drawing(program: str | None, edit: Json = SPEC) -> Drawing:
    prompt = Prompt("p", "Repair it.", "hard", "p", metadata={"edit": edit})
    outcome = Outcome.OK if program else Outcome.NO_SVG
    return Drawing(prompt, 0, outcome, program, None, None)


def _scores(*programs: str | None) -> list[Score]:
    answers = asyncio.run(Edit().score([_drawing(program) for program in programs]))
    assert all(isinstance(answer, Score) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Score)]


def test_scores_come_in_order_with_their_reasons() -> None:
    right, none, wrong = _scores(TARGET, None, DAMAGED)
    assert (right.values["edit"], none.values["edit"], wrong.values["edit"]) == (1.0, 0.0, 0.0)
    assert wrong.values["edit.preservation"] == 1.0
    assert set(none.values.values()) == {0.0}
    assert none.evidence == {"no_verdict": "there is no program"}


@pytest.mark.parametrize(
    "hostile",
    [
        "<svg>" * 200_000 + "</svg>" * 200_000,
        TARGET.replace('cx="30"', 'cx="1e999999999"'),
        '<!DOCTYPE a [<!ENTITY b "' + "x" * 9999 + '"><!ENTITY c "' + "&b;" * 999 + '">]><svg>' + "&c;" * 99 + "</svg>",
    ],
    ids=["deep", "number", "entities"],
)
def test_a_hostile_program_fails_alone(hostile: str) -> None:
    first, second, third = _scores(TARGET, hostile, TARGET)
    assert (first.values["edit"], third.values["edit"]) == (1.0, 1.0)
    assert second.values["edit"] == 0.0


def test_a_process_that_does_not_start_is_our_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    (answer,) = asyncio.run(Edit().score([_drawing(TARGET)]))
    assert isinstance(answer, Failure)
    assert "broken" in answer.message


def test_a_prompt_without_a_whole_edit_is_an_error_and_no_score() -> None:
    (answer,) = asyncio.run(Edit().score([_drawing(TARGET, {"target": 3})]))
    assert isinstance(answer, Failure)


def test_the_metric_takes_no_argument(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_edit(MetricContext("strict", load_protocol("v1"), tmp_path))


def test_the_limit_leaves_room_for_real_programs() -> None:
    assert child.LIMIT_S >= 10


# --- the prompt --------------------------------------------------------------------------------------------------


def test_words_without_a_place_for_an_input_are_refused() -> None:
    protocol = load_protocol("v1")
    prompt = Prompt("p", "Repair it.", "hard", "p", inputs={"program": DAMAGED})
    shown = Asking(protocol.generation.rule("edit"), protocol.generation.rule("edit").template.text or "", None, 0)
    shown.check([prompt])
    with pytest.raises(ProtocolError, match="program"):
        Asking(protocol.generation.default, protocol.generation.default.template.text or "", None, 0).check([prompt])
