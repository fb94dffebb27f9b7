"""The verifier of ``shapes``: right drawings pass however they are written, and a single fault is found and named."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from shapes_support import ONE_RED_CIRCLE, judge, on_white, render, unmet
from verifier import faulty_cases, named, right_cases, verdict_on
from verifier_drawings.hand import HandDrawing, hand_drawings
from verifier_drawings.misses import MISSES, Miss, miss_svg
from verifier_drawings.sampler import arrange
from verifier_drawings.styles import styled_svg

from sgpbench.errors import DataError
from sgpbench.metrics.shapes import read_scene, score_png, verify

ROOT = Path(__file__).resolve().parents[1]


def two_groups(subject: tuple[str, str, int], kind: str, other: tuple[str, str, int]) -> dict[str, object]:
    """A scene of two groups, each of a shape, a colour and a count, and one statement about them."""
    groups = [
        {"id": name, "shape": shape, "color": color, "count": count}
        for name, (shape, color, count) in zip("ab", (subject, other), strict=True)
    ]
    statements = [{"kind": kind, "subject": "a", "object": "b"}]
    return {"background": "white", "groups": groups, "statements": statements}


FEW_AND_MANY = [10, pytest.param(150, marks=pytest.mark.slow)]


@pytest.mark.parametrize("number", FEW_AND_MANY)
def test_right_drawings_are_all_met(number: int) -> None:
    found = [(case.name, unmet(verdict_on(case))) for case in right_cases(seed=2, number=number)]
    assert sum(bool(faults) for _, faults in found) <= 0.01 * number, found


@pytest.mark.parametrize("number", FEW_AND_MANY)
def test_a_single_fault_is_found_and_named(number: int) -> None:
    missed = []
    for case in faulty_cases(seed=2, number=number):
        verdict = verdict_on(case)
        assert case.fault is not None
        assert not verdict.all_met, case
        if not named(verdict, case.fault):
            missed.append((case.name, case.fault, unmet(verdict)))
    assert len(missed) <= 0.01 * number, missed


@pytest.mark.parametrize("drawing", list(hand_drawings()), ids=lambda drawing: drawing.name)
def test_drawings_in_the_manner_of_language_models(drawing: HandDrawing) -> None:
    found = unmet(judge(drawing.svg, drawing.scene))
    assert set(drawing.broken) <= set(found)
    assert bool(found) == bool(drawing.broken)


@pytest.mark.parametrize("miss", MISSES, ids=lambda miss: f"{miss.asked}: {miss.drawn}")
def test_near_misses_are_decided(miss: Miss) -> None:
    scene = {"background": "white", "statements": []}
    scene["groups"] = [{"id": "a", "shape": miss.asked, "color": "blue", "count": 1}]
    verdict = judge(miss_svg(miss, scale=0.9, angle=17), scene)
    assert ("shape a" in unmet(verdict)) == (not miss.accepted) == (not verdict.all_met)


STYLES = {
    "outline of 1 %": True,
    "outline only, 1 %": False,
    "outline only, 3 %": False,
    "opacity 0.9": True,
    "opacity 0.4": False,
    "shading, 10 % lighter to 10 % darker": True,
    "shading, white to full": False,
    "gloss, white spot a quarter across": True,
    "gloss, white spot two thirds across": False,
    "shadow, blurred, 15 %": True,
    "decoration: two dots on each shape": False,
    "decoration: a frame": False,
    "hatched fills": False,
}


@pytest.mark.parametrize(("style", "accepted"), STYLES.items())
def test_style_shifts_are_decided(style: str, accepted: bool) -> None:
    scene = two_groups(("square", "red", 2), "left", ("circle", "green", 1))
    plan = arrange(scene, Random("styles"))
    assert plan is not None
    assert judge(styled_svg(plan, Random(style), style), scene).all_met == accepted


@pytest.mark.parametrize("color", ["white", "black", "#ff0000", "#1e90ff"])
def test_an_empty_drawing_meets_nothing(color: str) -> None:
    for scene in (ONE_RED_CIRCLE, *(case.scene for case in right_cases(seed=3, number=2))):
        verdict = judge(on_white(f'<rect width="200" height="200" fill="{color}"/>'), scene)
        assert verdict.share == 0.0
        assert not verdict.all_met


def test_noise_is_judged_without_complaint() -> None:
    rng = np.random.default_rng(0)
    for shape in ((512, 512, 3), (1, 1, 3), (3, 700, 3)):
        assert verify(rng.integers(0, 256, shape).astype(np.uint8), read_scene(ONE_RED_CIRCLE)).share < 0.6


@pytest.mark.parametrize("side", [224, 384, 1024])
def test_the_size_of_the_rendering_hardly_matters(side: int) -> None:
    body = '<circle cx="60" cy="60" r="40" fill="red"/><rect x="115" y="110" width="60" height="60" fill="blue"/>'
    scene = two_groups(("circle", "red", 1), "above", ("square", "blue", 1))
    assert judge(on_white(body), scene, side).all_met


def test_transparency_is_laid_on_white() -> None:
    picture = np.zeros((300, 300, 4), np.uint8)
    cv2.circle(picture, (150, 150), 90, (0, 0, 255, 255), cv2.FILLED, cv2.LINE_AA)
    done, png = cv2.imencode(".png", picture)
    assert done
    assert score_png(png.tobytes(), read_scene(ONE_RED_CIRCLE)).all_met


def test_what_is_seen_is_said() -> None:
    verdict = judge(on_white('<rect x="40" y="60" width="120" height="50" fill="blue"/>'), ONE_RED_CIRCLE)
    assert [check.seen for check in verdict.unmet if check.kind == "only"] == ["blue rectangle"]
    assert verdict.share == pytest.approx(0.0)


def test_shares_count_what_is_there() -> None:
    circle = '<circle cx="100" cy="100" r="50" fill="blue"/>'
    verdict = judge(on_white(circle), ONE_RED_CIRCLE)
    assert (unmet(verdict), verdict.share) == (["color a"], pytest.approx(4 / 5))


def test_a_file_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="not an image"):
        score_png(b"hello", read_scene(ONE_RED_CIRCLE))


@pytest.mark.parametrize(
    "change",
    [
        {"background": "black"},
        {"groups": []},
        {"groups": [{"id": "a", "shape": "oval", "color": "red", "count": 1}]},
        {"groups": [{"id": "a", "shape": "circle", "color": "red", "count": 6}]},
        {"statements": [{"kind": "left", "subject": "a", "object": "z"}]},
    ],
)
def test_a_scene_that_cannot_be_decided_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DataError, match="cannot be verified"):
        read_scene(ONE_RED_CIRCLE | change)


def test_rendering_is_what_the_protocol_says() -> None:
    picture = cv2.imdecode(np.frombuffer(render(on_white("", "0 0 400 300")), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (384, 512, 3)


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def test_verifier_baseline_task_and_test_drawings_share_no_code() -> None:
    parts = {
        "verifier": list((ROOT / "sgpbench/metrics/shapes").glob("*.py")),
        "baseline": list((ROOT / "sgpbench/models").glob("baseline*.py")),
        "task": list((ROOT / "tasks/shapes").glob("*.py")),
        "drawings": list((ROOT / "benchmarks/verifier_drawings").glob("*.py")),
    }
    names = {"sgpbench.metrics.shapes", "sgpbench.models.baseline", "shapes", "verifier_drawings"}
    own = dict(
        zip(parts, ("sgpbench.metrics.shapes", "sgpbench.models.baseline", "shapes", "verifier_drawings"), strict=True)
    )
    for part, paths in parts.items():
        assert paths
        others = names - {own[part]}
        for path in paths:
            assert not [name for name in _imports(path) if any(name.startswith(other) for other in others)], path
