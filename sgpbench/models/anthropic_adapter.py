"""The ``anthropic`` adapter: Anthropic's Messages API.

Arguments, beside those of every network adapter (``connection.SHARED_ARGUMENTS``): see ``ARGUMENTS``. While a model
thinks, Anthropic fixes its temperature and top_p: those of the protocol are left out and recorded, those of the user
are an error. The API takes no seed and returns one sample per request.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sgpbench.errors import TransientError, UsageError
from sgpbench.models.connection import HOSTED, SHARED_ARGUMENTS, Connection, Servers, connection_of
from sgpbench.models.http_errors import failure_of, pace_of
from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price, takes
from sgpbench.models.limiter import Pace
from sgpbench.models.sampling_rules import Chosen, SamplingRules
from sgpbench.models.usage import Loose, Several, Tokens, Word
from sgpbench.models.wire import http_client, parse, send
from sgpbench.records import Completion, FinishReason, Json, Message, Request, TextPart, Usage

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

__all__ = ["ARGUMENTS", "AnthropicModel", "open_anthropic"]

_PATH = "/v1/messages"
_TOKENS_WHERE_NONE_GIVEN = 16384
_FINISH: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
}

ARGUMENTS: Mapping[str, str] = {
    "reasoning_effort": "how much effort the model makes: low, medium, high, xhigh, max",
    "thinking_budget": "tokens for thinking (1024 or more), adaptive, or 0 for none",
}


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Block(_Read):
    type: str
    text: str = ""


class _OutputDetails(_Read):
    thinking_tokens: Tokens = None


class _Usage(_Read):
    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None
    output_tokens_details: Annotated[_OutputDetails | None, Loose] = None


class _StopDetails(_Read):
    explanation: Word = None
    category: Word = None


class _Reply(_Read):
    content: Several[_Block] | None = None
    model: Word = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Annotated[_StopDetails | None, Loose] = None
    usage: Annotated[_Usage | None, Loose] = None


class _ErrorDetail(_Read):
    type: str = ""
    message: str = ""


class _ErrorReply(_Read):
    error: _ErrorDetail


@takes(SHARED_ARGUMENTS, ARGUMENTS)
def open_anthropic(spec: ModelSpec) -> Model:
    """Opens a model behind Anthropic's API.

    Raises:
        UsageError: an argument is unknown or malformed. UnsupportedParameter: the user set what the model fixes.
        ModelUnavailable: there is no key.
    """
    connection = connection_of(
        spec,
        ARGUMENTS,
        key_variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        url_variable="ANTHROPIC_BASE_URL",
        key_optional=lambda _: False,
        own_host="api.anthropic.com",
    )
    return AnthropicModel(spec, connection)


class AnthropicModel:
    """A model asked through Anthropic's SDK; a ``Model``. The SDK's own retries are off: the caller retries."""

    def __init__(self, spec: ModelSpec, connection: Connection) -> None:
        self.name = spec.name
        self.accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
        self.sees = spec.sees
        self.max_n = 1
        self.seeds = False
        self.price: Price | None = spec.price
        self.concurrency: Concurrency = spec.concurrency or HOSTED
        self.device: str | None = None
        self.endpoint = connection.endpoint("anthropic")
        self.timeout_s = connection.timeout_s
        self.secrets = connection.secrets
        self._model_id = spec.model_id
        self._connection = connection
        self._effort = spec.args.get("reasoning_effort")
        self._thinking = _thinking(spec)
        lacks = {"seed"}
        if self._thinking is not None and self._thinking["type"] != "disabled":
            lacks |= {"temperature", "top_p"}
        self._rules = SamplingRules(spec, lacks=frozenset(lacks))
        self._pace: Pace | None = None
        self._servers = Servers(max(1, len(connection.base_urls)))
        self._clients: list[AsyncAnthropic] | None = None
        identity: dict[str, Json] = {"adapter": "anthropic", "model": spec.model_id}
        identity |= {name: spec.args[name] for name in ARGUMENTS if name in spec.args}
        if spec.sampling:
            identity["sampling"] = dict(sorted(spec.sampling.items()))
        self.identity: Mapping[str, Json] = {**identity, **connection.identity()}
        self.other_endpoint = connection.other_endpoint

    def pace(self) -> Pace | None:
        """What the last answers said of the rate limit, once."""
        pace, self._pace = self._pace, None
        return pace

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of the sample; the API always wants such a limit."""
        return self._rules.token_limit(request) or _TOKENS_WHERE_NONE_GIVEN

    async def generate(self, request: Request) -> Sequence[Completion]:
        """The completion of the request's first seed, from one HTTP request (more where it refuses a value)."""
        if request.text is not None:
            raise UsageError(f"{self.name} takes messages, not raw text.")
        while True:
            chosen = self._rules.choose(request)
            self._open_clients()  # Importing the SDK is no part of the latency.
            started = time.perf_counter()
            response = await self._post(self._body(request, chosen))
            if response.status_code < 400:
                self._pace = pace_of(response.headers)
                completion = self._read(response.content, chosen)
                return [replace(completion, latency_s=time.perf_counter() - started, dropped=chosen.dropped)]
            message = _message_of(response.content)
            scrubbed = self._connection.secrets.scrub(message)
            if response.status_code not in {400, 422} or not self._rules.refused(chosen, scrubbed):
                raise failure_of(self.name, self._connection, response.status_code, message, response.headers)

    async def aclose(self) -> None:
        """Closes the connections."""
        clients, self._clients = self._clients or [], None
        for client in clients:
            await client.close()

    # --- within --------------------------------------------------------------------------------------------------

    async def _post(self, body: Mapping[str, Json]) -> httpx2.Response:
        from anthropic import APIError

        return await send(self._open_clients(), APIError, self._servers, _PATH, body, self.name, self._connection)

    def _body(self, request: Request, chosen: Chosen) -> dict[str, Json]:
        system = [message for message in request.messages if message.role == "system"]
        body: dict[str, Json] = {
            "model": self._model_id,
            "max_tokens": _TOKENS_WHERE_NONE_GIVEN,
            **chosen.renamed({"stop": "stop_sequences"}),
            "messages": [_turn(message) for message in request.messages if message.role != "system"],
        }
        if system:
            body["system"] = "\n\n".join(
                part.text for message in system for part in message.parts if isinstance(part, TextPart)
            )
        if self._thinking is not None:
            body["thinking"] = self._thinking
        if self._effort:
            body["output_config"] = {"effort": self._effort}
        return {**body, **self._connection.body}

    def _read(self, body: bytes, chosen: Chosen) -> Completion:
        reply = parse(_Reply, body, self.name)
        finish = _FINISH.get(reply.stop_reason or "", FinishReason.OTHER)
        text = "".join(block.text for block in reply.content or () if block.type == "text")
        if reply.content is None or (not reply.content and reply.stop_reason is None):
            raise TransientError(f"{self.name}: its answer has no content.", maybe_billed=True)
        if chosen.keep_stop and reply.stop_reason == "stop_sequence" and reply.stop_sequence:
            text += reply.stop_sequence
        refusal = None
        if finish is FinishReason.REFUSAL and reply.stop_details is not None:
            refusal = reply.stop_details.explanation or reply.stop_details.category
        return Completion(text, finish, _usage(reply.usage), served_by=reply.model, refusal=refusal)

    def _open_clients(self) -> list[AsyncAnthropic]:
        if self._clients is None:
            from anthropic import AsyncAnthropic

            self._clients = [
                AsyncAnthropic(
                    api_key=self._connection.key,
                    base_url=base_url,
                    max_retries=0,
                    default_headers=dict(self._connection.headers),
                    default_query=dict(self._connection.query),
                    http_client=http_client(self.timeout_s),
                )
                for base_url in self._connection.base_urls or (None,)
            ]
        return self._clients


