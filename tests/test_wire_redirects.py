"""A redirect takes the key nowhere else: it is followed only to the same host, port and scheme."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import httpx2
import pytest
from raw_server import encoded, http, raw_serving

from sgpbench.errors import ModelUnavailable
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency
from sgpbench.models.lanes import LaneClient
from sgpbench.models.limiter import Limiter
from sgpbench.models.registry import open_model, resolve
from sgpbench.models.reply_limits import RedirectRefused, next_hop
from sgpbench.records import Message, Request, Sampling, TextPart

KEY = "sk-canary-7f3a91c2d4e5b6a7"
ADAPTERS = ["openai", "anthropic", "google"]


def ask(adapter: str, url: str) -> str:
    async def asking() -> str:
        spec = resolve(
            f"{adapter}/m", {"base_url": url, "api_key_env": "CANARY_KEY", "header.x-gateway": "env:GATEWAY"}
        )
        caller = Caller(open_model(spec), Limiter(Concurrency(1, 1)), patience_s=0.02, backoff_s=0.01)
        try:
            answers = await caller.ask(Request(Sampling(), messages=(Message("user", (TextPart("x"),)),)))
        finally:
            await caller.aclose()
        return answers[0].text

    return asyncio.run(asking())


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    monkeypatch.setenv("GATEWAY", "gateway-canary-55e1")


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["host", "port", "scheme"])
def test_a_redirect_to_another_place_is_refused_and_nothing_is_sent_there(adapter: str, status: int, kind: str) -> None:
    with raw_serving(lambda _: http(encoded(adapter, "stolen"))) as thief:
        targets = {
            "host": f"http://localhost:{thief.port}/{KEY}",
            "port": f"{thief.url}/v1",
            "scheme": f"https://127.0.0.1:{thief.port}/v1",
        }
        answer = list(http("", f"{status} X", f"location: {targets[kind]}"))
        with raw_serving(lambda _: answer) as server, pytest.raises(ModelUnavailable, match="redirects to") as caught:
            ask(adapter, server.url)
        assert len(server.requests) == 1
    assert thief.requests == []
    assert KEY not in str(caught.value)
    assert caught.value.remedy


def test_a_downgrade_from_https_is_refused() -> None:
    request = httpx2.Request("POST", "https://api.example.org/v1/chat")
    response = httpx2.Response(307, headers={"location": "http://api.example.org/v1/chat"}, request=request)
    response.next_request = httpx2.Request("POST", "http://api.example.org/v1/chat")
    with pytest.raises(RedirectRefused, match="another place"):
        next_hop(response)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_redirect_within_the_same_place_is_followed(adapter: str) -> None:
    def answer(request: str) -> Iterable[bytes]:
        if "/moved" in request.split("\r\n", 1)[0]:
            return http(encoded(adapter, "here"))
        return http("", "307 X", "location: /moved")

    with raw_serving(answer) as server:
        assert ask(adapter, server.url) == "here"
    assert KEY in server.requests[1]
    assert server.requests[0].partition("\r\n\r\n")[2] == server.requests[1].partition("\r\n\r\n")[2]


@pytest.mark.parametrize("location", ["http://[", "javascript:alert(1)", "http://u:p@127.0.0.1/"])
def test_a_redirect_that_cannot_be_followed_is_refused(location: str) -> None:
    answer = list(http("", "307 X", f"location: {location}"))
    with raw_serving(lambda _: answer) as server, pytest.raises(ModelUnavailable, match="redirects"):
        ask("openai", server.url)
    assert len(server.requests) == 1


def test_a_circle_of_redirects_ends() -> None:
    answer = list(http("", "307 X", "location: /again"))
    with raw_serving(lambda _: answer) as server, pytest.raises(ModelUnavailable, match="more than 3 times"):
        ask("openai", server.url)


def test_only_what_is_undone_within_a_bound_is_asked_for() -> None:
    client = LaneClient(1.0, {})
    assert client.headers["accept-encoding"] == "gzip"
    asyncio.run(client.aclose())
