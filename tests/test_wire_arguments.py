"""Keys in arguments and addresses are refused or left out of everything that is kept, printed or sent elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_support import caller
from raw_server import encoded, http, raw_serving

from sgpbench.cli.arguments import command_line
from sgpbench.models.registry import open_model, resolve
from sgpbench.publishable import publishable_command, shown_address

KEY = "sk-canary-7f3a91c2d4e5b6a7"
PLAIN = "canaryofnoknownform7f3a91c2"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'
OWN = "header.Authorization=env:GATEWAY"

GIVEN = {
    "a name without a value": [KEY],
    "in the path of the address": [f"base_url=URL/{PLAIN}/v1"],
    "in the query of the address": [f"base_url=URL/v1?key={KEY}"],
    "in the fragment of the address": [f"base_url=URL/v1#{PLAIN}"],
    "before the host": [f"base_url=http://user:{PLAIN}@127.0.0.1:9/v1"],
    "in an ftp address": [f"base_url=ftp://user:{PLAIN}@127.0.0.1/{PLAIN}"],
    "no address at all": [f"base_url={PLAIN}"],
    "as the name of a variable": ["base_url=URL/v1", f"api_key_env={KEY}"],
    "as a variable of a header": ["base_url=URL/v1", f"header.x=env:{PLAIN}"],
    "a subscription key": ["base_url=URL/v1", f"header.Ocp-Apim-Subscription-Key={PLAIN}"],
    "an unknown header": ["base_url=URL/v1", f"header.x-unknown={PLAIN}"],
    "a signature": ["base_url=URL/v1", f"query.sig={PLAIN}"],
    "an unknown parameter": ["base_url=URL/v1", f"query.unknown={PLAIN}"],
    "nested in the body": ["base_url=URL/v1", 'body.extra={"a": [{"api_key": "' + PLAIN + '"}]}'],
    "a text in the body": ["base_url=URL/v1", f"body.note=Bearer {PLAIN}"],
    "a number that is none": ["base_url=URL/v1", f"temperature={KEY}"],
}


@pytest.mark.parametrize("flag", ["--model-arg", "--judge-arg"])
@pytest.mark.parametrize("name", GIVEN)
def test_a_key_in_an_argument_is_not_in_the_record_of_the_command(
    name: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [word for argument in GIVEN[name] for word in (flag, argument)]
    joined = [f"{flag}={argument}" for argument in GIVEN[name]]
    for given in (words, joined):
        monkeypatch.setattr(sys, "argv", ["sgpbench", "run", "--model", "openai/m", *given])
        shown = command_line()
        assert shown.startswith("sgpbench run --model openai/m")
        assert KEY not in shown
        assert PLAIN not in shown


@pytest.mark.parametrize("name", GIVEN)
def test_a_key_in_an_argument_is_neither_printed_nor_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    sgpbench = caller(monkeypatch, capsys)
    with raw_serving(lambda _: http(encoded("openai", SVG))) as server:
        given = [word.replace("URL", server.url) for argument in GIVEN[name] for word in ("--model-arg", argument)]
        asked = ("run", "--model", "openai/m", "--task", "shapes", "--limit", "1", "--stages", "generate")
        done = sgpbench("--verbose", *asked, *given)
    assert done.code in {1, 2, 3}  # 3: asked, and not yet drawn.
    assert bool(server.requests) == (done.code == 3)
    for text in (done.out, done.err, *(path.name for path in tmp_path.rglob("*"))):
        assert KEY not in text
        assert PLAIN not in text
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes(), path
        assert PLAIN.encode() not in path.read_bytes(), path


def test_harmless_arguments_are_published_as_they_are() -> None:
    words = [
        "run",
        "--model",
        "openai/gpt-4o",
        "--task=comp",
        "--model-arg",
        "base_url=https://api.example.org/openai/v1",
    ]
    more = [
        "--model-arg=temperature=0.2",
        "--model-arg",
        "header.x-api-key=env:MY_KEY",
        "--limit",
        "5",
        "--runs-dir",
        "x",
    ]
    assert publishable_command([*words, *more]) == (
        "sgpbench run --model openai/gpt-4o --task=comp --model-arg base_url=https://api.example.org/openai/v1 "
        "--model-arg temperature=0.2 --model-arg header.x-api-key=env:MY_KEY --limit 5"
    )


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://api.example.org/v1beta", "https://api.example.org/v1beta"),
        ("http://127.0.0.1:8000/v1,http://127.0.0.1:8001/v1", "http://127.0.0.1:8000/v1,http://127.0.0.1:8001/v1"),
        ("https://u:p@example.org:8443/a1b2c3/v1?x=1#y", "https://example.org:8443/***/v1"),
        ("https://a1b2c3d4e5f6a7b8c9d0.example.org", "https://***.example.org"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
        ("http://[broken", "***"),
        ("words", "***"),
    ],
)
def test_of_an_address_only_what_is_surely_no_key_is_shown(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_arguments_that_differ_make_different_runs_though_their_values_are_not_told() -> None:
    def identity(value: str) -> str:
        given = {"base_url": "http://127.0.0.1:9", "header.x-team": value, "query.route": value}
        return json.dumps(open_model(resolve("openai/m", given)).identity)

    assert identity("a") != identity("b")
    assert "red-team" not in identity("red-team")
