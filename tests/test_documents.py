"""Every command and example in every document: it exists, it is spelled rightly, and what can run offline runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import test_catalog
import typer
from cli_support import Sgpbench, caller
from documents import DOCS_PAGES, PAGES, ROOT, SCRIPTS, Command, commands, fenced, text_of
from typer.exceptions import TyperException

from sgpbench.cli.app import app
from sgpbench.data.manifest import dataset_names
from sgpbench.errors import UsageError
from sgpbench.metrics.registry import metric_names
from sgpbench.models.catalog import read_catalog_file
from sgpbench.models.registry import BUILT_IN, resolve
from sgpbench.models.vllm import ARGUMENTS
from sgpbench.tasks.registry import task_names

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ALL = sorted({command for path in [*PAGES, *SCRIPTS] for command in commands(path)})
OURS = [command for command in ALL if command.words.startswith("sgpbench ")]
OTHERS = [command for command in ALL if not command.words.startswith("sgpbench ")]
FOREIGN = {"ray", "vllm"}
"""Programs of others that a document may show; how they are called is for their own documents to say."""
PLACEHOLDER = re.compile(r"[A-Z]+(/[A-Z]+)*|my-model-7b")
VALUES = {"RUN": "runs/x", "N": "1", "[PROMPT]": "p"}
"""What stands for a placeholder that must be of a kind."""


def words_of(command: Command) -> list[str]:
    return [VALUES.get(word, word) for word in shlex.split(command.words) if word != "…"]


def parsed(command: Command) -> tuple[str, dict[str, Any]]:
    """The command's full name and the values of its parameters, read by the real command line."""
    group: Any = typer.main.get_command(app)
    if words_of(command)[1].startswith("-"):
        # Not called: such options act at once, wherever they stand.
        assert words_of(command)[1] in {flag for parameter in group.params for flag in parameter.opts}
        return "", {}
    context = group.make_context("sgpbench", words_of(command)[1:])
    name, arguments = "", list(context._protected_args) + list(context.args)
    while hasattr(group, "resolve_command"):
        part, group, arguments = group.resolve_command(context, arguments)
        name = f"{name} {part}".strip()
        if not arguments and hasattr(group, "resolve_command"):
            return name, {}
        context = group.make_context(part, arguments, parent=context, resilient_parsing=command.inline)
        arguments = list(getattr(context, "_protected_args", [])) + list(context.args)
    return name, dict(context.params)


def known(value: object) -> list[str]:
    """The names in a value that are no placeholders."""
    values = value if isinstance(value, list | tuple) else str(value or "").split(",")
    return [str(one) for one in values if one and not PLACEHOLDER.fullmatch(str(one))]


@pytest.mark.parametrize("command", OURS, ids=str)
def test_each_command_of_ours_is_one_that_the_command_line_takes(command: Command) -> None:
    name, values = parsed(command)
    for model in [
        *known(values.get("model") if isinstance(values.get("model"), str) else None),
        *known(values.get("judge")),
    ]:
        assert resolve(model).adapter in BUILT_IN or ".py:" in model
    for task in known(values.get("task")):
        assert task in task_names() or task.startswith("./")
    if name.startswith("data ") and (sets := values.get("names") or values.get("name")):
        assert set(known(sets)) <= set(dataset_names())
    if name == "tasks show":
        assert set(known(values["name"])) <= set(task_names())
    if name in {"metrics show", "metrics fetch"}:
        told = values.get("names") or [values.get("name")]
        assert {one.partition("[")[0] for one in known(told)} <= set(metric_names())
    if command.document == "docs/vllm.md":
        check_vllm_arguments(values)


def check_vllm_arguments(values: dict[str, Any]) -> None:
    families = tuple(name.removesuffix("NAME") for name in ARGUMENTS if name.endswith(".NAME"))
    for pair in values.get("model_arg") or ():
        key = str(pair).partition("=")[0]
        assert key in {*ARGUMENTS, "max_tokens"} or key.startswith(families), pair


