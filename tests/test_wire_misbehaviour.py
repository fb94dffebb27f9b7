"""Whatever a model server sends: an answer that can be read is one, all else is ours and asked again; memory stays small."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_support import BINDING
from raw_server import chat, encoded, http, raw_serving

from sgpbench.errors import StoreError, TransientError
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency, ModelSpec, Price
from sgpbench.models.limiter import Limiter
from sgpbench.models.money import Ledger, upper_bound_usd
from sgpbench.models.registry import open_model, resolve
from sgpbench.models.reply_limits import MOST_REPLY_BYTES
from sgpbench.models.usage import MOST_TOKENS, believed
from sgpbench.protocol import load_protocol
from sgpbench.records import Completion, FinishReason, Message, Outcome, Request, Sampling, TextPart, Usage
from sgpbench.run.generate import Asking, Generator, Todo
from sgpbench.run.store import RunStore, RunView

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'
ADAPTERS = ["openai", "anthropic", "google"]
MIB = 1 << 20
REQUEST = Request(Sampling(max_tokens=100), messages=(Message("user", (TextPart("x"),)),))

Kind = Callable[[str], Iterable[bytes]]


def endless(head: str, part: bytes, most: int = 1 << 40) -> Iterator[bytes]:
    """An answer that goes on until nobody listens."""
    yield head.encode()
    for _ in range(most // len(part)):
        yield part


def chunked(part: bytes, most: int = 1 << 40) -> Iterator[bytes]:
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    return endless(head, f"{len(part):x}\r\n".encode() + part + b"\r\n", most)


@functools.cache
def bomb(size: int) -> list[bytes]:
    """So many bytes of an answer's text, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"a" * MIB) for _ in range(size // MIB)]
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n"
    return [head, *parts, packer.flush()]


def usage(adapter: str, **counts: object) -> dict[str, object]:
    names = {
        "openai": ("prompt_tokens", "completion_tokens"),
        "anthropic": ("input_tokens", "output_tokens"),
        "google": ("promptTokenCount", "candidatesTokenCount"),
    }[adapter]
    return dict(zip(names, counts.values(), strict=True))


def nulls(adapter: str) -> str:
    return json.dumps(dict.fromkeys(chat(adapter)))


def wrong_types(adapter: str) -> str:
    return json.dumps(dict.fromkeys(chat(adapter), 7))


FAULTS: Mapping[str, Kind] = {
    "a gigabyte": lambda _: endless("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", b"a" * MIB, 1 << 30),
    "a gzip bomb": lambda _: bomb(64 * MIB),
    "a bomb in an error": lambda _: [b"HTTP/1.1 500 X\r\ncontent-encoding: gzip\r\n\r\n", *bomb(16 * MIB)[1:]],
    "endless chunks": lambda _: chunked(b"a" * MIB),
    "an endless error": lambda _: endless("HTTP/1.1 503 X\r\n\r\n", b"<h1>down</h1>" * 4096),
    "endless headers": lambda _: endless("HTTP/1.1 200 OK\r\n", b"x-more: " + b"y" * 1000 + b"\r\n"),
    "bytes that are no HTTP": lambda _: [b"\x00\xff\xfe" * 1000],
    "invalid UTF-8": lambda a: http(encoded(a, "A").encode().replace(b'"A"', b'"\xff\xfe"')),
    "truncated JSON": lambda a: http(encoded(a, SVG)[:-20]),
    "a body cut early": lambda a: http(encoded(a, SVG)[:-20], length=len(encoded(a, SVG))),
    "an early close": lambda _: [],
    "wrong types": lambda a: http(wrong_types(a)),
    "null fields": lambda a: http(nulls(a)),
    "a list": lambda _: http("[1, 2, 3]"),
    "a number": lambda _: http("1e999"),
    "deep nesting": lambda _: http("[" * 100_000 + "]" * 100_000),
    "deep nesting in an error": lambda _: http("[" * 20_000 + "]" * 20_000, "500 X"),
    "a page with 200": lambda _: http("<html>hello</html>", "200 OK", "content-type: text/html"),
    "an empty body": lambda _: http(""),
    "no content": lambda _: http("", "204 X"),
    "an unknown status": lambda _: http("{}", "599 X"),
    "an unpacked body that says gzip": lambda a: http(encoded(a, SVG), "200 OK", "content-encoding: gzip"),
    "an unknown packing": lambda a: http(encoded(a, SVG), "200 OK", "content-encoding: br"),
    "an error that is no JSON object": lambda _: http('"no"', "500 X"),
    "an error in bytes": lambda _: http(b"\xff\xfe\x00", "502 X"),
}
"""What is no answer: an error of ours, asked again."""

