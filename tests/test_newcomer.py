"""What is promised to a newcomer: checks that do not depend on what is installed."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MODULES = {"google-genai": "google", "opencv-python-headless": "cv2", "pillow": "PIL", "svg.path": "svg"}
"""Distributions whose module has another name than they have."""


def script(name: str) -> ModuleType:
    """One of ``scripts/``, which import each other as files that lie side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


commands, newcomer = script("newcomer").commands, script("newcomer").main
plan, remainder = script("test").plan, script("test").remainder


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


def test_the_readme_starts_with_two_commands_and_ci_reads_them_there() -> None:
    assert commands((ROOT / "README.md").read_text("utf-8")) == [
        "python3 scripts/quickstart.py",
        "python3 scripts/test.py",
    ]
    steps = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if "python3 scripts/" in line]
    assert [step.strip() for step in steps] == ["python3 scripts/newcomer.py", "exec python3 scripts/test.py --all"]


@pytest.mark.parametrize("readme", ["# x\n", "# x\n\n## Start\n\nJust look.\n\n## Next\n\n    ls\n"])
def test_a_readme_without_commands_is_an_error(readme: str) -> None:
    with pytest.raises(ValueError, match="no commands"):
        commands(readme)


def project_with(readme: str, folder: Path) -> Path:
    (folder / "README.md").write_text(f"# x\n\n## Start\n\n{readme}\n\n## Next\n\n    false\n", "utf-8")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "--quiet"], ["add", "README.md"], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    (folder / "uncommitted").touch()
    return folder


def test_a_newcomer_has_a_fresh_clone_an_empty_home_and_none_of_our_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    monkeypatch.setenv("SGPBENCH_VENV", "elsewhere")
    project = tmp_path / "project"
    project.mkdir()
    project_with(f'    ls . > {seen}/files\n    ls -A "$HOME" > {seen}/home\n    env > {seen}/env', project)
    assert newcomer(project) == 0
    assert (seen / "files").read_text() == "README.md\n"
    assert (seen / "home").read_text() == ""
    assert not re.search(r"^SGPBENCH|^HOME=/root$", (seen / "env").read_text(), re.MULTILINE)


def test_the_first_command_that_fails_ends_it_with_its_code(tmp_path: Path) -> None:
    assert newcomer(project_with("    exit 7\n    touch never", tmp_path)) == 7
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("everything", "arguments", "told"),
    [(False, [], "no torch and no browser"), (True, [], "all tests"), (False, ["-k", "store"], "pytest -k store")],
)
def test_the_checks_say_first_what_they_will_do(everything: bool, arguments: list[str], told: str) -> None:
    assert told in plan(everything, arguments)
    assert "minutes" in plan(everything, arguments)


def test_the_checks_say_last_what_was_not_run_and_how_to_run_it() -> None:
    assert "without arguments" in remainder(False, ["-k", "store"])
    assert "All tests" in remainder(True, [])
