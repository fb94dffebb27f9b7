"""Advice leads somewhere: every command and flag that a message names exists, and the remedies do what they say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Sgpbench, caller
from test_printing import COMMANDS
from typer.core import TyperGroup

from sgpbench.errors import UsageError
from sgpbench.models.registry import BUILT_IN, adapter_arguments, open_model, resolve

PACKAGE = Path(__file__).resolve().parents[1] / "sgpbench"
GROUPS = {words for words, command in COMMANDS.items() if isinstance(command, TyperGroup)}


def flags_of(words: tuple[str, ...]) -> set[str]:
    return {flag for parameter in COMMANDS[words].params for flag in (*parameter.opts, *parameter.secondary_opts)}


FLAGS = {flag for words in COMMANDS for flag in flags_of(words)} | {"--help"}


def text_of(node: ast.AST) -> str | None:
    """A literal, with every value in it as ``VALUE``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values)  # type: ignore[misc]
    return None


def messages() -> Iterator[tuple[str, str]]:
    """(place, text) of everything the package says to people: docstrings are not among it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "_root" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        quiet = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        quiet |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = text_of(node)
            if text is not None and id(node) not in quiet:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text  # type: ignore[attr-defined]


MESSAGES = list(messages())
NAMED = [
    (place, found[0])
    for place, text in MESSAGES
    for found in re.finditer(r"(?:(?<=`)|(?<=: )|^)sgpbench [a-z][^`(]*", text)
]


def test_there_are_messages_to_follow() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("place", "command"), NAMED, ids=lambda value: value)
def test_every_command_that_a_message_names_exists(place: str, command: str) -> None:
    given = command.removeprefix("sgpbench ").split()
    words: tuple[str, ...] = ()
    while words in GROUPS and given and re.fullmatch(r"[a-z]+", given[0]):
        words = (*words, given.pop(0))
        assert words in COMMANDS, f"{place}: {command}"
    used = {word.partition("=")[0] for word in given if word.startswith("--")}
    assert used <= flags_of(words) | {"--help"}, f"{place}: {command}"


def test_every_flag_that_a_message_names_exists() -> None:
    """In sentences only: words alone are for the command lines of others, such as vLLM's."""
    sentences = [(place, text) for place, text in MESSAGES if re.search(r"[a-z] .*[.;,:`]|[A-Z]\w+ ", text)]
    unknown = {
        f"{place}: {flag}"
        for place, text in sentences
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        if flag not in FLAGS
    }
    assert unknown == set()


def test_every_extra_that_a_message_names_exists() -> None:
    import tomllib

    extras = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {extra for _, text in MESSAGES for extra in re.findall(r"sgpbench\[(\w+)\]", text)}
    assert named
    assert named <= extras.keys()


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("adapter", BUILT_IN)
def test_a_model_that_the_catalog_does_not_know_is_shown_with_its_arguments(sgpbench: Sgpbench, adapter: str) -> None:
    done = sgpbench("models", "show", f"{adapter}/anything")
    assert done.code == 0
    declared = adapter_arguments(f"{adapter}/anything")
    assert declared is not None
    assert all(f"  {name}" in done.out for name in (*declared, "temperature", "sees", "price_input"))


def test_a_misspelt_argument_gets_the_nearest_and_the_listing_works(sgpbench: Sgpbench) -> None:
    words = ["run", "--task", "shapes", "--model", "openai/gpt-x", "--model-arg"]
    for misspelt, right in (("temprature=1", "temperature"), ("max_token=9", "max_tokens"), ("base-url=x", "base_url")):
        done = sgpbench(*words, misspelt)
        assert done.code == 2
        assert f"Did you mean {right}" in done.err
        listing = re.search(r"`sgpbench (models show [^`]+)`", done.err)
        assert listing
        assert sgpbench(*listing[1].split()).code == 0


def test_a_system_prompt_is_shown_its_place(sgpbench: Sgpbench, tmp_path: Path) -> None:
    done = sgpbench(
        *("run", "--model", "openai/gpt-x", "--task", "shapes", "--model-arg"), "system_prompt=You draw well."
    )
    assert done.code == 2
    assert "protocol file" in done.err
    copied = re.search(r"Copy (\S+\.toml)", done.err)
    assert copied
    rules = Path(copied[1]).read_text("utf-8").replace('name = "v1"', 'name = "mine"', 1)
    own = re.sub(r"(\[generation\.(?:default|tasks\.shapes)\]\n)", r'\1system = """You draw well."""\n', rules)
    (tmp_path / "mine.toml").write_text(own)
    words = ["run", "--model", "baseline/blank", "--task", "shapes", "--limit", "1", "--protocol", "mine.toml"]
    assert sgpbench(*words).code == 0


def test_another_server_is_told_how_to_be_asked(sgpbench: Sgpbench) -> None:
    done = sgpbench("run", "--model", "ollama/llama3", "--task", "shapes")
    assert done.code == 2
    assert "--model openai/llama3 --model-arg base_url=http" in done.err
    open_model(resolve("openai/llama3", {"base_url": "http://127.0.0.1:11434/v1"}))


def test_a_judge_that_the_catalog_does_not_know_is_told_how_to_say_that_it_sees(sgpbench: Sgpbench) -> None:
    words = ["judge", "check", "--judge", "openai/my-judge"]
    done = sgpbench(*words)
    assert "--judge-arg sees=true" in done.err
    assert resolve("openai/my-judge", {"sees": "true"}).sees


def test_a_reward_names_a_fetch_command_that_works(
    sgpbench: Sgpbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sgpbench.errors import MetricUnavailable
    from sgpbench.metrics import weights
    from sgpbench.metrics.availability import needed_weights

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "missing_packages", lambda families: [])
    monkeypatch.setattr(weights, "find_weights", lambda source: f"{source.name} is not here")
    with pytest.raises(MetricUnavailable) as raised:
        weights.require("A reward", ["siglip-base-patch16-384"], tmp_path, fetch="siglip-base-patch16-384")
    command = re.search(r"sgpbench metrics fetch ([\w.-]+)", str(raised.value))
    assert command
    assert needed_weights(command[1]) == ("siglip-base-patch16-384",)


def test_a_port_in_use_says_which_flag_helps(tmp_path: Path) -> None:
    from sgpbench.leaderboard.output import MARKER
    from sgpbench.leaderboard.serve import make_server

    (tmp_path / MARKER).write_text("")
    with make_server(tmp_path, 0) as server, pytest.raises(UsageError, match="--port"):
        make_server(tmp_path, server.server_address[1])


def test_a_wrong_command_gets_the_nearest(sgpbench: Sgpbench) -> None:
    assert "Did you mean run" in sgpbench("ruun").err
    assert "Did you mean list" in sgpbench("models", "lst").err
