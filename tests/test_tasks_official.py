"""The published prompts, counted against what is published."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sgpbench.cli.tasks import app
from sgpbench.data import DataStore
from sgpbench.errors import DataError, UsageError
from sgpbench.records import Prompt
from sgpbench.tasks.questions import read_questions
from sgpbench.tasks.registry import load_task

pytestmark = pytest.mark.upstream


@pytest.fixture(scope="module")
def store(upstream: Path, tmp_path_factory: pytest.TempPathFactory) -> DataStore:
    return DataStore([upstream])


@pytest.fixture(scope="module")
def comp(store: DataStore) -> list[Prompt]:
    return list(load_task("comp").prompts(store, "official", 0))


@pytest.fixture(scope="module")
def scene(store: DataStore) -> list[Prompt]:
    return list(load_task("scene").prompts(store, "official", 0))


def test_comp_has_3200_prompts_in_2188_clusters(comp: list[Prompt]) -> None:
    assert len({prompt.id for prompt in comp}) == len(comp) == 3200
    assert len({prompt.cluster for prompt in comp}) == 2188
    assert Counter(prompt.category.split("/")[0] for prompt in comp) == {
        "binding": 1200,
        "relation": 1200,
        "numeracy": 800,
    }
    minor = Counter(prompt.category for prompt in comp if "/" in prompt.category)
    assert minor == dict.fromkeys(
        [
            *("binding/color", "binding/shape", "binding/texture"),
            *("relation/2d_spatial", "relation/3d_spatial", "relation/implicit"),
        ],
        400,
    )
    assert Counter(p.metadata["total_count"] for p in comp if p.category == "numeracy") == dict.fromkeys(
        range(3, 11), 100
    )


def test_comp_clusters_are_named_for_their_first_prompt_and_as_large_as_published(comp: list[Prompt]) -> None:
    sizes = Counter(prompt.cluster for prompt in comp)
    ids = {prompt.id: number for number, prompt in enumerate(comp)}
    assert all(ids[prompt.cluster] <= number for number, prompt in enumerate(comp))
    largest = Counter(dict.fromkeys({prompt.category for prompt in comp}, 0))
    for prompt in comp:
        largest[prompt.category] = max(largest[prompt.category], sizes[prompt.cluster])
    assert largest == {
        "relation/implicit": 141,
        "binding/texture": 128,
        "relation/2d_spatial": 87,
        "binding/color": 54,
        "binding/shape": 50,
        "relation/3d_spatial": 25,
        "numeracy": 1,
    }


def test_comp_keeps_rows_as_published(comp: list[Prompt], upstream: Path) -> None:
    rows = json.loads((upstream / "sgp-compbench-prompts.json").read_bytes())
    assert [(p.id, p.caption) for p in comp] == [(row["id"], row["prompt"]) for row in rows]
    for prompt, row in zip(comp, rows, strict=True):
        assert prompt.metadata == {"gen_type": row["gen_type"], **row["metadata"]}


def test_comp_rubrics_ask_what_the_released_code_asks(comp: list[Prompt]) -> None:
    for prompt in comp:
        major = prompt.category.split("/")[0]
        parts = {part.id: part for part in prompt.rubric}
        assert len(parts) == len(prompt.rubric)
        if major != "numeracy":
            assert [(part.id, part.rubric) for part in prompt.rubric] == [(major, major)]
            assert parts[major].values == {"prompt": prompt.caption}
            continue
        counts = [(part.values["noun"], part.values["count"]) for part in prompt.rubric if part.rubric == "count"]
        assert parts["total"].values == {"total_count": sum(int(count) for _, count in counts)}
        assert parts["items"].values == {"noun_list": ", ".join(str(noun) for noun, _ in counts)}
        assert [part.id for part in prompt.rubric[2:]] == [f"count.{k}" for k in range(1, len(counts) + 1)]
    assert Counter(len(prompt.rubric) for prompt in comp) == {1: 2400, 4: 390, 5: 410}


def test_comp_overall_is_the_mean_over_prompts(comp: list[Prompt]) -> None:
    table = pd.DataFrame([(p.id, p.category, p.cluster) for p in comp], columns=["prompt_id", "category", "cluster"])
    slices = {part.name: part for part in load_task("comp").aggregate(table)}
    assert next(iter(slices)) == "overall"
    assert {name: len(part.weights) for name, part in slices.items()} == {
        "overall": 3200,
        "binding": 1200,
        "binding/texture": 400,
        "binding/color": 400,
        "binding/shape": 400,
        "numeracy": 800,
        "relation": 1200,
        "relation/2d_spatial": 400,
        "relation/implicit": 400,
        "relation/3d_spatial": 400,
        "distinct texts": 3200,
    }
    assert set(slices["overall"].weights.values()) == {1.0}
    assert sum(slices["distinct texts"].weights.values()) == pytest.approx(2188)


def test_scene_has_1024_captions_of_954_photographs(scene: list[Prompt]) -> None:
    assert len({prompt.id for prompt in scene}) == len(scene) == 1024
    assert len({prompt.caption for prompt in scene}) == 1023
    assert len({prompt.cluster for prompt in scene}) == 954
    assert scene[0].id == "coco-132796-1"
    assert scene[0].cluster == "coco-132796"
    assert Counter(Counter(prompt.cluster for prompt in scene).values()) == {1: 887, 2: 64, 3: 3}
    assert all(prompt.questions for prompt in scene)
    assert {prompt.reference.missing for prompt in scene if prompt.reference} == {"coco-val2017-photographs"}


def test_scene_references_are_the_photographs_where_they_are(upstream: Path, tmp_path: Path) -> None:
    folder = tmp_path / "val2017"
    folder.mkdir()
    (folder / "000000132796.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    prompts = list(load_task("scene").prompts(DataStore([upstream, tmp_path]), "official", 0))
    here = [prompt.reference.image for prompt in prompts if prompt.reference and prompt.reference.image]
    assert set(here) == {folder / "000000132796.jpg"}


@pytest.mark.parametrize(
    ("name", "captions", "total", "added", "repeated_choices"),
    [("coco_qa.json", 1023, 9073, 22, 8), ("sgp_compbench_qa.json", 1018, 10127, 20, 34)],
)
def test_every_question_is_loaded_and_each_defect_follows_its_rule(
    upstream: Path, name: str, captions: int, total: int, added: int, repeated_choices: int
) -> None:
    questions = read_questions(upstream / name)
    assert (len(questions), questions.total) == (captions, total)
    published = json.loads((upstream / name).read_bytes())
    loaded = [(q, row) for text, entry in published.items() for q, row in _pairs(questions.of(text), entry)]
    assert len(loaded) == total
    assert all(question.answer in question.choices for question, _ in loaded)
    assert sum(question.answer_added for question, _ in loaded) == added
    assert all(len(set(question.choices)) == len(question.choices) for question, _ in loaded)
    assert sum(len(set(row["choices"])) < len(row["choices"]) for _, row in loaded) == repeated_choices
    for question, row in loaded:
        assert list(dict.fromkeys([*row["choices"], row["answer"]])) == list(question.choices)


def _pairs(questions: tuple, entry: dict) -> list:  # type: ignore[type-arg]
    return list(zip(questions, entry["questions"], strict=True))


def test_repeated_questions_are_1022(upstream: Path) -> None:
    repeated = 0
    for name in ("coco_qa.json", "sgp_compbench_qa.json"):
        questions = read_questions(upstream / name)
        for caption in json.loads((upstream / name).read_bytes()):
            asked = questions.of(caption)
            repeated += len(asked) - len({question.text for question in asked})
            assert len({question.id for question in asked}) == len(asked)
    assert repeated == 1022


def test_missing_data_names_the_command(tmp_path: Path) -> None:
    nothing = DataStore([tmp_path])
    for task, command in (("comp", "sgp-compbench"), ("scene", "coco-val-captions"), ("object", "tifa-questions")):
        with pytest.raises(DataError, match=f"sgpbench data fetch {command}"):
            load_task(task).prompts(nothing, "official", 0)


def test_object_without_its_file_names_the_command(upstream: Path) -> None:
    with pytest.raises(DataError, match="sgpbench data fetch sgp-object"):
        load_task("object").prompts(DataStore([upstream]), "official", 0)


@pytest.mark.parametrize("name", ["comp", "scene", "object"])
def test_an_unknown_split_is_a_usage_error(name: str, store: DataStore) -> None:
    with pytest.raises(UsageError, match="no split 'train'"):
        load_task(name).prompts(store, "train", 0)


def test_show_prints_counts_metrics_and_what_is_missing(upstream: Path) -> None:
    shown = CliRunner().invoke(app, ["show", "comp", "--data-dir", str(upstream)], catch_exceptions=False).stdout
    for line in ("  relation/implicit                            400       208", "sgp-compbench               here"):
        assert line in shown
    assert max(map(len, shown.splitlines())) <= 80
    scene = CliRunner().invoke(app, ["show", "scene", "--data-dir", str(upstream)], catch_exceptions=False).stdout
    assert "0 of 954 files" in scene
    assert "`sgpbench data fetch coco-val2017-photographs`" in scene
    assert max(map(len, scene.splitlines())) <= 80


def test_show_speaks_json_with_and_without_data(upstream: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    full = json.loads(run(app, ["show", "comp", "--json", "--data-dir", str(upstream)]).stdout)
    assert full["counts"]["categories"]["relation/implicit"] == {"prompts": 400, "clusters": 208}
    assert full["error"] is None
    empty = json.loads(run(app, ["show", "object", "--json", "--data-dir", str(tmp_path)]).stdout)
    assert empty["counts"] is None
    assert "sgpbench data fetch" in empty["error"]
    assert [need["dataset"] for need in empty["needs"]] == ["sgp-object", "tifa-questions"]


_MEASURE = r"""
import re, sys, time
from pathlib import Path
begin = time.process_time()  # of the processor: others may be at work
from sgpbench.data import DataStore
from sgpbench.tasks.registry import load_task
list(load_task(sys.argv[1]).prompts(DataStore([Path(sys.argv[2])]), "official", 0))
# Not ru_maxrss, which a process inherits from the one that started it.
peak_kb = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]
print(time.process_time() - begin, int(peak_kb) / 1024)
"""


@pytest.mark.parametrize("name", ["comp", "scene", "object"])
def test_loading_takes_under_a_second_and_200_mb(name: str, upstream: Path, tmp_path: Path) -> None:
    for path in upstream.glob("*.json"):
        (tmp_path / path.name).symlink_to(path)
    captions = list(json.loads((upstream / "sgp_compbench_qa.json").read_bytes()))[:930]
    rows = [{"description": text, "svg_content": "<svg>" + "x" * 4000, "file_name": "a.svg"} for text in captions]
    (tmp_path / "SGP-Object.json").write_text(json.dumps(rows))  # as large as the hub's: 3.7 MB
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, name, str(tmp_path)], capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 1
    assert megabytes < 200
