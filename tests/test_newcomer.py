"""What is promised to a newcomer: checks that do not depend on what is installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODULES = {"google-genai": "google", "opencv-python-headless": "cv2", "pillow": "PIL", "svg.path": "svg"}
"""Distributions whose module has another name than they have."""


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.split(r"[<>=\[; ]", one)[0] for one in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imported() -> set[str]:
    """The top-level modules that the package and its tasks import anywhere, the standard library's and ours aside."""
    found = set()
    for file in [*(ROOT / "sgpbench").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).split(".")[0])
    return found - sys.stdlib_module_names - {"sgpbench", "sgpbench_plugins", "markupsafe"}  # that comes with jinja2


def test_types_are_checked_without_what_only_an_extra_brings() -> None:
    """Else mypy would find other faults where the extra is installed than where it is not."""
    skipped = {
        module.removesuffix(".*")
        for override in PROJECT["tool"]["mypy"]["overrides"]
        if override.get("follow_imports") == "skip" and override.get("ignore_missing_imports")
        for module in override["module"]
    }
    assert imported() - modules_of(PROJECT["project"]["dependencies"]) == skipped


@pytest.mark.parametrize("file", sorted((ROOT / "tests").glob("test_*.py")), ids=lambda file: file.stem)
def test_a_test_skipped_for_want_of_a_package_says_how_to_install_it(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
            reasons = [ast.unparse(word.value) for word in node.keywords if word.arg == "reason"]
            assert [one.partition("(")[0] for one in reasons] == ["how_to_get"], f"line {node.lineno}"
