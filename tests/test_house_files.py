"""The files that make working here easy: the Makefile, the checks before a commit, the citation, the changelog."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from sgpbench import __version__

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("setup", "fix", "test", "test-all", "docs", "site", "bench", "changelog")


def changelog_script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("changelog", ROOT / "scripts" / "changelog.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


SCRIPT = changelog_script()


def recipe(target: str) -> list[str]:
    text = (ROOT / "Makefile").read_text("utf-8")
    match = re.search(rf"^{target}:  ## .+\n((?:\t.+\n)+)", text, re.MULTILINE)
    assert match, f"the Makefile has no target {target} that says what it does"
    return [line.strip() for line in match[1].splitlines()]


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_runs_what_is_there(target: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for line in recipe(target):
        program, *words = line.split()
        assert program in {"$(PYTHON)", *(f"$(BIN)/{name}" for name in ("python", "ruff", "sgpbench", "pre-commit"))}
        if words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file()
        if words[0] == "scripts/environment.py":
            assert set(words[1].split(",")) <= extras.keys()


def test_what_is_checked_before_a_commit_has_the_versions_of_the_lock() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text("utf-8")
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = {hook["id"]: hook for hook in repository["hooks"]}
    assert hooks.keys() == {"ruff-check", "ruff-format", "mypy"}
    for pinned in (pin for hook in hooks.values() for pin in hook.get("additional_dependencies", [])):
        assert f"\n{pinned} \\\n" in lock, pinned
    assert all("additional_dependencies" in hooks[name] for name in ("ruff-check", "ruff-format"))


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["version"] == project["version"] == __version__
    assert citation["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


CHANGELOG = """# Changelog

## 0.2.0 (unreleased)

### Runs

- One.
  More of one.

### Models

- Two.

## 0.1.0

### Runs

- Old.
"""


def test_entries_go_to_the_end_of_their_heading_in_the_newest_release() -> None:
    entries = SCRIPT.read_fragment("### Runs\n\n- Three,\n  in two lines.\n\n### Tasks\n\n- Four.\n")
    text = SCRIPT.with_entries(CHANGELOG, entries)
    assert text.index("More of one.\n- Three,\n  in two lines.\n\n### Models") < text.index("## 0.1.0")
    assert text.index("- Two.\n\n### Tasks\n\n- Four.\n\n## 0.1.0")
    removed = text.replace("- Three,\n  in two lines.\n", "").replace("\n### Tasks\n\n- Four.\n", "")
    assert removed == CHANGELOG


def test_a_line_under_no_heading_has_a_place_and_one_that_is_no_entry_is_refused() -> None:
    assert SCRIPT.read_fragment("- One.\n") == {SCRIPT.ELSE: ["- One."]}
    with pytest.raises(ValueError, match="neither"):
        SCRIPT.read_fragment("Some words.\n")


def test_every_fragment_can_be_gathered() -> None:
    fragments = [path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]
    for path in fragments:
        assert SCRIPT.read_fragment(path.read_text("utf-8")), path
    assert f"\n### {SCRIPT.ELSE}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_gathering_empties_the_folder(tmp_path: Path) -> None:
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").write_text("Words.\n", "utf-8")
    (tmp_path / "changelog.d" / "x.md").write_text("### Models\n\n- New.\n", "utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, "utf-8")
    assert SCRIPT.main(tmp_path) == 0
    assert [path.name for path in (tmp_path / "changelog.d").iterdir()] == ["README.md"]
    assert "- Two.\n- New.\n" in (tmp_path / "CHANGELOG.md").read_text("utf-8")


def test_make_alone_lists_every_target() -> None:
    try:
        done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("needs make: apt-get install make")
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"help", *TARGETS}
