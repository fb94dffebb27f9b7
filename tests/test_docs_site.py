"""The documentation's site: what is made from the code is up to date, and what it says of the code is true."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml
from cli_support import caller
from documents import DOCS_PAGES, ROOT
from extras import needs_extra

MOST_STEPS = 10
STEP = re.compile(r"^\d+\. `([\w.]+)`", re.MULTILINE)


def steps() -> list[str]:
    return STEP.findall((ROOT / "docs" / "concepts.md").read_text("utf-8"))


def test_the_reference_of_commands_is_what_help_prints() -> None:
    written = DOCS_PAGES.COMMANDS.read_text("utf-8")
    assert written == DOCS_PAGES.commands_page(), "run: python scripts/docs_pages.py"


def test_a_prompt_goes_through_at_most_ten_functions_each_of_which_exists_once() -> None:
    assert 5 <= len(steps()) <= MOST_STEPS
    for name in steps():
        assert DOCS_PAGES.where_defined(name).startswith("sgpbench.")


def test_a_function_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(LookupError):
        DOCS_PAGES.where_defined("Caller.aks")


def test_a_prompt_really_goes_through_them_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {(DOCS_PAGES.where_defined(name), name): name for name in steps()}
    came: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (name := wanted.get((frame.f_globals.get("__name__", ""), frame.f_code.co_qualname))):
            came.append(name)

    monkeypatch.chdir(tmp_path)
    sgpbench = caller(monkeypatch, capsys)
    before = sys.getprofile()
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        done = sgpbench("run", "--model", "baseline/procedural", "--task", "shapes", "--limit", "1")
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    assert done.code == 0, done.err
    assert list(dict.fromkeys(came)) == steps()


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page(tmp_path: Path) -> None:
    made = DOCS_PAGES.stage(tmp_path / "pages")
    text = "\n".join(
        f"{line.partition('- ')[0]}- {made[mark][0]}" if (mark := line.partition("- ")[2]) in made else line
        for line in (ROOT / "mkdocs.yml").read_text("utf-8").splitlines()
    )

    def places(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [place for part in (entry.values() if isinstance(entry, dict) else entry) for place in places(part)]

    told = {*places(yaml.safe_load(text)["nav"]), *(place for one in made.values() for place in one)}
    there = {str(path.relative_to(tmp_path / "pages")) for path in (tmp_path / "pages").rglob("*.md")}
    assert told == there


def test_the_reference_of_python_leaves_no_part_of_the_package_out() -> None:
    parts = DOCS_PAGES.parts_of_the_package()
    folders = {path.name for path in (ROOT / "sgpbench").iterdir() if any(path.rglob("*.py")) and path.name != "_root"}
    assert parts.keys() - {""} == folders - {"__pycache__"}
    assert {"sgpbench.reward", "sgpbench.errors", "sgpbench.records"} <= set(parts[""])
    assert all(parts[room][0] == f"sgpbench.{room}.interface" for room in ("metrics", "models", "tasks"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    needs_extra("docs", "mkdocstrings")
    assert DOCS_PAGES.build(tmp_path) == 0
    concepts = (tmp_path / "docs" / "concepts.html").read_text("utf-8")
    assert "<svg" in concepts
    assert concepts.count('<li><a href="reference/python/') == len(steps())
