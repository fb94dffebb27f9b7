"""The Anthropic adapter: what it sends, and how it reads what comes back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from server import Behaviour, HttpError, MisbehavingServer, reply_to

from sgpbench.errors import ModelUnavailable, RateLimited, TransientError, UnsupportedParameter, UsageError
from sgpbench.models.anthropic_adapter import open_anthropic
from sgpbench.models.interface import ModelSpec
from sgpbench.records import Completion, FinishReason, ImagePart, Message, Request, Sampling, TextPart, Usage


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")


def request(sampling: Sampling | None = None) -> Request:
    messages = (Message("system", (TextPart("Be brief."),)), Message("user", (TextPart("a house"),)))
    return Request(sampling or Sampling(temperature=0.7, top_p=1.0, max_tokens=500), messages=messages, seeds=(11,))


def ask(
    behaviour: Behaviour, asked: Request, spec: ModelSpec | None = None, **args: str
) -> tuple[Sequence[Completion], MisbehavingServer]:
    async def asking() -> tuple[Sequence[Completion], MisbehavingServer]:
        async with MisbehavingServer(behaviour) as server:
            given = spec or ModelSpec("mine", "anthropic", "m")
            model = open_anthropic(replace(given, args={"base_url": server.url, **args}))
            try:
                return await model.generate(asked), server
            finally:
                await model.aclose()

    return asyncio.run(asking())


def saying(**fields: object) -> Behaviour:
    return Behaviour(reply=lambda path, body: {**reply_to(path, body, "x"), **fields})


def test_a_request_and_its_answer() -> None:
    (answer,), server = ask(Behaviour(), request())
    assert server.received[0].path == "/v1/messages"
    assert server.received[0].headers["authorization"] == "Bearer sk-ant-test"
    assert server.received[0].body == {
        "model": "m",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a house"}]}],
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 500,
    }
    assert (answer.text, answer.finish_reason, answer.served_by) == ("<svg>a house</svg>", FinishReason.STOP, "m-1")
    # The API counts what came from a cache apart; our input tokens are all of them.
    assert answer.usage == Usage(10, 5, 3, None)


def test_pictures() -> None:
    asked = Request(Sampling(), messages=(Message("user", (TextPart("what?"), ImagePart(b"JPG", "image/jpeg"))),))
    body = ask(Behaviour(), asked)[1].received[0].body
    source = {"type": "base64", "media_type": "image/jpeg", "data": base64.b64encode(b"JPG").decode()}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]}
    ]
    assert body["max_tokens"] == 16384


@pytest.mark.parametrize(
    ("argument", "thinking"),
    [
        ("2048", {"type": "enabled", "budget_tokens": 2048}),
        ("adaptive", {"type": "adaptive"}),
    ],
)
def test_thinking_fixes_the_temperature(argument: str, thinking: dict[str, object]) -> None:
    (answer,), server = ask(Behaviour(), request(), thinking_budget=argument, reasoning_effort="high")
    body = server.received[0].body
    assert (body["thinking"], body["output_config"]) == (thinking, {"effort": "high"})
    assert "temperature" not in body
    assert answer.dropped == ("temperature", "top_p")


def test_no_thinking_fixes_nothing() -> None:
    (answer,), server = ask(Behaviour(), request(), thinking_budget="0")
    assert server.received[0].body["thinking"] == {"type": "disabled"}
    assert answer.dropped == ()


def test_a_temperature_of_the_users_and_thinking_do_not_go_together() -> None:
    spec = ModelSpec("m", "anthropic", "m", {"thinking_budget": "2048"}, sampling={"temperature": 0.1})
    with pytest.raises(UnsupportedParameter, match="temperature"):
        open_anthropic(spec)


def test_a_refused_value_of_the_protocol_is_left_out() -> None:
    def reply(path: str, body: Mapping[str, object]) -> dict[str, object]:
        if "top_p" in body and "temperature" in body:
            raise HttpError(400, {"message": "`temperature` and `top_p` cannot both be specified for this model."})
        return reply_to(path, body, "x")

    (answer,), server = ask(Behaviour(reply=reply), request())
    assert answer.dropped == ("top_p",)
    assert server.received[1].body["temperature"] == 0.7


@pytest.mark.parametrize(
    ("fields", "finish", "text", "refusal"),
    [
        ({"stop_reason": "max_tokens"}, FinishReason.LENGTH, "<svg>x</svg>", None),
        ({"stop_reason": "model_context_window_exceeded"}, FinishReason.LENGTH, "<svg>x</svg>", None),
        ({"stop_reason": "pause_turn"}, FinishReason.OTHER, "<svg>x</svg>", None),
        (
            {"stop_reason": "refusal", "content": [], "stop_details": {"type": "refusal", "explanation": "no"}},
            FinishReason.REFUSAL,
            "",
            "no",
        ),
        ({"content": [{"type": "text", "text": "I cannot."}]}, FinishReason.STOP, "I cannot.", None),
        ({"content": []}, FinishReason.STOP, "", None),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]},
            FinishReason.STOP,
            "a",
            None,
        ),
        ({"stop_reason": "stop_sequence", "stop_sequence": "</x>"}, FinishReason.STOP, "<svg>x</svg></x>", None),
    ],
)
def test_how_an_answer_is_read(fields: dict[str, object], finish: FinishReason, text: str, refusal: str | None) -> None:
    asked = request(Sampling(max_tokens=10, stop=("</x>",), keep_stop=True))
    (answer,), server = ask(saying(**fields), asked)
    assert server.received[0].body["stop_sequences"] == ["</x>"]
    assert (answer.finish_reason, answer.text, answer.refusal, answer.dropped) == (finish, text, refusal, ())


def test_thinking_tokens() -> None:
    usage = {"input_tokens": 7, "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 40}}
    (answer,), _ = ask(saying(usage=usage), request())
    assert answer.usage == Usage(7, 50, None, 40)


@pytest.mark.parametrize("fault", ["reset", "cut", "malformed", "html", "empty"])
def test_a_broken_answer_is_a_failure(fault: str) -> None:
    with pytest.raises(TransientError, match="mine: ") as caught:
        ask(Behaviour(fault=lambda _number, _prompt: fault), request())
    assert caught.value.maybe_billed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ModelUnavailable),
        (401, ModelUnavailable),
        (404, ModelUnavailable),
        (500, TransientError),
        (529, RateLimited),
    ],
)
def test_what_a_status_stands_for(status: int, error: type[Exception]) -> None:
    behaviour = Behaviour(fault=lambda _number, _prompt: str(status), error_message="its words")
    with pytest.raises(error, match=f"mine: HTTP {status}: its words") as caught:
        ask(behaviour, request())
    assert type(caught.value) is error


def test_one_sample_without_a_seed() -> None:
    model = open_anthropic(ModelSpec("m", "anthropic", "m"))
    assert (model.max_n, model.seeds, model.accepts) == (1, False, {"messages"})


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"thinking_budget": "a lot"}, "tokens, adaptive or 0"),
        ({"thinkingbudget": "5"}, "Did you mean thinking_budget"),
    ],
)
def test_wrong_arguments_are_named(args: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_anthropic(ModelSpec("m", "anthropic", "m", args))


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    with pytest.raises(ModelUnavailable, match=r"ANTHROPIC_API_KEY.*export ANTHROPIC_API_KEY="):
        open_anthropic(ModelSpec("m", "anthropic", "m"))