ANSWERS: Mapping[str, Kind] = {
    "tokens beyond 64 bits": lambda a: http(encoded(a, SVG, usage=usage(a, i=2**64 - 1, o=2**64 - 1))),
    "negative tokens": lambda a: http(encoded(a, SVG, usage=usage(a, i=-40_000_000, o=-40_000_000))),
    "tokens in words": lambda a: http(encoded(a, SVG, usage=usage(a, i="many", o=[1]))),
    "a usage that is none": lambda a: http(encoded(a, SVG, usage="lots")),
    "a name that is none": lambda a: http(encoded(a, SVG, model=[1, {"a": 2}])),
    "lone surrogates": lambda a: http(encoded(a, SVG + "\ud83d \udc00", model="m\ud800")),
    "duplicate keys": lambda a: http('{"model": "other", ' + encoded(a, SVG)[1:]),
    "a wrong content type": lambda a: http(encoded(a, SVG), "200 OK", "content-type: image/png; charset=zlib"),
    "a packed answer": lambda a: http(gzip.compress(encoded(a, SVG).encode()), "200 OK", "content-encoding: gzip"),
    "a dribble": lambda a: (part[i : i + 7] for part in http(encoded(a, SVG)) for i in range(0, len(part), 7)),
}
"""What is an answer all the same: kept, once."""


def asked(adapter: str, url: str, folder: Path, budget: float | None = None) -> tuple[RunView, Ledger]:
    """One prompt put to a server, all of it stored."""
    ledger = Ledger(budget)

    async def asking() -> None:
        store = RunStore(folder)
        prices = {"price_input": "1", "price_output": "2"}
        spec = resolve(f"{adapter}/m", {"base_url": url, "api_key_env": "CANARY_KEY", "timeout": "20", **prices})
        caller = Caller(open_model(spec), Limiter(Concurrency(1, 1)), ledger=ledger, patience_s=0.02, backoff_s=0.01)
        rule = load_protocol("v1").generation.rule("comp")
        generator = Generator(
            *(store, caller, Asking(rule, "Draw {caption}", None, 0)),
            completed=lambda _completion, _outcome, _final: None,
            failed=lambda _prompt, _failure: None,
        )
        await generator.run(iter([Todo(BINDING, (0,))]))
        await caller.aclose()
        store.close()

    asyncio.run(asking())
    return RunView(folder), ledger


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "sk-canary-7f3a91c2d4e5b6a7")


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_no_answer_is_an_error_of_ours_and_asked_again(kind: str, adapter: str, tmp_path: Path) -> None:
    with raw_serving(lambda _: FAULTS[kind](adapter)) as server:
        view, _ = asked(adapter, server.url, tmp_path)
    (failure,) = view.failures()
    assert failure["outcome"] == Outcome.API_ERROR
    assert not view.answered()
    assert len(server.requests) >= 2
    assert len(failure["message"]) < 1000
    view.close()


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_with_nonsense_beside_it_is_kept_and_asked_for_once(kind: str, adapter: str, tmp_path: Path) -> None:
    with raw_serving(lambda _: ANSWERS[kind](adapter)) as server:
        view, ledger = asked(adapter, server.url, tmp_path, budget=5.0)
    assert view.answered() == {(BINDING.id, 0)}
    assert not view.failures()
    assert len(server.requests) == 1
    assert 0 <= ledger.spent_usd <= 5.0
    used = view.usage()
    assert used["cost_usd"] is None or 0 <= used["cost_usd"] < 1
    view.close()


def test_a_cost_that_is_not_known_is_charged_at_its_most_and_remembered_for_later_starts() -> None:
    spec = resolve("openai/m", {"base_url": "http://127.0.0.1:9", "price_input": "1", "price_output": "2"})
    remembered: list[float] = []

    class Liar:
        """Says that it has read fewer tokens than none."""

        def __init__(self, given: ModelSpec) -> None:
            inner = open_model(given)
            self.name, self.price, self.max_n, self.endpoint = inner.name, inner.price, 1, inner.endpoint

        async def generate(self, _: Request) -> list[Completion]:
            return [Completion("x", FinishReason.STOP, Usage(-(10**7), -(10**7)))]

    async def asking() -> Ledger:
        ledger = Ledger(1.0)
        caller = Caller(Liar(spec), Limiter(Concurrency(1, 1)), ledger=ledger, on_lost=remembered.append)
        await caller.ask(REQUEST)
        return ledger

    ledger = asyncio.run(asking())
    most = upper_bound_usd(REQUEST, Price(1, 2), 100)
    assert ledger.spent_usd == pytest.approx(most)
    assert remembered == [pytest.approx(most)]


counts = st.none() | st.integers()


