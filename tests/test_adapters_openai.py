"""The OpenAI adapter over its three wire formats: what it sends, and how it reads what comes back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from server import Behaviour, HttpError, MisbehavingServer, reply_to

from sgpbench.errors import ModelUnavailable, RateLimited, TransientError, UnsupportedParameter, UsageError
from sgpbench.models.interface import ModelSpec
from sgpbench.models.openai_adapter import open_openai
from sgpbench.records import Completion, FinishReason, ImagePart, Message, Request, Sampling, TextPart, Usage

SAMPLING = Sampling(temperature=0.7, top_p=1.0, max_tokens=500)


def chat(*seeds: int, sampling: Sampling = SAMPLING) -> Request:
    messages = (Message("system", (TextPart("Be brief."),)), Message("user", (TextPart("a house"),)))
    return Request(sampling, messages=messages, seeds=seeds or (11,))


def raw(sampling: Sampling = SAMPLING) -> Request:
    return Request(sampling, text="a house <think>", seeds=(11,))


def ask(
    behaviour: Behaviour, request: Request, spec: ModelSpec | None = None, times: int = 1, **args: str
) -> tuple[Sequence[Completion], MisbehavingServer]:
    """Asks a model at a server that behaves so; the last answer."""

    async def asking() -> tuple[Sequence[Completion], MisbehavingServer]:
        async with MisbehavingServer(behaviour) as server:
            given = spec or ModelSpec("mine", "openai", "m")
            model = open_openai(replace(given, args={"base_url": f"{server.url}/v1", **args}))
            try:
                for _ in range(times):
                    answer = await model.generate(request)
            finally:
                await model.aclose()
            return answer, server

    return asyncio.run(asking())


def saying(**fields: object) -> Behaviour:
    """A server whose one choice has these fields."""
    choice = {"finish_reason": "stop", "message": {"content": "<svg/>"}, **fields}
    return Behaviour(reply=lambda _path, _body: {"choices": [choice], "model": "m-2"})


def test_chat() -> None:
    answers, server = ask(Behaviour(), chat())
    assert server.received[0].path == "/v1/chat/completions"
    assert server.received[0].body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a house"}],
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 500,
        "seed": 11,
    }
    (answer,) = answers
    assert (answer.text, answer.finish_reason, answer.served_by) == ("<svg>a house</svg>", FinishReason.STOP, "m-1")
    assert answer.usage == Usage(7, 5)
    assert answer.latency_s is not None
    assert 0 < answer.latency_s < 5


def test_responses() -> None:
    answers, server = ask(Behaviour(), chat(), api="responses", reasoning_effort="low")
    assert server.received[0].path == "/v1/responses"
    assert server.received[0].body == {
        "model": "m",
        "input": [
            {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "a house"}]},
        ],
        "temperature": 0.7,
        "top_p": 1.0,
        "max_output_tokens": 500,
        "reasoning": {"effort": "low"},
        "store": False,
    }
    assert (answers[0].text, answers[0].usage) == ("<svg>a house</svg>", Usage(7, 5, None, 2))


def test_raw_text() -> None:
    answers, server = ask(Behaviour(), raw(), api="completions")
    assert server.received[0].path == "/v1/completions"
    assert server.received[0].body == {
        "model": "m",
        "prompt": "a house <think>",
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 500,
        "seed": 11,
    }
    assert answers[0].text == "<svg>a house <think></svg>"


def test_one_model_takes_both_where_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(Behaviour(), raw(), raw_text="true")[1].received[0].path == "/v1/completions"
    assert ask(Behaviour(), chat(), raw_text="true")[1].received[0].path == "/v1/chat/completions"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    opened = {api: open_openai(ModelSpec("m", "openai", "m", {"api": api})) for api in ("chat", "completions")}
    assert (opened["chat"].accepts, opened["completions"].accepts) == ({"messages"}, {"text"})


@pytest.mark.parametrize(("request_", "args"), [(raw(), {}), (chat(), {"api": "completions"})])
def test_a_form_that_the_api_does_not_take_is_an_error(request_: Request, args: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="does not take"):
        ask(Behaviour(), request_, **args)


def test_pictures() -> None:
    picture = ImagePart(b"\x89PNG", "image/png")
    request = Request(Sampling(), messages=(Message("user", (TextPart("what?"), picture)),))
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    body = ask(Behaviour(), request)[1].received[0].body
    assert body["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}],
        }
    ]
    body = ask(Behaviour(), request, api="responses")[1].received[0].body
    assert body["input"] == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "what?"}, {"type": "input_image", "image_url": url}],
        }
    ]


def test_several_samples_share_the_tokens() -> None:
    answers, server = ask(Behaviour(), chat(1, 2, 3))
    assert server.received[0].body["n"] == 3
    assert [answer.usage for answer in answers] == [Usage(3, 5), Usage(2, 5), Usage(2, 5)]


def test_a_server_that_overlooks_n_is_asked_one_by_one() -> None:
    async def asking() -> int:
        async with MisbehavingServer(Behaviour(most_samples=1)) as server:
            model = open_openai(ModelSpec("m", "openai", "m", {"base_url": server.url}))
            assert model.max_n == 128
            assert len(await model.generate(chat(1, 2, 3))) == 1
            await model.aclose()
            return model.max_n

    assert asyncio.run(asking()) == 1


def behaviour_refusing(*parameters: str, message: str) -> Behaviour:
    """A server that answers 400 as long as the request holds one of these."""

    def reply(path: str, body: Mapping[str, object]) -> dict[str, object]:
        if held := [name for name in parameters if name in body]:
            raise HttpError(400, {"message": message.format(held[0])})
        return reply_to(path, body, "a house")

    return Behaviour(reply=reply)


@pytest.mark.parametrize(
    ("parameter", "message", "dropped"),
    [
        ("temperature", "Unsupported value: 'temperature' does not support 0.7 with this model.", ("temperature",)),
        ("top_p", "`top_p` is not supported by this model", ("top_p",)),
        ("seed", "unknown field: seed", ()),
    ],
)
def test_a_value_of_the_protocol_that_is_refused_is_left_out_and_recorded(
    parameter: str, message: str, dropped: tuple[str, ...]
) -> None:
    answers, server = ask(behaviour_refusing(parameter, message=message), chat(), times=2)
    assert answers[0].dropped == dropped
    assert [parameter in one.body for one in server.received] == [True, False, False]


def test_several_refused_values_are_left_out_one_by_one() -> None:
    behaviour = behaviour_refusing("top_p", "temperature", message="temperature and top_p: not both; {} is too much")
    answers, _ = ask(behaviour, chat())
    assert sorted(answers[0].dropped) == ["temperature", "top_p"]


def test_a_value_of_the_user_that_is_refused_is_an_error() -> None:
    spec = ModelSpec("mine", "openai", "m", sampling={"temperature": 0.2})
    with pytest.raises(UnsupportedParameter, match=r"mine refuses 'temperature=0.2'"):
        ask(behaviour_refusing("temperature", message="temperature is not supported"), chat(), spec)


def test_a_value_of_the_user_replaces_the_protocols() -> None:
    spec = ModelSpec("m", "openai", "m", sampling={"temperature": 0.2, "max_tokens": 9, "top_k": 4})
    body = ask(Behaviour(), chat(), spec)[1].received[0].body
    assert (body["temperature"], body["max_tokens"], body["top_k"], body["top_p"]) == (0.2, 9, 4, 1.0)


def test_what_a_model_fixes_is_not_sent() -> None:
    spec = ModelSpec("m", "openai", "m", fixed=frozenset({"temperature", "seed"}), max_output_tokens=300)
    answers, server = ask(Behaviour(), chat(), spec)
    assert answers[0].dropped == ("temperature",)
    assert "temperature" not in server.received[0].body
    assert "seed" not in server.received[0].body
    assert server.received[0].body["max_tokens"] == 300


def test_the_user_cannot_set_what_a_model_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    spec = ModelSpec("o9", "openai", "o9", sampling={"temperature": 0.2}, fixed=frozenset({"temperature"}))
    with pytest.raises(UnsupportedParameter, match="o9 does not take 'temperature'"):
        open_openai(spec)


def test_room_is_left_in_a_small_context() -> None:
    body = ask(Behaviour(), chat(), ModelSpec("m", "openai", "m", context_tokens=400))[1].received[0].body
    assert 250 < int(str(body["max_tokens"])) < 340


def test_the_other_name_of_the_token_limit_is_tried() -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    answers, server = ask(behaviour_refusing("max_tokens", message=message), chat(), times=2)
    assert [one.body.get("max_completion_tokens") for one in server.received] == [None, 500, 500]
    assert answers[0].dropped == ()


def test_a_server_that_refuses_several_samples_gives_one() -> None:
    answers, server = ask(behaviour_refusing("n", message="Only one completion choice is allowed"), chat(1, 2))
    assert len(answers) == 1
    assert ["n" in one.body for one in server.received] == [True, False]


STOPPED = Sampling(stop=("</answer>",), keep_stop=True)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"text": "x", "stop_reason": "</answer>"}, "x</answer>"),
        ({"text": "x</answer>", "stop_reason": "</answer>"}, "x</answer>"),
        ({"text": "x", "stop_reason": None}, "x"),
        ({"text": "x", "stop_reason": 32007}, "x"),
        ({"text": "x", "stop_reason": "</answer>", "finish_reason": "length"}, "x"),
    ],
)
def test_a_matched_stop_string_is_kept(choice: dict[str, object], text: str) -> None:
    behaviour = Behaviour(reply=lambda _path, _body: {"choices": [{"finish_reason": "stop", **choice}]})
    answers, server = ask(behaviour, raw(STOPPED), api="completions")
    assert server.received[0].body["include_stop_str_in_output"] is True
    assert (answers[0].text, answers[0].dropped) == (text, ())


def test_a_stop_string_that_cannot_be_kept_is_recorded() -> None:
    behaviour = behaviour_refusing("include_stop_str_in_output", message="extra fields: include_stop_str_in_output")
    answers, _ = ask(behaviour, raw(STOPPED), api="completions")
    assert answers[0].dropped == ("keep_stop",)
    answers, _ = ask(Behaviour(), chat(sampling=STOPPED), api="responses")
    assert answers[0].dropped == ("stop", "keep_stop")


@pytest.mark.parametrize(
    ("choice", "finish", "text", "refusal"),
    [
        ({"finish_reason": "length"}, FinishReason.LENGTH, "<svg/>", None),
        ({"finish_reason": "content_filter"}, FinishReason.REFUSAL, "<svg/>", None),
        ({"message": {"content": None, "refusal": "I can't."}}, FinishReason.REFUSAL, "", "I can't."),
        ({"message": {"content": "I'm sorry, I can't help."}}, FinishReason.STOP, "I'm sorry, I can't help.", None),
        ({"message": {"content": None}, "finish_reason": "length"}, FinishReason.LENGTH, "", None),
        ({"message": {"content": None, "reasoning_content": "hm"}}, FinishReason.STOP, "", None),
        (
            {"message": {"content": None, "tool_calls": [{}]}, "finish_reason": "tool_calls"},
            FinishReason.OTHER,
            "",
            None,
        ),
        ({"message": {"content": ""}}, FinishReason.STOP, "", None),
    ],
)
def test_how_a_chat_answer_is_read(
    choice: dict[str, object], finish: FinishReason, text: str, refusal: str | None
) -> None:
    (answer,), _ = ask(saying(**choice), chat())
    assert (answer.finish_reason, answer.text, answer.refusal) == (finish, text, refusal)


@pytest.mark.parametrize(
    ("reply", "finish", "refusal"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, FinishReason.LENGTH, None),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, FinishReason.REFUSAL, None),
        (
            {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]},
            FinishReason.REFUSAL,
            "no",
        ),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}, FinishReason.REFUSAL, "no"),
    ],
)
def test_how_a_responses_answer_is_read(reply: dict[str, object], finish: FinishReason, refusal: str | None) -> None:
    behaviour = Behaviour(reply=lambda path, body: {**reply_to(path, body, "x"), **reply})
    (answer,), _ = ask(behaviour, chat(), api="responses")
    assert (answer.finish_reason, answer.refusal) == (finish, refusal)


@pytest.mark.parametrize("api", ["chat", "responses", "completions"])
@pytest.mark.parametrize("fault", ["reset", "cut", "malformed", "html", "empty", "blank"])
def test_a_broken_answer_is_a_failure_that_may_have_been_billed(api: str, fault: str) -> None:
    if (api, fault) == ("completions", "blank"):
        pytest.skip("a raw text may be empty")
    request = raw() if api == "completions" else chat()
    with pytest.raises(TransientError, match="mine: ") as caught:
        ask(Behaviour(fault=lambda _number, _prompt: fault), request, api=api)
    assert caught.value.maybe_billed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ModelUnavailable),
        (401, ModelUnavailable),
        (402, ModelUnavailable),
        (403, ModelUnavailable),
        (404, ModelUnavailable),
        (422, ModelUnavailable),
        (408, TransientError),
        (409, TransientError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
        (429, RateLimited),
        (529, RateLimited),
    ],
)
def test_what_a_status_stands_for(status: int, error: type[Exception]) -> None:
    behaviour = Behaviour(fault=lambda _number, _prompt: str(status), error_message="the provider's words")
    with pytest.raises(error, match=f"mine: HTTP {status}: the provider's words") as caught:
        ask(behaviour, chat())
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}, 3.0),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(RateLimited) as caught:
        ask(Behaviour(storm=lambda _: True, refusal_headers=headers), chat())
    assert caught.value.retry_after == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "insufficient_quota", "message": "no money"}, ModelUnavailable),
        ({"code": "rate_limit_exceeded", "message": "slow"}, RateLimited),
    ],
)
def test_a_429_without_money_is_final(error: dict[str, str], kind: type[Exception]) -> None:
    def reply(_path: str, _body: Mapping[str, object]) -> dict[str, object]:
        raise HttpError(429, error)

    with pytest.raises(kind, match=error["message"]):
        ask(Behaviour(reply=reply), chat())


@pytest.mark.parametrize("code", ["content_filter", "invalid_prompt"])
def test_a_prompt_that_the_provider_refuses_is_a_refusal(code: str) -> None:
    def reply(_path: str, _body: Mapping[str, object]) -> dict[str, object]:
        raise HttpError(400, {"code": code, "message": "your prompt was flagged"})

    answers, _ = ask(Behaviour(reply=reply), chat(1, 2))
    assert [answer.finish_reason for answer in answers] == [FinishReason.REFUSAL] * 2
    assert answers[0].refusal == "your prompt was flagged"


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"code": 429, "message": "slow"}, RateLimited), ({"code": "server_error", "message": "oh"}, TransientError)],
)
def test_an_error_within_an_answer_is_an_error(error: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(error["message"])):
        ask(Behaviour(reply=lambda _path, _body: {"error": error}), chat())


def test_a_choice_that_failed_upstream_is_a_failure() -> None:
    with pytest.raises(TransientError, match="overloaded"):
        ask(saying(finish_reason="error", error={"message": "overloaded", "code": 502}), chat())


def test_a_server_that_is_not_there() -> None:
    model = open_openai(ModelSpec("mine", "openai", "m", {"base_url": "http://127.0.0.1:9"}))

    async def asking() -> None:
        with pytest.raises(TransientError, match="mine: ConnectError") as caught:
            await model.generate(chat())
        assert not caught.value.maybe_billed
        await model.aclose()

    asyncio.run(asking())


def test_requests_are_balanced_over_servers_and_leave_out_those_that_are_down() -> None:
    async def asking() -> list[int]:
        async with (
            MisbehavingServer(Behaviour(latency_s=0.05)) as first,
            MisbehavingServer(Behaviour(latency_s=0.05)) as second,
        ):
            urls = f"{first.url}/v1, http://127.0.0.1:9/v1,{second.url}/v1"
            model = open_openai(ModelSpec("m", "openai", "m", {"base_url": urls}))
            with pytest.raises(TransientError):  # One of the first three meets the server that is down.
                await asyncio.gather(*(model.generate(chat()) for _ in range(3)))
            await asyncio.gather(*(model.generate(chat()) for _ in range(18)))
            await model.aclose()
            return [len(first.received), len(second.received)]

    assert asyncio.run(asking()) == [10, 10]


def test_further_headers_query_and_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY", "gateway-key-123")
    args = {
        "header.X-Title": "sgpbench",
        "header.X-Gateway-Key": "env:GATEWAY",
        "query.api-version": "2024-10-21",
        "body.provider": '{"order": ["a"]}',
        "body.reasoning_format": "hidden",
    }
    received = ask(Behaviour(), chat(), **args)[1].received[0]
    assert (received.headers["x-title"], received.headers["x-gateway-key"]) == ("sgpbench", "gateway-key-123")
    assert (received.body["provider"], received.body["reasoning_format"]) == ({"order": ["a"]}, "hidden")


def test_identity_is_what_changes_answers() -> None:
    spec = ModelSpec(
        "m",
        "openai",
        "m",
        {"base_url": "http://127.0.0.1:9", "reasoning_effort": "high", "timeout": "5", "body.top_k": "20"},
        sampling={"temperature": 0.1},
    )
    assert open_openai(spec).identity == {
        "adapter": "openai",
        "model": "m",
        "api": "chat",
        "reasoning_effort": "high",
        "sampling": {"temperature": 0.1},
        "body": {"top_k": 20},
    }


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"reasoning_efort": "high"}, "Did you mean reasoning_effort"),
        ({"api": "chatty"}, "chat, responses or completions"),
        ({"n": "0"}, "from 1 to 128"),
        ({"timeout": "soon"}, "seconds above 0"),
        ({"raw_text": "maybe"}, "true or false"),
        ({"base_url": "localhost:8000"}, "not an http or https address"),
        ({"base_url": "https://me:secret@host"}, "must not hold a name or a password"),
        ({"header.Authorization": "Bearer x"}, "env:VARIABLE"),
        ({"query.api_key": "x"}, "looks like a key"),
    ],
)
def test_wrong_arguments_are_named(args: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with pytest.raises(UsageError, match=words):
        open_openai(ModelSpec("m", "openai", "m", args))


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelUnavailable, match=r"OPENAI_API_KEY is not set.*export OPENAI_API_KEY="):
        open_openai(ModelSpec("gpt", "openai", "gpt"))
    with pytest.raises(ModelUnavailable, match="MY_KEY is not set"):
        open_openai(ModelSpec("gpt", "openai", "gpt", {"api_key_env": "MY_KEY"}))
    assert open_openai(ModelSpec("m", "openai", "m", {"base_url": "http://127.0.0.1:9"})).seeds
