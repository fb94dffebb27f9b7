"""Finding task plugins, and naming the broken ones."""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sgpbench.errors import PluginError, UsageError
from sgpbench.records import Prompt
from sgpbench.tasks import registry
from sgpbench.tasks.info import read_task_info
from sgpbench.tasks.registry import load_task, load_task_info, task_infos, task_names

TOML = """
name = "mine"
version = 1
title = "Mine"
description = "One prompt."
headline = "validity"
metrics = ["validity"]
splits = ["official"]
licence = "Apache-2.0"
"""
CODE = """
from .words import CAPTION
from sgpbench.records import Prompt

class Mine:
    name, version, splits, metrics, headline = "mine", 1, ("official",), ("validity",), "validity"
    def prompts(self, data, split, seed):
        return [Prompt(id="p", caption=CAPTION, category="c", cluster="p")]
    def aggregate(self, prompts):
        return []

TASK = Mine()
"""


class NoData:
    """A data directory with nothing in it."""

    def file(self, dataset: str, name: str) -> Path:
        raise AssertionError

    def find(self, dataset: str, name: str) -> Path | None:
        return None


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder of a task plugin."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "task.toml").write_text(TOML)
    (folder / "__init__.py").write_text(CODE)
    (folder / "words.py").write_text('CAPTION = "a cat"')
    return folder


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A root folder of tasks with the real ``comp`` and nothing else."""
    real = registry.task_folder("comp")
    assert real is not None
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "comp").symlink_to(real)
    monkeypatch.setattr(registry, "root_folder", lambda _: folder)
    return folder


def test_the_official_tasks_are_there() -> None:
    assert {"comp", "object", "scene", "shapes"} <= set(task_names())


@pytest.mark.parametrize("name", ["comp", "object", "scene", "shapes"])
def test_an_official_task_agrees_with_its_toml(name: str) -> None:
    task, info = load_task(name), load_task_info(name)
    assert (task.name, task.version, task.splits) == (info.name, info.version, info.splits)
    assert task.headline in task.metrics


def test_listing_loads_no_plugin_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_import_folder", lambda *_: pytest.fail("a plugin was imported"))
    assert [info.name for info in task_infos()[0]] == task_names()


def test_a_folder_on_the_command_line_is_a_task(mine: Path) -> None:
    task = load_task(str(mine))
    assert task.name == "mine"
    (prompt,) = task.prompts(NoData(), "official", 0)
    assert prompt == Prompt(id="p", caption="a cat", category="c", cluster="p")
    assert load_task_info(str(mine)).title == "Mine"


def test_two_folders_of_one_name_stay_apart(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine"
    other.mkdir(parents=True)
    for file in mine.iterdir():
        if file.is_file():
            (other / file.name).write_text(file.read_text().replace("a cat", "a dog"))
    captions = [next(iter(load_task(str(folder)).prompts(NoData(), "official", 0))).caption for folder in (mine, other)]
    assert captions == ["a cat", "a dog"]


def test_an_unknown_task_names_near_ones() -> None:
    with pytest.raises(UsageError, match="Did you mean comp"):
        load_task("compp")


def test_a_path_without_a_task_says_so(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no task folder"):
        load_task(str(tmp_path / "nothing"))
    with pytest.raises(PluginError, match=r"no readable task\.toml"):
        load_task(str(tmp_path))


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("__init__.py", "TASK = Mine()", "raise RuntimeError('my own error')", "RuntimeError: my own error"),
        ("__init__.py", "TASK = Mine()", "raise SystemExit(1)", "SystemExit: 1"),
        ("__init__.py", "TASK = Mine()", "1 +", "SyntaxError"),
        ("__init__.py", "TASK = Mine()", "", "no attribute TASK"),
        ("__init__.py", "TASK = Mine()", "TASK = 3", "lacks name, version"),
        ("__init__.py", "from .words", "from .wordz", "No module named"),
        ("__init__.py", '"mine", 1,', '"mine", 2,', "version 2 in its code and 1"),
        ("task.toml", "version = 1", "version = 0", "version"),
        ("task.toml", "title =", "titel =", "titel|title"),
        ("task.toml", 'headline = "validity"', 'headline = "judge"', "not among the metrics"),
        ("task.toml", 'name = "mine"', 'name = "yours"', "must agree"),
        ("task.toml", "splits = [", "splits = [[", "TOML"),
    ],
)
def test_a_broken_plugin_names_itself_and_its_error(mine: Path, file: str, old: str, new: str, said: str) -> None:
    path = mine / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PluginError, match=rf"(?s)mine.*({said})"):
        load_task(str(mine))


def test_a_mended_plugin_loads(mine: Path) -> None:
    path = mine / "__init__.py"
    path.write_text(CODE + "raise RuntimeError")
    with pytest.raises(PluginError):
        load_task(str(mine))
    assert not [name for name in sys.modules if name.startswith(f"sgpbench_plugins.mine_{_digest(mine)}")]
    path.write_text(CODE)
    assert load_task(str(mine)).name == "mine"


def _digest(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]


def test_a_broken_plugin_takes_no_other_down(root: Path, mine: Path) -> None:
    (mine / "task.toml").write_text("name = 3")
    (root / "mine").symlink_to(mine)
    infos, broken = task_infos()
    assert [info.name for info in infos] == ["comp"]
    (error,) = broken
    assert "mine" in str(error)
    assert load_task("comp").name == "comp"


def _entry_point(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("extra", value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])


def test_an_installed_package_can_bring_a_task(mine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "extra_task"
    package.mkdir()
    (package / "__init__.py").write_text(CODE.replace('"mine"', '"extra"'))
    (package / "words.py").write_text('CAPTION = "a cow"')
    monkeypatch.syspath_prepend(str(tmp_path))
    _entry_point(monkeypatch, "extra_task:TASK")
    assert "extra" in task_names()
    assert next(iter(load_task("extra").prompts(NoData(), "official", 0))).caption == "a cow"
    assert load_task_info("extra").headline == "validity"


def test_a_broken_installed_task_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_point(monkeypatch, "no_such_package:TASK")
    infos, broken = task_infos()
    assert "comp" in [info.name for info in infos]
    assert len(broken) == 1
    assert "extra" in str(broken[0])
    assert "no_such_package" in str(broken[0])


def test_task_toml_is_read_from_its_folder(mine: Path) -> None:
    assert read_task_info(mine).data == ()
