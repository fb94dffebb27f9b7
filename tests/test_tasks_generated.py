"""New prompts of comp's kinds: without duplicates, unlike the published ones, the same everywhere for a seed."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from sgpbench.data import DataStore
from sgpbench.records import Prompt
from sgpbench.tasks.registry import load_task
from sgpbench.tasks.texts import normalised


class NoData:
    """Generated prompts need none."""

    def file(self, dataset: str, name: str) -> Path:
        raise AssertionError("data was asked for")

    def find(self, dataset: str, name: str) -> Path | None:
        raise AssertionError("data was asked for")


PINNED = "dbb25a95607f8105"


def _generate(seed: int) -> list[Prompt]:
    return list(load_task("comp").prompts(NoData(), "generated", seed))


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return _generate(0)


def test_kinds_and_numbers_are_those_of_the_published_set(prompts: list[Prompt]) -> None:
    assert Counter(prompt.category for prompt in prompts) == {
        "binding/color": 400,
        "binding/shape": 400,
        "binding/texture": 400,
        "relation/2d_spatial": 400,
        "relation/3d_spatial": 400,
        "relation/implicit": 400,
        "numeracy": 800,
    }
    totals = Counter(prompt.metadata["total_count"] for prompt in prompts if prompt.category == "numeracy")
    assert totals == dict.fromkeys(range(3, 11), 100)


@pytest.mark.parametrize("seed", range(3))
def test_no_two_are_alike(seed: int) -> None:
    prompts = _generate(seed)
    marks = importlib.import_module("sgpbench_plugins.comp.published")
    assert len({normalised(prompt.caption) for prompt in prompts}) == len(prompts)
    assert len({marks.content_mark(marks.content_of(prompt)) for prompt in prompts}) == len(prompts)
    assert len({prompt.id for prompt in prompts}) == len({prompt.cluster for prompt in prompts}) == len(prompts)


@pytest.mark.upstream
@pytest.mark.parametrize("seed", range(3))
def test_none_has_a_published_text_or_content(upstream: Path, seed: int) -> None:
    published = list(load_task("comp").prompts(DataStore([upstream]), "official", 0))
    marks = importlib.import_module("sgpbench_plugins.comp.published")
    texts = {normalised(prompt.caption) for prompt in published}
    contents = {marks.content_of(prompt) for prompt in published}
    for prompt in _generate(seed):
        assert normalised(prompt.caption) not in texts
        assert marks.content_of(prompt) not in contents


@pytest.mark.upstream
def test_the_marks_kept_are_those_of_the_published_file(upstream: Path) -> None:
    """If this fails, write ``marks_of(...)`` of the published prompts to tasks/comp/published-marks.txt."""
    published = load_task("comp").prompts(DataStore([upstream]), "official", 0)
    marks = importlib.import_module("sgpbench_plugins.comp.published")
    assert marks.marks_of(published) == marks.published_marks()


def test_a_seed_gives_the_same_prompts_everywhere(prompts: list[Prompt]) -> None:
    """A change here is a new version of the task."""
    text = "\n".join(f"{prompt.id}\t{prompt.caption}" for prompt in prompts)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == PINNED
    assert _generate(0) == prompts
    assert not {prompt.id for prompt in _generate(1)} & {prompt.id for prompt in prompts}


def test_articles_and_plurals_are_right(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", prompt.caption), prompt.caption
        if prompt.category == "numeracy":
            for number, noun in re.findall(r"\b(one|two) ([a-z ]+?)(?=,| and|$)", prompt.caption):
                singular = noun in _nouns(prompt)
                assert singular == (number == "one") or noun == "sheep", prompt.caption


def _nouns(prompt: Prompt) -> list[str]:
    return [str(noun) for noun in prompt.metadata["objects"]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("bus", "buses"),
        ("bench", "benches"),
        ("toothbrush", "toothbrushes"),
        ("wine glass", "wine glasses"),
        ("knife", "knives"),
        ("mouse", "mice"),
        ("sheep", "sheep"),
        ("person", "people"),
        ("hot dog", "hot dogs"),
        ("tie", "ties"),
    ],
)
def test_plurals(noun: str, plural: str) -> None:
    load_task("comp")
    assert importlib.import_module("sgpbench_plugins.comp.words").plural(noun) == plural


def test_metadata_and_rubric_fit_the_caption(prompts: list[Prompt]) -> None:
    for prompt in prompts:
        assert prompt.metadata["gen_type"] == "generated"
        if prompt.category != "numeracy":
            (part,) = prompt.rubric
            assert part.values == {"prompt": prompt.caption}
            first, second = prompt.metadata["nouns"]  # type: ignore[misc]
            assert first != second
            assert prompt.caption.index(str(first)) >= 0
            assert str(second) in prompt.caption
            continue
        counts = prompt.metadata["object_counts"]
        assert sum(entry["count"] for entry in counts) == prompt.metadata["total_count"]  # type: ignore
        assert [part.id for part in prompt.rubric[:2]] == ["total", "items"]
        assert len(prompt.rubric) == 2 + len(counts)  # type: ignore[arg-type]
