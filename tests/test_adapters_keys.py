"""A canary key never shows: not in errors, events, logs, identities or the look of any object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest
from server import Behaviour, HttpError, MisbehavingServer

from sgpbench.errors import ModelError, UsageError
from sgpbench.models.anthropic_adapter import open_anthropic
from sgpbench.models.calls import Caller, CallEvent
from sgpbench.models.connection import Secrets
from sgpbench.models.google_adapter import open_google
from sgpbench.models.interface import Adapter, Concurrency, ModelSpec
from sgpbench.models.limiter import Limiter
from sgpbench.models.openai_adapter import open_openai
from sgpbench.records import Message, Request, Sampling, TextPart

CANARY = "sk-canary-7f3a91c2"
GATEWAY = "gateway-canary-55e1"
ADAPTERS: Mapping[str, Adapter] = {"openai": open_openai, "anthropic": open_anthropic, "google": open_google}


def echoing(path: str, body: Mapping[str, object]) -> dict[str, object]:
    """What a careless gateway does: it puts the keys it got into its message."""
    raise HttpError(401, {"code": 401, "message": f"the key {CANARY} is wrong, and so is {GATEWAY} ({path})"})


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("trouble", ["echo", "500", "reset", "malformed"])
def test_keys_never_show(
    name: str, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    monkeypatch.setenv("GATEWAY_KEY", GATEWAY)
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []
    behaviour = Behaviour(
        reply=echoing if trouble == "echo" else None,
        fault=lambda _number, _prompt: "ok" if trouble == "echo" else trouble,
        error_message=f"failed for {CANARY} and {GATEWAY}",
    )

    async def asking() -> None:
        async with MisbehavingServer(behaviour) as server:
            args = {"base_url": server.url, "api_key_env": "CANARY_KEY", "header.x-gateway": "env:GATEWAY_KEY"}
            spec = ModelSpec("m", name, "m", args)
            model = ADAPTERS[name](spec)
            events: list[CallEvent] = []
            caller = Caller(model, Limiter(Concurrency(1, 4)), patience_s=0.2, backoff_s=0.01, on_event=events.append)
            request = Request(Sampling(), messages=(Message("user", (TextPart("x"),)),))
            with pytest.raises(ModelError) as caught:
                await caller.ask(request)
            chain = [caught.value, caught.value.__cause__, caught.value.__context__]
            seen.extend([*chain, *(repr(one) for one in chain), *events, model.identity, model.endpoint, spec])
            seen.extend([repr(model), vars(model), caller.stats])
            assert server.received[0].headers["x-gateway"] == GATEWAY
            assert CANARY in "".join(server.received[0].headers.values())
            await caller.aclose()

    asyncio.run(asking())
    text = "\n".join(map(str, seen)) + caplog.text
    assert CANARY not in text
    assert GATEWAY not in text


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("argument", ["header.X-Note", "body.note", "query.note", "reasoning_effort"])
def test_a_key_written_into_an_argument_is_refused(name: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", CANARY)
    args = {"base_url": "http://127.0.0.1:9", "api_key_env": "CANARY_KEY", argument: f"Bearer {CANARY}"}
    with pytest.raises(UsageError, match="holds a key") as caught:
        ADAPTERS[name](ModelSpec("m", name, "m", args))
    assert CANARY not in str(caught.value)


def test_longer_secrets_are_taken_out_first() -> None:
    secrets = Secrets(["abcd", "abcdef", None, "", "xy"])
    assert secrets.scrub("abcdef abcd xy") == "[secret] [secret] xy"
    assert "abcd" not in repr(secrets)
