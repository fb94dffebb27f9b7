"""Reads what OpenAI's three text APIs, and the servers that imitate them, answer.

Only fields that matter are read, and those strictly: an answer without choices or without content is a failure to be
asked again, never an empty text. Refusals come from the provider's own flags alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from sgpbench.errors import TransientError
from sgpbench.models.money import split_usage
from sgpbench.models.usage import Loose, Several, Tokens, Word
from sgpbench.models.wire import parse
from sgpbench.records import Completion, FinishReason, Usage

__all__ = ["EmbeddedError", "read_chat", "read_completions", "read_responses"]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _ErrorBody(_Read):
    message: str = ""
    code: str | int | None = None


class _Details(_Read):
    cached_tokens: Tokens = None
    reasoning_tokens: Tokens = None


class _Usage(_Read):
    """Of all three APIs: two call it prompt and completion, the third input and output."""

    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    prompt_tokens_details: Annotated[_Details | None, Loose] = None
    completion_tokens_details: Annotated[_Details | None, Loose] = None
    input_tokens_details: Annotated[_Details | None, Loose] = None
    output_tokens_details: Annotated[_Details | None, Loose] = None

    def usage(self) -> Usage:
        before = self.prompt_tokens_details or self.input_tokens_details or _Details()
        after = self.completion_tokens_details or self.output_tokens_details or _Details()
        return Usage(
            self.input_tokens if self.prompt_tokens is None else self.prompt_tokens,
            self.output_tokens if self.completion_tokens is None else self.completion_tokens,
            before.cached_tokens,
            after.reasoning_tokens,
        )


class _Message(_Read):
    content: str | None = None
    refusal: str | None = None
    reasoning: Word = None
    reasoning_content: Word = None
    tool_calls: Several[object] | None = None


class _Choice(_Read):
    finish_reason: str | None = None
    stop_reason: Annotated[str | int | None, Loose] = None
    """vLLM: the stop string that was matched."""
    error: _ErrorBody | None = None
    """OpenRouter: the upstream failed while it wrote this choice."""


class _ChatChoice(_Choice):
    message: _Message


class _TextChoice(_Choice):
    text: str


class _Reply(_Read):
    """What all three have in common."""

    model: Word = None
    usage: Annotated[_Usage | None, Loose] = None
    error: _ErrorBody | None = None


class _Chat(_Reply):
    choices: Several[_ChatChoice] = ()


class _Completions(_Reply):
    choices: Several[_TextChoice] = ()


class _Content(_Read):
    type: str
    text: str = ""
    refusal: str = ""


class _Item(_Read):
    type: str
    content: Several[_Content] | None = None


class _Incomplete(_Read):
    reason: str | None = None


class _Response(_Reply):
    status: str = "completed"
    incomplete_details: _Incomplete | None = None
    output: Several[_Item] | None = None


class EmbeddedError(Exception):
    """An error that came inside an answer with HTTP status 200."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


_FINISH: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.REFUSAL,
}


def _raise_embedded(error: _ErrorBody | None) -> None:
    if error is not None and (error.message or error.code is not None):
        raise EmbeddedError(error.message, str(error.code or ""))


def read_chat(body: bytes, model: str, with_stop: Callable[[str, str | int | None], str]) -> list[Completion]:
    """Completions of a chat answer, in order of their choices; ``with_stop`` puts a matched stop string back.

    Raises:
        TransientError: nothing usable came. EmbeddedError: an error came with status 200.
    """
    reply = parse(_Chat, body, model)
    _raise_embedded(reply.error)
    shares = _shares(reply, len(reply.choices), model)
    return [
        _chat_completion(choice, reply, usage, model, with_stop)
        for choice, usage in zip(reply.choices, shares, strict=True)
    ]


def _chat_completion(
    choice: _ChatChoice, reply: _Reply, usage: Usage, model: str, with_stop: Callable[[str, str | int | None], str]
) -> Completion:
    _check(choice, model)
    message = choice.message
    finish = _FINISH.get(choice.finish_reason or "", FinishReason.OTHER)
    if message.refusal:
        finish = FinishReason.REFUSAL
    text = message.content
    if text is None:
        # Nothing but reasoning, or a call of a tool, is an answer without text; so is a refusal or a cut. Else it is none.
        said = message.reasoning or message.reasoning_content or message.tool_calls
        if finish is FinishReason.STOP and not said:
            raise TransientError(f"{model}: its answer has no content.", maybe_billed=True)
        text = ""
    if finish is FinishReason.STOP:
        text = with_stop(text, choice.stop_reason)
    return Completion(text, finish, usage, served_by=reply.model, refusal=message.refusal)


def read_completions(body: bytes, model: str, with_stop: Callable[[str, str | int | None], str]) -> list[Completion]:
    """Completions of a raw-text answer; see ``read_chat``."""
    reply = parse(_Completions, body, model)
    _raise_embedded(reply.error)
    shares = _shares(reply, len(reply.choices), model)
    completions = []
    for choice, usage in zip(reply.choices, shares, strict=True):
        _check(choice, model)
        finish = _FINISH.get(choice.finish_reason or "", FinishReason.OTHER)
        text = with_stop(choice.text, choice.stop_reason) if finish is FinishReason.STOP else choice.text
        completions.append(Completion(text, finish, usage, served_by=reply.model))
    return completions


def read_responses(body: bytes, model: str) -> list[Completion]:
    """The one completion of a Responses answer; see ``read_chat``."""
    reply = parse(_Response, body, model)
    if reply.status == "failed" or reply.output is None:
        _raise_embedded(reply.error)
        raise TransientError(f"{model}: its answer has status '{reply.status}' and no output.", maybe_billed=True)
    parts = [part for item in reply.output if item.type == "message" for part in item.content or ()]
    text = "".join(part.text for part in parts if part.type == "output_text")
    refusal = "".join(part.refusal for part in parts if part.type == "refusal") or None
    reason = reply.incomplete_details.reason if reply.incomplete_details else None
    if refusal or reason == "content_filter":
        finish = FinishReason.REFUSAL
    elif reason == "max_output_tokens":
        finish = FinishReason.LENGTH
    elif reply.status == "completed":
        finish = FinishReason.STOP
    else:
        finish = FinishReason.OTHER
    if finish is FinishReason.STOP and not any(part.type == "output_text" for part in parts):
        raise TransientError(f"{model}: its answer has no content.", maybe_billed=True)
    usage = reply.usage.usage() if reply.usage else Usage()
    return [Completion(text, finish, usage, served_by=reply.model, refusal=refusal)]


def _shares(reply: _Reply, count: int, model: str) -> list[Usage]:
    if count == 0:
        raise TransientError(f"{model}: its answer has no choices.", maybe_billed=True)
    return split_usage(reply.usage.usage() if reply.usage else Usage(), count)


def _check(choice: _Choice, model: str) -> None:
    if choice.error is not None or choice.finish_reason == "error":
        words = choice.error.message if choice.error else "no message"
        raise TransientError(f"{model}: the provider failed while answering: {words}", maybe_billed=True)
