"""Nothing printed is eaten or misleading: brackets stay brackets, and no stranger's text drives the terminal."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from cli_support import Done, Sgpbench, caller
from hostile_model import HOSTILE
from typer.core import TyperCommand, TyperGroup, TyperOption

from sgpbench.cli.app import app, command_names
from sgpbench.terminal import one_line, say, say_json, visible

PACKAGE = Path(__file__).resolve().parents[1] / "sgpbench"
MODEL = f"{Path(__file__).with_name('hostile_model.py')}:open_hostile/x{HOSTILE}"
DRIVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return caller(monkeypatch, capsys)


def commands() -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    """Every command and group with the words that call it."""
    yield (), typer.main.get_command(app)  # type: ignore[misc]
    for name in command_names():
        command = typer.main.get_command(importlib.import_module(f"sgpbench.cli.{name}").app)
        assert isinstance(command, TyperCommand | TyperGroup)
        yield (name,), command
        if isinstance(command, TyperGroup):
            for sub, inner in command.commands.items():
                assert isinstance(inner, TyperCommand | TyperGroup)
                yield (name, sub), inner


COMMANDS = dict(commands())
LEAVES = [words for words, command in COMMANDS.items() if not isinstance(command, TyperGroup)]


def without_spaces(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_every_word_of_every_option_and_argument(sgpbench: Sgpbench, words: tuple[str, ...]) -> None:
    shown = sgpbench(*words, "--help")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    flat = without_spaces(shown.out)
    for parameter in COMMANDS[words].params:
        help_text = str(getattr(parameter, "help", None) or "")
        assert without_spaces(help_text) in flat
        if isinstance(parameter, TyperOption):
            assert not parameter.is_flag or f"{parameter.opts[0]}<" not in flat
            if parameter.default is not None and not callable(parameter.default) and not parameter.is_flag:
                assert without_spaces(f"default: {parameter.default}") in flat
    assert "<bool>" not in flat
    assert ("--install-completion" in flat) == (words == ())


def test_a_name_in_brackets_stands_in_the_help(sgpbench: Sgpbench) -> None:
    assert "'clip[fast]'" in sgpbench("metrics", "fetch", "--help").out


def arguments(words: tuple[str, ...], run: str, result: str) -> list[str]:
    """A call of a command that meets hostile names; its own work is done or refused, whichever."""
    return {
        ("run",): ["--model", MODEL, "--task", "shapes", "--limit", "6"],
        ("score",): [run],
        ("status",): [run],
        ("repair",): [run],
        ("show",): [run, "--json"],
        ("export",): [run],
        ("validate",): ["results"],
        ("compare",): [run, run],
        ("leaderboard", "build"): [],
        ("leaderboard", "serve"): ["--out", HOSTILE],
        ("data", "list"): [HOSTILE],
        ("data", "fetch"): [HOSTILE],
        ("data", "verify"): [HOSTILE],
        ("data", "drift"): ["results"],
        ("tasks", "list"): [],
        ("tasks", "show"): [HOSTILE],
        ("models", "list"): [],
        ("models", "show"): [HOSTILE],
        ("metrics", "list"): [],
        ("metrics", "show"): [HOSTILE],
        ("metrics", "fetch"): [HOSTILE],
        ("judge", "check"): ["--judge", MODEL, "--judge-arg", "fails=fatal", "--judge-arg", "sees=true"],
        ("doctor",): [],
    }[words]


@pytest.fixture
def hostile_run(sgpbench: Sgpbench) -> str:
    done = sgpbench("run", "--model", MODEL, "--task", "shapes", "--limit", "6", "--json")
    return str(done.run["path"])


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_no_command_lets_a_name_or_an_answer_drive_the_terminal(
    sgpbench: Sgpbench, hostile_run: str, words: tuple[str, ...]
) -> None:
    sgpbench("export", hostile_run)
    done = sgpbench(*words, *arguments(words, hostile_run, "results"))
    assert DRIVES.findall(done.out + done.err) == []
    assert "Traceback" not in done.err


@pytest.mark.parametrize("words", [["run", "--json"], ["run"], ["run", "--dry-run"], ["show"], ["status"], ["compare"]])
def test_brackets_of_a_name_are_printed(sgpbench: Sgpbench, hostile_run: str, words: list[str]) -> None:
    given = arguments((words[0],), hostile_run, "results")
    if words == ["show"]:
        given = [hostile_run, read_prompt(hostile_run)]
    done = sgpbench(*words, *given)
    assert done.code in (0, 3)
    assert DRIVES.findall(done.out) == []
    kept = "[bold]" if words == ["show"] else "[red]"
    assert kept in done.out.replace("\n", "")
    if "--json" in words:
        assert done.runs[0]["model"] == MODEL


def read_prompt(run: str) -> str:
    from sgpbench.run.samples import all_samples

    return next(sample.prompt_id for sample in all_samples(Path(run)) if sample.program)


def test_three_judges_are_three_columns(capsys: pytest.CaptureFixture[str]) -> None:
    from sgpbench.cli.output import print_documents

    judges = ["judge[gpt-5.4-mini]", "judge[red]", "judge[/]"]
    number = {"mean": 0.5, "ci95": [0.4, 0.6], "n": 3}
    document = {
        "model": "m",
        "task": "comp",
        "protocol": "v1",
        "split": "official",
        "status": "complete",
        "path": "p",
        "prompts": 3,
        "outcomes": {"ok": 3},
        "skipped": {},
        "usage": {},
        "metrics": dict.fromkeys(judges, number),
        "unfinished": {},
    }
    print_documents([document], as_json=False)
    printed = capsys.readouterr().out
    assert all(printed.count(judge) == 1 for judge in judges)
    assert max(map(len, printed.splitlines())) <= 80


def test_an_install_command_keeps_its_extra(sgpbench: Sgpbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from sgpbench.run import checks

    check = checks.Check("Rendering", "cairosvg (paper)", False, "not here.", "pip install 'sgpbench[paper]'")
    monkeypatch.setattr(checks, "check_machine", lambda data_dir: [check])
    assert "'sgpbench[paper]'" in sgpbench("doctor").out


def test_errors_of_a_server_are_text(sgpbench: Sgpbench) -> None:
    words = ["--verbose", "run", "--model", MODEL, "--task", "shapes", "--limit", "2", "--patience", "0"]
    done: Done = sgpbench(*words, "--model-arg", "fails=now-and-then")
    assert "Bad gateway: [red]" in done.out
    assert DRIVES.findall(done.out + done.err) == []


def test_text_keeps_its_lines_and_letters_and_loses_what_drives_a_terminal() -> None:
    assert visible("naïve 日本\n\tline") == "naïve 日本\n\tline"
    assert visible("\x1b[31m\u202e\x9b\ud800") == "\ufffd[31m\ufffd\ufffd\ufffd"
    assert one_line("a\n  b\r\nc") == "a b c"


def test_a_json_document_is_the_same_and_drives_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"text": "\x1b[31m \u202e \x9b é \ud800 \x7f", "brackets": "[red]"}
    say_json(document)
    printed = capsys.readouterr().out
    assert json.loads(printed) == document
    assert DRIVES.findall(printed) == []
    assert "é" in printed
    say("\ud800")
    assert capsys.readouterr().out == "\ufffd\n"


def test_only_one_module_writes_to_the_terminal() -> None:
    writes = {"print", "Console", "Text", "echo", "secho", "escape_markup", "from_markup"}
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.name == "terminal.py" or "_root" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                receiver = ast.unparse(node.func).split(".")[0]
                if name in writes and not (name == "print" and receiver == "out"):
                    found.append(f"{path.name}:{node.lineno}: {name}")
            elif isinstance(node, ast.ImportFrom) and node.module == "rich.markup":
                found.append(f"{path.name}:{node.lineno}: rich.markup")
    assert found == []