def _thinking(spec: ModelSpec) -> Mapping[str, Json] | None:
    text = spec.args.get("thinking_budget")
    if text is None:
        return None
    if text == "adaptive":
        return {"type": "adaptive"}
    if not text.isdecimal():
        raise UsageError(f"The argument 'thinking_budget' of {spec.name} is tokens, adaptive or 0, not '{text}'.")
    return {"type": "enabled", "budget_tokens": int(text)} if int(text) else {"type": "disabled"}


def _usage(usage: _Usage | None) -> Usage:
    """All input tokens, those written to and read from a cache included."""
    if usage is None or usage.input_tokens is None:
        return Usage()
    read = usage.cache_read_input_tokens
    whole = usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (read or 0)
    details = usage.output_tokens_details
    return Usage(whole, usage.output_tokens, read, details.thinking_tokens if details else None)


def _turn(message: Message) -> Json:
    parts: list[Json] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        else:
            data = base64.b64encode(part.data).decode()
            source: Json = {"type": "base64", "media_type": part.media_type, "data": data}
            parts.append({"type": "image", "source": source})
    return {"role": message.role, "content": parts}


def _message_of(body: bytes) -> str:
    try:
        return _ErrorReply.model_validate_json(body).error.message
    except ValidationError:
        return body.decode(errors="replace")
