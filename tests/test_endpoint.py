"""Whose model was it? Another endpoint is another run, its result says who served it, and what the answers call themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Done, Sgpbench, caller
from server import Behaviour, serving

from sgpbench.leaderboard.build import build_site
from sgpbench.models.endpoints import endpoint_of, is_other_model
from sgpbench.models.interface import ServedElsewhere
from sgpbench.models.registry import open_model, resolve

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'
KEY = "kq7Vx2m9Tz4Lw8Rb3Nc6"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{provider}_API_KEY", "sk-nobodys")


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


def run(sgpbench: Sgpbench, *words: str, model: str = "gpt-5-mini") -> Done:
    return sgpbench("run", "--model", model, "--task", "shapes", "--limit", "2", "--metrics", "validity", *words)


def said_by(name: str) -> Behaviour:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": SVG}}
    usage = {"prompt_tokens": 9, "completion_tokens": 9}
    return Behaviour(reply=lambda _path, _body: {"model": name, "choices": [choice], "usage": usage})


@pytest.fixture
def servers() -> Iterator[tuple[str, str]]:
    with serving(said_by("gpt-5-mini")) as one, serving(said_by("tiny-llama")) as other:
        yield f"{one.url}/v1", f"{other.url}/v1"


def test_two_servers_are_two_runs_however_they_were_named(
    sgpbench: Sgpbench, servers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = servers
    first = run(sgpbench, "--model-arg", f"base_url={one}", "--model-arg", "api=chat", "--json").run["path"]
    monkeypatch.setenv("OPENAI_BASE_URL", other)
    second = run(sgpbench, "--model-arg", "api=chat", "--json").run["path"]
    assert first != second
    monkeypatch.setenv("OPENAI_BASE_URL", one)
    assert run(sgpbench, "--model-arg", "api=chat", "--json").run["path"] == first
    spec = json.loads((Path(str(second)) / "spec.json").read_text())
    assert spec["identity"]["model_identity"]["endpoint"] == other.removeprefix("http://")


def test_a_result_says_who_served_it_and_what_the_answers_call_themselves(
    sgpbench: Sgpbench, servers: tuple[str, str]
) -> None:
    _, other = servers
    words = ("--model-arg", f"base_url={other}", "--model-arg", "api=chat")
    printed = run(sgpbench, *words)
    assert "another model than was asked for: tiny-llama" in " ".join(printed.out.split())
    done = run(sgpbench, *words, "--samples", "2", "--json").run
    assert done["served_by_others"] == ["tiny-llama"]
    assert sgpbench("export", str(done["path"]), "--out", "results").code == 0
    (file,) = Path("results").rglob("*@v1*.json")
    result = json.loads(file.read_text("utf-8"))
    place = other.removeprefix("http://")
    assert result["identity"]["model_identity"]["endpoint"] == place
    assert "provider" not in result["model_info"]
    assert result["execution"]["served_by_others"] == ["tiny-llama"]
    assert len(result["execution"]["commands"]) == 2
    assert "--samples 2" in result["execution"]["commands"][1]
    build_site(Path("results"), Path("site"))
    (page,) = Path("site/models").glob("*.html")
    text = page.read_text("utf-8")
    assert "Served by" in text
    assert place in text
    assert "tiny-llama" in text
    assert text.count("sgpbench run --model gpt-5-mini") == 2


@pytest.mark.parametrize(
    ("model", "arguments", "endpoint"),
    [
        ("gpt-5-mini", {}, None),
        ("openai/x", {"base_url": "https://api.openai.com/v1"}, None),
        ("openai/x", {"base_url": "https://gateway.example/v1/"}, "gateway.example/v1"),
        ("openai/x", {"base_url": "http://b:1/v1,http://a:1/v1"}, "a:1/v1, b:1/v1"),
        ("anthropic/x", {"base_url": "https://gateway.example/"}, "gateway.example"),
        ("google/x", {"base_url": "https://gateway.example/google"}, "gateway.example/google"),
        ("vllm/x", {"base_url": "http://gpu1:8000/v1"}, "gpu1:8000/v1"),
    ],
)
def test_only_another_endpoint_than_the_providers_is_part_of_the_identity(
    model: str, arguments: dict[str, str], endpoint: str | None
) -> None:
    opened = open_model(resolve(model, arguments))
    assert isinstance(opened, ServedElsewhere)
    assert opened.other_endpoint == endpoint
    assert "endpoint" not in opened.identity, "a judge is the same one wherever it is asked"


def test_the_address_that_the_catalog_states_is_the_providers_own() -> None:
    assert endpoint_of("deepseek-v4-flash", ["https://api.deepseek.com"], "api.openai.com") is None
    assert endpoint_of("openai/deepseek", ["https://api.deepseek.com"], "api.openai.com") == "api.deepseek.com"


def test_a_key_in_a_path_is_not_told_and_tells_places_apart() -> None:
    places = [endpoint_of("openai/x", [f"https://gate.example/{key}/v1?key={key}"]) for key in (KEY, KEY[::-1])]
    assert places[0] != places[1]
    assert all(KEY not in str(place) and KEY[::-1] not in str(place) for place in places)
    assert all(str(place).startswith("gate.example/***/v1 (hash:") for place in places)


@pytest.mark.parametrize(
    ("served", "asked", "other"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o", False),
        ("gpt-4o", "openai/gpt-4o", False),
        ("models/gemini-2.5-flash-preview-05-20", "gemini-2.5-flash", False),
        ("claude-opus-4-20250514", "claude-opus-4-latest", True),
        ("claude-opus-4", "claude-opus-4-latest", False),
        ("gpt-4o-mini", "gpt-4o", True),
        ("gpt-4", "gpt-4o", True),
        ("gpt-4.1", "gpt-4", False),
        ("llama", "gpt-4o", True),
    ],
)
def test_a_name_with_a_date_is_the_same_model_and_another_word_is_not(served: str, asked: str, other: bool) -> None:
    assert is_other_model(served, [asked]) is other
