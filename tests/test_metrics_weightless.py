"""Validity and structure: what needs no weights."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.registry import open_metric
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, Outcome, Prompt, Score
from sgpbench.svg.structure import MEASURES

PROMPT = Prompt("p", "a dog", "object", "a dog")


@pytest.fixture
def context(tmp_path: Path) -> MetricContext:
    return MetricContext(None, load_protocol("v1"), tmp_path)


def drawing(outcome: Outcome = Outcome.OK, structure: Mapping[str, float] | None = None) -> Drawing:
    return Drawing(PROMPT, 0, outcome, None, None, None, structure=structure or {})


def test_validity_is_one_for_a_drawing_and_zero_for_every_failure_of_the_model(context: MetricContext) -> None:
    metric = open_metric("validity", context)
    outcomes = [Outcome.OK, Outcome.NO_SVG, Outcome.REFUSED, Outcome.RENDER_CRASH]
    scores = asyncio.run(metric.score([drawing(outcome) for outcome in outcomes]))
    assert scores == [Score({"validity": value}) for value in (1.0, 0.0, 0.0, 0.0)]
    assert "invalid" in metric.needs


def test_structure_passes_on_what_was_measured_and_nothing_is_better(context: MetricContext) -> None:
    metric = open_metric("structure", context)
    measured = {name: float(number) for number, name in enumerate(MEASURES)}
    (score,) = asyncio.run(metric.score([drawing(structure=measured)]))
    assert score == Score({f"structure.{name}": value for name, value in measured.items()})
    assert [column.name for column in metric.columns] == list(score.values)
    assert {(column.higher_is_better, column.invalid) for column in metric.columns} == {(None, "omit")}


def test_a_program_whose_structure_was_not_measured_is_a_failure_of_ours(context: MetricContext) -> None:
    (score,) = asyncio.run(open_metric("structure", context).score([drawing()]))
    assert isinstance(score, Failure)
    assert score.outcome is Outcome.SCORER_ERROR
