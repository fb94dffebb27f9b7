"""The Google adapter: what it sends, and how it reads what comes back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from server import Behaviour, HttpError, MisbehavingServer, reply_to

from sgpbench.errors import ModelUnavailable, RateLimited, TransientError, UsageError
from sgpbench.models.google_adapter import open_google
from sgpbench.models.interface import ModelSpec
from sgpbench.records import Completion, FinishReason, ImagePart, Message, Request, Sampling, TextPart, Usage


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-test")


def request(*seeds: int, sampling: Sampling | None = None) -> Request:
    messages = (Message("system", (TextPart("Be brief."),)), Message("user", (TextPart("a house"),)))
    chosen = sampling or Sampling(temperature=0.7, top_p=1.0, max_tokens=500)
    return Request(chosen, messages=messages, seeds=seeds or (11,))


def ask(
    behaviour: Behaviour, asked: Request, spec: ModelSpec | None = None, **args: str
) -> tuple[Sequence[Completion], MisbehavingServer]:
    async def asking() -> tuple[Sequence[Completion], MisbehavingServer]:
        async with MisbehavingServer(behaviour) as server:
            given = spec or ModelSpec("mine", "google", "gemini-x")
            model = open_google(replace(given, args={"base_url": server.url, **args}))
            try:
                return await model.generate(asked), server
            finally:
                await model.aclose()

    return asyncio.run(asking())


def candidate(**fields: object) -> Behaviour:
    one = {"content": {"parts": [{"text": "<svg/>"}]}, "finishReason": "STOP", **fields}
    return Behaviour(reply=lambda _path, _body: {"candidates": [one]})


def test_a_request_and_its_answer() -> None:
    (answer,), server = ask(Behaviour(), request(1 << 40 | 5))
    assert server.received[0].path.endswith("/models/gemini-x:generateContent")
    assert server.received[0].headers["x-goog-api-key"] == "AIza-test"
    assert server.received[0].body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "user"},
        "contents": [{"parts": [{"text": "a house"}], "role": "user"}],
        "generationConfig": {"temperature": 0.7, "topP": 1.0, "maxOutputTokens": 500, "seed": 5},
    }
    assert (answer.text, answer.finish_reason, answer.served_by) == ("<svg>a house</svg>", FinishReason.STOP, "m-1")
    assert answer.usage == Usage(7, 7, None, 2)


def test_pictures() -> None:
    asked = Request(Sampling(), messages=(Message("user", (TextPart("what?"), ImagePart(b"PNG", "image/png"))),))
    body = ask(Behaviour(), asked)[1].received[0].body
    assert isinstance(body["contents"], list)
    text, picture = body["contents"][0]["parts"]
    assert text == {"text": "what?"}
    assert list(picture) == ["inlineData"]
    # The SDK writes mime_type; proto3 JSON takes both spellings.
    assert set(picture["inlineData"].values()) == {base64.b64encode(b"PNG").decode(), "image/png"}


def test_thinking_and_further_fields() -> None:
    args = {
        "thinking_budget": "-1",
        "reasoning_effort": "low",
        "body.generationConfig": '{"topK": 3}',
        "body.safetySettings": "[]",
    }
    body = ask(Behaviour(), request(), **args)[1].received[0].body
    assert isinstance(body["generationConfig"], dict)
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": -1, "thinkingLevel": "LOW"}
    assert body["generationConfig"]["topK"] == 3
    assert body["safetySettings"] == []


def test_several_samples_share_the_tokens() -> None:
    answers, server = ask(Behaviour(), request(1, 2))
    assert isinstance(server.received[0].body["generationConfig"], dict)
    assert server.received[0].body["generationConfig"]["candidateCount"] == 2
    assert [answer.usage for answer in answers] == [Usage(4, 6, None, 1), Usage(3, 6, None, 1)]


def test_a_model_that_refuses_several_candidates_gives_one() -> None:
    def reply(path: str, body: Mapping[str, object]) -> dict[str, object]:
        config = body["generationConfig"]
        if isinstance(config, dict) and "candidateCount" in config:
            raise HttpError(400, {"code": 400, "message": "Multiple candidates is not enabled for this model"})
        return reply_to(path, body, "x")

    answers, server = ask(Behaviour(reply=reply), request(1, 2, 3))
    assert (len(answers), len(server.received)) == (1, 2)


def test_a_refused_value_of_the_protocol_is_left_out() -> None:
    def reply(path: str, body: Mapping[str, object]) -> dict[str, object]:
        config = body["generationConfig"]
        if isinstance(config, dict) and "topP" in config:
            raise HttpError(400, {"code": 400, "message": "topP is not supported by this model"})
        return reply_to(path, body, "x")

    (answer,), _ = ask(Behaviour(reply=reply), request())
    assert answer.dropped == ("top_p",)


@pytest.mark.parametrize(
    ("fields", "finish", "text", "refusal"),
    [
        ({"finishReason": "MAX_TOKENS", "content": {"role": "model"}}, FinishReason.LENGTH, "", None),
        ({"finishReason": "MAX_TOKENS", "content": None}, FinishReason.LENGTH, "", None),
        ({"finishReason": "SAFETY", "content": None}, FinishReason.REFUSAL, "", "SAFETY"),
        (
            {"finishReason": "PROHIBITED_CONTENT", "content": {}, "finishMessage": "no"},
            FinishReason.REFUSAL,
            "",
            "no",
        ),
        ({"finishReason": "RECITATION", "content": {}}, FinishReason.OTHER, "", None),
        ({"content": {"parts": []}}, FinishReason.STOP, "", None),
        (
            {"content": {"parts": [{"text": "hm", "thought": True}, {"text": "a"}, {"text": "b"}]}},
            FinishReason.STOP,
            "ab",
            None,
        ),
    ],
)
def test_how_a_candidate_is_read(
    fields: dict[str, object], finish: FinishReason, text: str, refusal: str | None
) -> None:
    (answer,), _ = ask(candidate(**fields), request())
    assert (answer.finish_reason, answer.text, answer.refusal) == (finish, text, refusal)


def test_a_blocked_prompt_is_a_refusal_of_every_sample() -> None:
    reply = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
    answers, _ = ask(Behaviour(reply=lambda _path, _body: dict(reply)), request(1, 2))
    assert [answer.finish_reason for answer in answers] == [FinishReason.REFUSAL] * 2
    assert answers[0].refusal == "SAFETY"
    assert [answer.usage for answer in answers] == [Usage(5, 0), Usage(4, 0)]


@pytest.mark.parametrize("fault", ["reset", "cut", "malformed", "html", "empty", "blank"])
def test_a_broken_answer_is_a_failure(fault: str) -> None:
    with pytest.raises(TransientError, match="mine: ") as caught:
        ask(Behaviour(fault=lambda _number, _prompt: fault), request())
    assert caught.value.maybe_billed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ModelUnavailable),
        (403, ModelUnavailable),
        (404, ModelUnavailable),
        (503, TransientError),
        (429, RateLimited),
    ],
)
def test_what_a_status_stands_for(status: int, error: type[Exception]) -> None:
    behaviour = Behaviour(fault=lambda _number, _prompt: str(status), error_message="its words")
    with pytest.raises(error, match=f"mine: HTTP {status}: its words") as caught:
        ask(behaviour, request())
    assert type(caught.value) is error


def test_the_wait_stands_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}, {"@type": "other"}]

    def reply(_path: str, _body: Mapping[str, object]) -> dict[str, object]:
        raise HttpError(429, {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details})

    with pytest.raises(RateLimited) as caught:
        ask(Behaviour(reply=reply), request())
    assert caught.value.retry_after == 37.0


def test_a_stop_string_that_cannot_be_kept_is_recorded() -> None:
    (answer,), server = ask(Behaviour(), request(sampling=Sampling(stop=("</x>",), keep_stop=True)))
    assert answer.dropped == ("keep_stop",)
    assert server.received[0].body["generationConfig"] == {"stopSequences": ["</x>"], "seed": 11}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"thinking_budget": "lots"}, "a number of tokens"),
        ({"n": "9"}, "from 1 to 8"),
        ({"base_url": "http://a,http://b"}, "one base_url"),
        ({"timout": "9"}, "Did you mean timeout"),
    ],
)
def test_wrong_arguments_are_named(args: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_google(ModelSpec("m", "google", "m", args))


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.delenv("GOOGLE_GENAI_USE_VERTEXAI", raising=False)
    with pytest.raises(ModelUnavailable, match="GEMINI_API_KEY"):
        open_google(ModelSpec("m", "google", "m"))