@pytest.mark.parametrize("command", OTHERS, ids=str)
def test_each_other_command_names_what_is_there(command: Command) -> None:
    words = [word for word in shlex.split(command.words) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    program, arguments = Path(words[0]).name, words[1:]
    if program in FOREIGN:
        return
    if program.startswith("python") and arguments[:2] == ["-m", "venv"]:
        return
    if program.startswith("python"):
        script = ROOT / arguments[0]
        assert script.is_file()
        source = script.read_text("utf-8")
        for flag in re.findall(r"--[a-z][a-z0-9-]*", command.words.partition('"')[0]):
            assert f'"{flag}"' in source, flag
    elif program == "pip":
        for extras in re.findall(r"\[([\w,]+)\]", command.words):
            assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    elif program == "pytest":
        marks = {line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
        assert all((ROOT / word).is_file() for word in arguments if word.endswith(".py"))
        assert all(arguments[at + 1] in marks for at, word in enumerate(arguments) if word == "-m")
    elif program == "bash":
        assert (ROOT / arguments[0]).is_file()
    else:
        pytest.fail(f"{program} is no program that a document of ours shows")


MADE = {ROOT / "docs" / place for pages in DOCS_PAGES.made_pages().values() for place in pages}
"""Pages of the site that are made while it is built."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if not re.match(r"https?://|#|mailto:", target):
            file = Path(os.path.normpath(page.parent / target.partition("#")[0]))
            assert file.exists() or file in MADE, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_code_are_there(page: Path) -> None:
    for name in re.findall(
        r"`((?:sgpbench|tests|scripts|benchmarks|examples|docs|protocols)/[\w/.-]+)`", text_of(page)
    ):
        assert (ROOT / name).exists(), name


INCLUDED = re.compile(r'--8<-- "([\w/.-]+)"\n')
ENTRY_POINT = re.compile(r'\[project\.entry-points\."(sgpbench\.\w+)"\]\n\w+ = "[\w.]+:\w+"\n')


def test_every_example_block_is_in_a_language_that_a_test_here_reads() -> None:
    found = {
        (str(page.relative_to(ROOT)), language)
        for page in PAGES
        for language in ("toml", "python")
        for block in fenced(page, language)
        # What is included is a file that other tests read; an entry point is of one of the groups that are looked up.
        if not (INCLUDED.fullmatch(block) or ENTRY_POINT.fullmatch(block))
    }
    assert found == {("CONTRIBUTING.md", "toml"), ("tasks/README.md", "python"), ("tasks/README.md", "toml")}
    told = {language for page in PAGES for language in re.findall(r"^```(\w+)$", page.read_text("utf-8"), re.MULTILINE)}
    assert told <= {"toml", "python", "sh", "console", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_includes_or_registers_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "sgpbench").rglob("*.py"))
    assert all((ROOT / name).is_file() for name in INCLUDED.findall(text))
    assert all(f'"{group}"' in source for group in ENTRY_POINT.findall(text))


def test_the_catalog_example_passes_the_checks_that_it_is_told_to_pass(tmp_path: Path) -> None:
    (example,) = fenced(ROOT / "CONTRIBUTING.md", "toml")
    file = tmp_path / "my-lab.toml"
    file.write_text(example, "utf-8")
    (entry,) = read_catalog_file(file)
    assert entry.adapter in BUILT_IN
    test_catalog.test_prices_are_dated_and_name_a_web_page(file)
    test_catalog.test_entries_say_who_made_the_model_and_open_ones_which_checkpoint(file)
    test_catalog.test_a_dated_id_was_released_on_its_date(file)


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


def test_the_smallest_task_can_be_asked(sgpbench: Sgpbench, tmp_path: Path) -> None:
    page = ROOT / "tasks" / "README.md"
    folder = tmp_path / "animals"
    folder.mkdir()
    for name, language in (("__init__.py", "python"), ("task.toml", "toml")):
        (block,) = fenced(page, language)
        (folder / name).write_text(block, "utf-8")
    (folder / "README.md").write_text("# animals\n", "utf-8")
    (command,) = [one for one in commands(page) if one.words.endswith("--task ./animals")]
    done = sgpbench(*shlex.split(command.words)[1:])
    assert done.code == 0, done.err
    assert "3 ok" in done.out


@pytest.mark.parametrize(
    ("page", "example"), [("docs/how-to/adapter.md", "my_adapter.py"), ("docs/how-to/metric.md", "my_metric.py")]
)
def test_the_smallest_plugin_can_be_tried(sgpbench: Sgpbench, tmp_path: Path, page: str, example: str) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (command,) = {one.words for one in commands(ROOT / page) if example in one.words and " run " in one.words}
    assert command in {one.words for one in commands(ROOT / "examples" / example)}
    done = sgpbench(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    assert "5 ok" in done.out
    assert example == "my_adapter.py" or "ink" in done.out


OFFLINE = ("doctor", "status", "show", "export", "validate", "compare", "leaderboard build", "tasks list", "tasks show",
           "models list", "metrics list", "metrics show", "data list", "data verify")  # fmt: skip
"""Commands that need neither network nor key: as a document shows them, they run."""
TAKES_A_NAME = ("status", "show", "export", "validate", "compare", "tasks show", "metrics show")
"""Of these, the ones that mean nothing without a name: within a sentence they may stand alone."""
NOT_HERE = re.compile(r"my-model|DATA|--judge|--addresses")
"""Of these, the ones that show a file or a model which only the reader has."""


@pytest.mark.slow
def test_what_needs_no_network_runs_as_it_is_shown(sgpbench: Sgpbench, tmp_path: Path) -> None:
    for model in ("baseline/caption", "baseline/blank"):
        run = sgpbench("run", "--model", model, "--task", "shapes", "--limit", "8", "--json").run["path"]
        assert sgpbench("export", run).code == 0
    values = {"RUN": run, "A": "baseline/blank", "B": "baseline/caption", "NAME": "shapes", "[PROMPT]": ""}
    ran = set()
    for command in OURS:
        name = next((one for one in OFFLINE if f"{command.words} ".startswith(f"sgpbench {one} ")), None)
        if name is None or NOT_HERE.search(command.words) or (name in TAKES_A_NAME and command.words.endswith(name)):
            continue
        done = sgpbench(*[value for word in shlex.split(command.words)[1:] if (value := values.get(word, word))])
        # A data set that is not on this machine is an honest error of `data verify`.
        assert done.code == 0 or (name == "data verify" and done.code == 1), f"{command}: {done.out}{done.err}"
        ran.add(name)
    assert ran >= {*OFFLINE} - {"models list", "metrics list", "metrics show"}


def test_a_name_or_a_flag_that_does_not_exist_would_be_found() -> None:
    with pytest.raises(UsageError):
        resolve("gpt-5-mni")
    with pytest.raises(TyperException, match="No such option"):
        parsed(Command("x.md", "sgpbench run --model a --task b --modle c"))
    with pytest.raises(UsageError, match="no command named 'lits'"):
        parsed(Command("x.md", "sgpbench tasks lits"))