@given(counts, counts, counts, counts)
def test_a_believed_count_is_one_that_can_be_true(whole: int, output: int, cached: int, reasoning: int) -> None:
    given_usage = Usage(whole, output, cached, reasoning)
    usage = believed(given_usage)
    for name in Usage.__slots__:
        count = getattr(usage, name)
        assert count is None or 0 <= count <= MOST_TOKENS
        assert count in {None, getattr(given_usage, name)}
    assert believed(usage) == usage
    if usage.cached_tokens is not None and usage.input_tokens is not None:
        assert usage.cached_tokens <= usage.input_tokens


def test_a_row_that_cannot_be_stored_takes_no_other_with_it(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    held = store.database.write(lambda db: db.execute("SELECT 1").fetchone())
    rows = [Usage(5, 5), Usage(2**64, 5), Usage(6, 6)]
    stored = [
        store.add_completion(
            *("p", sample, 0, Completion(SVG, FinishReason.STOP, usage)),
            request_hash="h",
            seed=0,
            outcome=Outcome.OK,
            program=SVG,
            final=True,
        )
        for sample, usage in enumerate(rows)
    ]
    held.result()
    stored[0].result()
    with pytest.raises(StoreError):
        stored[1].result()
    stored[2].result()
    store.close()
    view = RunView(tmp_path)
    assert view.answered() == {("p", 0), ("p", 2)}
    view.close()


def test_an_answer_at_the_limit_is_taken_and_one_beyond_it_says_what_helps() -> None:
    room = MOST_REPLY_BYTES - len(encoded("openai"))

    async def ask(url: str) -> str:
        spec = resolve("openai/m", {"base_url": url})
        caller = Caller(open_model(spec), Limiter(Concurrency(1, 1)), patience_s=0.0)
        try:
            return (await caller.ask(REQUEST))[0].text
        finally:
            await caller.aclose()

    with raw_serving(lambda _: http(encoded("openai", "a" * room))) as server:
        assert len(asyncio.run(ask(server.url))) == room
    with (
        raw_serving(lambda _: http(encoded("openai", "a" * (room + 1)))) as server,
        pytest.raises(TransientError, match=r"larger than 8 MiB.*n=1") as caught,
    ):
        asyncio.run(ask(server.url))
    assert caught.value.maybe_billed


_MEASURED = """
import asyncio, re, sys
from pathlib import Path
from sgpbench.errors import ModelError
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency
from sgpbench.models.limiter import Limiter
from sgpbench.models.registry import open_model, resolve
from sgpbench.records import Message, Request, Sampling, TextPart

async def main(adapter, url):
    spec = resolve(adapter + "/m", {"base_url": url})
    caller = Caller(open_model(spec), Limiter(Concurrency(32, 32)), patience_s=0.0, timeout_s=300.0)
    request = Request(Sampling(), messages=(Message("user", (TextPart("x"),)),))
    async def ask():
        try:
            return len(await caller.ask(request))
        except ModelError:
            return 0
    answered = sum(await asyncio.gather(*(ask() for _ in range(32))))
    await caller.aclose()
    print(32 - answered, answered)

asyncio.run(main(*sys.argv[1:]))
# Not getrusage: it counts the process before exec too, which is the server's.
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""
LARGE: Mapping[str, Kind] = {
    **{name: FAULTS[name] for name in ("a gigabyte", "endless chunks", "an endless error", "endless headers")},
    "a gzip bomb of 2 GB": lambda _: bomb(2048 * MIB),
    "a bomb of bombs": lambda _: [
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\n\r\n",
        *bomb(64 * MIB)[1:],
    ],
    "choices without end": lambda a: http('{"choices": [' + "{}," * (5 * MIB // 2) + "{}]}"),
    "a usage without end": lambda a: http(encoded(a, SVG)[:-1] + ', "usage": [' + "{}," * (5 * MIB // 2) + "{}]}"),
    "text up to the limit": lambda a: http(encoded(a, "a" * (7 * MIB))),
}
WHOLE = frozenset({"choices without end", "a usage without end", "text up to the limit"})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("kind", LARGE)
def test_thirty_two_large_answers_at_once_take_less_than_500_mb(kind: str, adapter: str) -> None:
    answer = list(LARGE[kind](adapter)) if kind in WHOLE else None  # Made once: the server is in this process.
    with raw_serving(lambda _: answer or LARGE[kind](adapter)) as server:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, adapter, server.url],
            capture_output=True,
            text=True,
            check=True,
            env={"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "GOOGLE_API_KEY": "none", "PATH": ""},
        )
    failed, answered, peak_mb = map(int, done.stdout.split())
    print(kind, adapter, peak_mb, "MB")
    assert failed + answered == 32
    assert (answered == 32) == (kind in {"text up to the limit", "a usage without end"})
    assert peak_mb < 500
