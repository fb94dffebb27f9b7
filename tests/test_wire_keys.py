"""A key that a server sends back, in whatever field and encoding, is neither stored, logged, printed nor published."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from cli_support import caller
from judge_support import BINDING, drawing
from raw_server import RawServer, encoded, http, raw_serving

from sgpbench.errors import ModelUnavailable, SgpbenchError
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.judge import open_judge
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency
from sgpbench.models.limiter import Limiter
from sgpbench.models.registry import open_model, resolve
from sgpbench.protocol import load_protocol
from sgpbench.records import Failure, Score
from sgpbench.redaction import Secrets
from sgpbench.run.generate import Asking, Generator, Todo
from sgpbench.run.log import RunLog
from sgpbench.run.pipeline import StoredReplies
from sgpbench.run.store import RunStore

KEY = "sk-canary-7f3a91c2/d4e5+b6a7"
HEADER = "gateway canary 55e1 of nobody"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'
BASE64 = base64.b64encode(KEY.encode()).decode()
PAIR = base64.b64encode(f"user:{KEY}\n".encode()).decode()
PERCENT = "".join(f"%{byte:02X}" for byte in KEY.encode())
FORMS = [KEY, HEADER, BASE64.rstrip("=")[:-1], PAIR[8:36], quote(KEY, safe=""), PERCENT, KEY.encode().hex()]
FORMS += [json.dumps(form)[1:-1] for form in FORMS]

Place = Callable[[str], Iterable[bytes]]
PLACES: Mapping[str, Place] = {
    "an error in a 200": lambda a: http(json.dumps({"error": {"message": f"bad key {KEY}", "code": 502}})),
    "a refusal": lambda a: http(encoded(a, refusal=f"I refuse {KEY} and {HEADER}")),
    "a completion": lambda a: http(encoded(a, f"{SVG}<!-- {KEY} {HEADER} -->")),
    "the program": lambda a: http(encoded(a, SVG.replace("red", KEY))),
    "the model's name": lambda a: http(encoded(a, SVG, model=f"m-{KEY}-{HEADER}")),
    "the reason phrase": lambda a: http("{}", f"500 {KEY}"),
    "the reason phrase of a 200": lambda a: http(encoded(a, SVG), f"200 {KEY}"),
    "an error": lambda a: http(json.dumps({"error": {"message": f"wrong: {KEY} {HEADER}"}}), "401 X"),
    "an error's code": lambda a: http(json.dumps({"error": {"code": KEY, "type": KEY, "status": KEY}}), "429 X"),
    "an error that is a page": lambda a: http(f"<h1>{KEY} {HEADER}</h1>", "502 X", "content-type: text/html"),
    "headers": lambda a: http(encoded(a, SVG), "200 OK", f"x-request-id: {KEY}", f"retry-after: {KEY}"),
    "base64": lambda a: http(encoded(a, f"{SVG} {BASE64} {PAIR}", model=BASE64)),
    "percent": lambda a: http(encoded(a, f"{SVG} {PERCENT} {quote(KEY, safe='')}", refusal=None)),
    "hex": lambda a: http(json.dumps({"error": {"message": f"{KEY.encode().hex()} {BASE64}"}}), "500 X"),
    "a finish reason": lambda a: http(encoded(a, SVG, finish=KEY, usage={KEY: KEY})),
}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("GATEWAY", HEADER)


def arguments(url: str) -> dict[str, str]:
    return {"base_url": url, "api_key_env": "CANARY_KEY", "header.x-gateway": "env:GATEWAY"}


def opened(adapter: str, url: str, log: RunLog) -> Caller:
    model = open_model(resolve(f"{adapter}/m", {**arguments(url), "sees": "true"}))
    limiter = Limiter(Concurrency(1, 1))
    return Caller(model, limiter, patience_s=0.02, backoff_s=0.01, on_event=log.call)


def leaks(folder: Path, *texts: str) -> list[str]:
    """Where the key stands, in whatever form, in files below ``folder`` and in the texts."""
    found = [
        f"{path.name}: {form}"
        for path in folder.rglob("*")
        if path.is_file()
        for form in FORMS
        if form.encode() in path.read_bytes()
    ]
    return found + [f"{form} in {text[:2000]}" for text in texts for form in FORMS if form in text]


@pytest.fixture
def place() -> Iterator[Callable[[str, str], RawServer]]:
    with ExitStack() as stack:
        yield lambda name, adapter: stack.enter_context(raw_serving(lambda _: PLACES[name](adapter)))


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("adapter", ["openai", "anthropic", "google"])
def test_a_key_sent_back_reaches_no_sink(
    name: str,
    adapter: str,
    place: Callable[[str, str], RawServer],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    server = place(name, adapter)
    told: list[str] = []

    async def asking() -> None:
        store = RunStore(tmp_path)
        rule = load_protocol("v1").generation.rule("comp")
        with RunLog(tmp_path) as log:
            caller = opened(adapter, server.url, log)
            generator = Generator(
                *(store, caller, Asking(rule, "Draw {caption}", None, 0)),
                completed=lambda completion, _outcome, _final: told.append(repr(completion)),
                failed=lambda _, failure: told.append(repr(failure)),
            )
            try:
                await generator.run(iter([Todo(BINDING, (0,))]))
            except ModelUnavailable as error:
                told.append(f"{error} {error.__cause__!r} {error.__context__!r}")
            await caller.aclose()
        store.close()

    asyncio.run(asking())
    out, err = capsys.readouterr()
    assert KEY in server.requests[0]
    assert told
    assert not leaks(tmp_path, *told, out, err, caplog.text)


@pytest.mark.parametrize("name", PLACES)
def test_a_key_sent_back_by_a_judge_reaches_no_sink(
    name: str,
    place: Callable[[str, str], RawServer],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    server = place(name, "openai")
    told: list[str] = []

    async def judging() -> None:
        store = RunStore(tmp_path)
        replies = StoredReplies(store, "openai/m")
        with RunLog(tmp_path) as log:
            caller = opened("openai", server.url, log)
            context = MetricContext(
                argument=None,
                protocol=load_protocol("v1"),
                cache_dir=tmp_path,
                judge="openai/m",
                open_caller=lambda _: caller,
                replies=replies,
            )
            judge = open_judge(context)
            try:
                (score,) = await judge.score([drawing(BINDING, tmp_path)])
            except SgpbenchError as error:
                told.append(str(error))
            else:
                told.append(repr(score))
                if isinstance(score, Score):
                    store.add_scores("m", [(BINDING.id, 0, "red", score)]).result()
                elif isinstance(score, Failure):
                    store.add_failure("score", "m", BINDING.id, 0, score).result()
            await caller.aclose()
        replies.close()
        store.close()

    asyncio.run(judging())
    out, err = capsys.readouterr()
    assert KEY in server.requests[0]
    assert told
    assert not leaks(tmp_path, *told, out, err, caplog.text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a completion", "the model's name", "a refusal", "the program"])
def test_a_published_result_and_all_that_is_printed_hold_no_key(
    name: str,
    place: Callable[[str, str], RawServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path / "cache"))
    sgpbench = caller(monkeypatch, capsys)
    server = place(name, "openai")
    given = [word for pair in arguments(server.url).items() for word in ("--model-arg", "=".join(pair))]
    asked = ("run", "--model", "openai/m", "--task", "shapes", "--limit", "2", "--metrics", "validity", "--json")
    run = sgpbench("--verbose", *asked, *given)
    exported = sgpbench("export", run.run["path"], "--out", "out")
    assert (run.code, exported.code) == (0, 0)
    assert not leaks(tmp_path, run.out, run.err, exported.out, exported.err)


def test_words_of_an_answer_are_no_key() -> None:
    """Users of servers without a key set it to such words; a drawing must not change for that."""
    secrets = Secrets(["none", "EMPTY", "transparent", KEY])
    assert secrets.scrub_answer(f'<rect fill="none" stroke="transparent" id="{KEY}"/>') == (
        '<rect fill="none" stroke="transparent" id="[secret]"/>'
    )


def test_the_key_within_an_authorization_header_is_a_secret_too() -> None:
    pair = base64.b64encode(b"user:hunter2hunter2").decode()
    secrets = Secrets(["Bearer abcdefgh12345678", f"Basic {pair}"])
    assert secrets.scrub("abcdefgh12345678 hunter2hunter2") == "[secret] [secret]"


def test_what_a_server_says_commands_no_terminal(place: Callable[[str, str], RawServer], tmp_path: Path) -> None:
    words = "\x1b[2J\x1b]0;owned\x07 red \u202e der"
    with (
        raw_serving(lambda _: http(json.dumps({"error": {"message": words}}), "401 X")) as server,
        RunLog(tmp_path) as log,
    ):

        async def asking() -> str:
            caller = opened("openai", server.url, log)
            rule = load_protocol("v1").generation.rule("comp")
            request = Asking(rule, "Draw {caption}", None, 0).request(caller.model, BINDING, (0,), 0)
            with pytest.raises(ModelUnavailable) as caught:
                await caller.ask(request)
            await caller.aclose()
            return str(caught.value)

        said = asyncio.run(asking())
    assert "red" in said
    assert not set("\x1b\x07\u202e") & set(said)
