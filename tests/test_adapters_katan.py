"""Every adapter, through the caller, against llm-katan: a server nobody here wrote that speaks all three wire formats.

It fails three requests in ten, or all after so many; it overlooks ``n``, so that samples are asked for one by one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from extras import how_to_get

from sgpbench.errors import ModelUnavailable, TransientError
from sgpbench.models.anthropic_adapter import open_anthropic
from sgpbench.models.calls import Caller, CallStats
from sgpbench.models.google_adapter import open_google
from sgpbench.models.interface import Adapter, Concurrency, ModelSpec
from sgpbench.models.limiter import Limiter
from sgpbench.models.openai_adapter import open_openai
from sgpbench.records import Completion, FinishReason, Message, Request, Sampling, TextPart

pytest.importorskip("llm_katan", reason=how_to_get("dev"))
pytestmark = pytest.mark.slow

KEY = "canary-key-of-the-tests"
PROMPTS, SAMPLES = 30, 3

OPENERS: Mapping[str, tuple[Adapter, str, Mapping[str, str]]] = {
    "openai": (open_openai, "/v1", {}),
    "anthropic": (open_anthropic, "", {"header.x-api-key": "env:KATAN_KEY"}),
    "google": (open_google, "", {"header.Authorization": "env:KATAN_BEARER"}),
}


@contextmanager
def katan(folder: Path, *options: str) -> Iterator[str]:
    """The address of a running llm-katan in echo mode that wants our key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llm_katan.cli", "--model", "echo", "--backend", "echo", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--providers", "openai,anthropic,vertexai", "--max-concurrent", "32"]
    command += ["--validate-keys", "--api-keys", f"openai={KEY},anthropic={KEY},vertexai={KEY}"]
    command += ["--stats-file", str(folder / f"stats-{port}.json"), "--log-level", "ERROR", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert process.poll() is None, "llm-katan ended"
                assert time.monotonic() < deadline, "llm-katan did not start"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def lifetime_requests(url: str) -> int:
    """Requests that llm-katan says it has answered in full (its dashboard counts every one it gets, failed ones too)."""
    with urllib.request.urlopen(f"{url}/stats", timeout=5) as reply:
        return int(json.load(reply)["total"])


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATAN_KEY", KEY)
    monkeypatch.setenv("KATAN_BEARER", f"Bearer {KEY}")


@pytest.fixture(scope="module")
def unreliable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with katan(tmp_path_factory.mktemp("katan"), "--error-rate", "0.3") as url:
        yield url


def opened(name: str, url: str, **args: str) -> Caller:
    adapter, path, further = OPENERS[name]
    spec = ModelSpec(name, name, "katan-1", {"base_url": url + path, "api_key_env": "KATAN_KEY", **further, **args})
    return Caller(adapter(spec), Limiter(Concurrency(1, 16)), patience_s=5, backoff_s=0.01)


def prompt(number: int, samples: int = SAMPLES) -> Request:
    message = Message("user", (TextPart(f"Draw thing number {number}."),))
    seeds = tuple(1000 * number + sample for sample in range(samples))
    return Request(
        Sampling(temperature=0.7, max_tokens=200), messages=(message,), seeds=seeds, samples=tuple(range(samples))
    )


@pytest.mark.parametrize("name", OPENERS)
def test_every_sample_comes_and_none_is_asked_for_again(name: str, unreliable: str) -> None:
    async def asking() -> tuple[list[Sequence[Completion]], CallStats, Counter[tuple[int, int]]]:
        caller = opened(name, unreliable)
        kept: Counter[tuple[int, int]] = Counter()

        def keeping(number: int) -> Callable[[int, Completion], None]:
            return lambda position, _: kept.update([(number, position)])

        asked = (caller.ask(prompt(number), keep=keeping(number)) for number in range(PROMPTS))
        replies = await asyncio.gather(*asked)
        await caller.aclose()
        return replies, caller.stats, kept

    before = lifetime_requests(unreliable)
    replies, stats, kept = asyncio.run(asking())
    received = lifetime_requests(unreliable) - before
    for number, samples in enumerate(replies):
        assert len(samples) == SAMPLES
        for sample in samples:
            assert sample.text.endswith(f"User: Draw thing number {number}.")
            assert sample.finish_reason is FinishReason.STOP
            assert sample.usage.input_tokens == 4
            assert sample.usage.output_tokens is not None
    assert set(kept.values()) == {1}
    assert len(kept) == PROMPTS * SAMPLES
    # Every request was either a failure that was retried or the answer to one sample: nothing was asked twice.
    assert stats.answered == PROMPTS * SAMPLES
    assert stats.requests == stats.answered + stats.retries == received
    assert 0.15 < stats.retries / stats.requests < 0.45


@pytest.mark.parametrize("name", OPENERS)
def test_a_wrong_key_stops_the_model_and_is_not_shown(
    name: str, unreliable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "another-canary-key"
    monkeypatch.setenv("KATAN_KEY", wrong)
    monkeypatch.setenv("KATAN_BEARER", f"Bearer {wrong}")

    async def asking() -> list[object]:
        caller = opened(name, unreliable)
        results = await asyncio.gather(*(caller.ask(prompt(number, 1)) for number in range(20)), return_exceptions=True)
        await caller.aclose()
        return list(results)

    results = asyncio.run(asking())
    assert {type(result) for result in results} == {ModelUnavailable}
    text = str(results[0])
    assert "HTTP 401" in text
    assert "KATAN_KEY" in text
    # llm-katan answers with the key that it got.
    assert "[secret]" in text
    assert not [result for result in results if wrong in str(result) + repr(result)]


def test_a_server_that_dies_after_some_is_left_alone_and_the_rest_is_asked_of_its_successor(tmp_path: Path) -> None:
    """504 after 40 requests: 40 answers, then patience ends; a fresh server answers only what is missing."""
    done: dict[int, Completion] = {}

    async def asking(url: str, wanted: Sequence[int]) -> tuple[int, CallStats]:
        caller = opened("openai", url)
        caller_patience = Caller(caller.model, caller.limiter, patience_s=1.0, backoff_s=0.01)

        async def one(number: int) -> bool:
            try:
                (done[number],) = await caller_patience.ask(prompt(number, 1))
            except TransientError as error:
                assert "504" in str(error)  # noqa: PT017
                return False
            return True

        outcomes = await asyncio.gather(*(one(number) for number in wanted))
        await caller.aclose()
        return outcomes.count(False), caller_patience.stats

    with katan(tmp_path, "--timeout-after", "40") as url:
        failed, stats = asyncio.run(asking(url, range(100)))
    assert (len(done), failed, stats.answered, stats.gave_up) == (40, 60, 40, 60)
    missing = [number for number in range(100) if number not in done]
    with katan(tmp_path) as url:
        failed, stats = asyncio.run(asking(url, missing))
        assert lifetime_requests(url) == 60
    assert (len(done), failed, stats.requests) == (100, 0, 60)
