"""The metric ``shapes``: files in, columns and evidence out."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from shapes_support import ONE_RED_CIRCLE, on_white, render

from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.registry import open_metric
from sgpbench.protocol import load_protocol
from sgpbench.records import Drawing, Failure, Json, Outcome, Prompt, Score


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    path = tmp_path / "drawing.png"
    path.write_bytes(render(on_white('<circle cx="100" cy="100" r="60" fill="red"/>')))
    prompt = Prompt("p", "One red circle", "single", "c", metadata={"scene": ONE_RED_CIRCLE})
    return Drawing(prompt, 0, Outcome.OK, "<svg/>", path, "hash")


def score(*drawings: Drawing) -> list[Score | Failure]:
    async def run() -> list[Score | Failure]:
        metric = open_metric("shapes", MetricContext(None, load_protocol("v1"), Path()))
        scores = list(await metric.score(drawings))
        await metric.aclose()
        return scores

    return asyncio.run(run())


def with_scene(drawing: Drawing, scene: Json) -> Drawing:
    return dataclasses.replace(drawing, prompt=dataclasses.replace(drawing.prompt, metadata={"scene": scene}))


def test_a_right_drawing_scores_one_in_both_columns(drawing: Drawing) -> None:
    (found,) = score(drawing)
    assert isinstance(found, Score)
    assert found.values == {"shapes": 1.0, "shapes.share": 1.0}


def test_a_wrong_one_scores_zero_and_a_share_and_says_why(drawing: Drawing) -> None:
    blue = ONE_RED_CIRCLE | {"groups": [{"id": "a", "shape": "circle", "color": "blue", "count": 1}]}
    (found,) = score(with_scene(drawing, blue))
    assert isinstance(found, Score)
    assert found.values == {"shapes": 0.0, "shapes.share": 0.8}
    constraints = found.evidence["constraints"]
    assert isinstance(constraints, list)
    assert [entry["seen"] for entry in constraints if not entry["met"]] == ["red circle"]


def test_equal_results_whatever_the_batch(drawing: Drawing) -> None:
    blue = with_scene(drawing, ONE_RED_CIRCLE | {"groups": [{"id": "a", "shape": "star", "color": "red", "count": 2}]})
    assert score(drawing, blue, drawing) == [*score(drawing), *score(blue), *score(drawing)]


@pytest.mark.parametrize("fault", ["no file", "no picture", "no scene"])
def test_our_own_faults_are_not_the_models(drawing: Drawing, fault: str) -> None:
    if fault == "no file":
        drawing = dataclasses.replace(drawing, rendering=Path("/nowhere/x.png"))
    elif fault == "no picture":
        assert drawing.rendering is not None
        drawing.rendering.write_bytes(b"\x89PNG")
    else:
        drawing = with_scene(drawing, {"groups": []})
    (found,) = score(drawing)
    assert isinstance(found, Failure)
    assert found.outcome is Outcome.SCORER_ERROR
    assert "p:" in found.message
