"""The task ``shapes``: which captions there are, and that they keep to what pixels can decide."""

from __future__ import annotations

import importlib
from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from sgpbench.data import DataStore
from sgpbench.errors import UsageError
from sgpbench.metrics.shapes import Scene, read_scene
from sgpbench.metrics.shapes.colors import NAMES, color_names, named_lab
from sgpbench.records import Prompt
from sgpbench.tasks.interface import Task
from sgpbench.tasks.registry import load_task

USUAL = {
    "red": "#ff0000", "orange": "#ffa500", "yellow": "#ffff00", "green": "#008000", "blue": "#0000ff",
    "purple": "#800080", "pink": "#ffc0cb", "brown": "#a52a2a", "gray": "#808080", "black": "#000000", "white": "#ffffff",
}  # fmt: skip


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("shapes")


@pytest.fixture(scope="module")
def official(task: Task) -> list[Prompt]:
    return list(task.prompts(DataStore(()), "official", 0))


def scene_of(prompt: Prompt) -> Scene:
    return read_scene(prompt.metadata["scene"])


def test_the_official_split_is_the_same_500_prompts_whatever_the_seed(task: Task, official: list[Prompt]) -> None:
    assert list(task.prompts(DataStore(()), "official", 9)) == official
    assert len(official) == 500
    assert len({prompt.id for prompt in official}) == len({prompt.cluster for prompt in official}) == 500


def test_official_prompts_never_change_by_accident(official: list[Prompt]) -> None:
    assert official[4].id == "shapes-relation-0004"
    assert official[4].caption.startswith("One ")
    texts = "\n".join(prompt.caption for prompt in official)
    assert (len(texts), sum(map(ord, texts)) % 65521) == PINNED


PINNED = (129165, 62722)


def test_generated_prompts_follow_their_seed(task: Task, official: list[Prompt]) -> None:
    one, again, other = (list(task.prompts(DataStore(()), "generated", seed)) for seed in (7, 7, 8))
    assert one == again
    assert len({prompt.cluster for prompt in one} & {prompt.cluster for prompt in other}) < 100
    assert one != official


def test_there_is_no_other_split(task: Task) -> None:
    with pytest.raises(UsageError, match="no split 'test'"):
        task.prompts(DataStore(()), "test", 0)


def test_categories_are_balanced_and_every_one_has_its_mean(task: Task, official: list[Prompt]) -> None:
    counts = Counter(prompt.category for prompt in official)
    assert len(counts) == 8
    assert max(counts.values()) - min(counts.values()) <= 1
    rows = pd.DataFrame([{"prompt_id": p.id, "category": p.category, "cluster": p.cluster} for p in official])
    slices = task.aggregate(rows)
    assert [part.name for part in slices] == ["overall", *counts]
    assert all(weight == 1.0 for part in slices for weight in part.weights.values())


def test_scenes_keep_to_what_pixels_can_decide(official: list[Prompt]) -> None:
    for scene in map(scene_of, official):
        assert sum(group.count for group in scene.groups) <= 9
        assert len({(group.shape, group.color) for group in scene.groups}) == len(scene.groups)
        for statement in scene.statements:
            if statement.kind in ("inside", "overlap"):
                assert statement.object is not None
                assert scene.group(statement.subject).color != scene.group(statement.object).color
            if statement.kind == "overlap":
                assert scene.group(statement.subject).count == scene.group(statement.object or "").count == 1


def test_asked_colours_are_far_apart_and_are_recognised_as_themselves() -> None:
    rgb = np.array([[list(bytes.fromhex(code[1:])) for code in USUAL.values()]], np.uint8)
    assert [NAMES[index] for index in color_names(rgb)[0]] == list(USUAL)
    lab = named_lab(rgb[0])
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(lab, 2)) > 25


def test_captions_say_all_that_is_scored(official: list[Prompt]) -> None:
    for prompt in official:
        assert "on a plain white background" in prompt.caption
        assert "one flat, opaque fill" in prompt.caption
        assert prompt.caption.endswith("nothing else is drawn.")
        scene = scene_of(prompt)
        long = {group.shape for group in scene.groups} & {"rectangle", "ellipse"}
        assert ("1.5 times as long" in prompt.caption) == bool(long)
        for group in scene.groups:
            noun = "five-pointed star" if group.shape == "star" else group.shape
            assert f"{group.color} {noun}" in prompt.caption


def test_equal_meanings_share_a_cluster() -> None:
    module = importlib.import_module("sgpbench_plugins.shapes.words")
    grammar = importlib.import_module("sgpbench_plugins.shapes.grammar")
    red, blue = grammar.Group("a", "circle", "red", 1), grammar.Group("b", "square", "blue", 1)
    left = grammar.Scene((red, blue), (grammar.Statement("left", "a", "b"),))
    right = grammar.Scene((blue, red), (grammar.Statement("right", "b", "a"),))
    above = grammar.Scene((red, blue), (grammar.Statement("above", "a", "b"),))
    assert module.canonical_text(left) == module.canonical_text(right) != module.canonical_text(above)
