"""The ``openai`` adapter: OpenAI, and every server that speaks like it (vLLM, llama.cpp, OpenRouter, DeepSeek, Ollama).

Arguments, beside those of every network adapter (``connection.SHARED_ARGUMENTS``): see ``ARGUMENTS``. With ``base_url``
the key is ``OPENAI_API_KEY``, as with the SDK itself, or the variable that ``api_key_env`` names; a server that wants
none gets none. Several addresses, separated by commas, are equal servers over which requests are balanced.

**Stop strings.** APIs cut a matched stop string off. Where a protocol keeps it, it is put back when the server says
which one it matched (vLLM's ``stop_reason``), and servers other than OpenAI's own are asked to leave it in
(``include_stop_str_in_output``, vLLM and SGLang). OpenAI itself tells neither whether nor which one matched: there the
text stays as it came and ``keep_stop`` is recorded as dropped. A server that accepts the request and does neither
(llama.cpp) cannot be told from one whose model stopped by itself.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from sgpbench.errors import UsageError
from sgpbench.models.connection import HOSTED, SHARED_ARGUMENTS, Connection, Servers, connection_of
from sgpbench.models.http_errors import failure_of, pace_of
from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price, takes
from sgpbench.models.limiter import Pace
from sgpbench.models.openai_replies import EmbeddedError, read_chat, read_completions, read_responses
from sgpbench.models.sampling_rules import Chosen, SamplingRules
from sgpbench.models.wire import http_client, send
from sgpbench.records import Completion, FinishReason, Json, Message, Request, TextPart

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

__all__ = ["ARGUMENTS", "OpenAIModel", "open_openai"]

Api = Literal["chat", "responses", "completions"]
_APIS: tuple[Api, ...] = ("chat", "responses", "completions")
_PATHS: Mapping[Api, str] = {"chat": "/chat/completions", "responses": "/responses", "completions": "/completions"}
_MOST_SAMPLES = 128
_REFUSING_CODES = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
"""Error codes by which OpenAI and Azure say that they refuse the prompt itself."""

ARGUMENTS: Mapping[str, str] = {
    "api": "chat (default), responses, or completions (raw text)",
    "n": "most samples per request; 1 for servers that refuse more",
    "raw_text": "true: raw-text prompts go to /completions, chat prompts still to /chat/completions",
    "reasoning_effort": "how much the model thinks: none, minimal, low, medium, high ...",
}


@takes(SHARED_ARGUMENTS, ARGUMENTS)
def open_openai(spec: ModelSpec) -> Model:
    """Opens a model behind OpenAI's API or one like it.

    Raises:
        UsageError: an argument is unknown or malformed. UnsupportedParameter: the user set what the model fixes.
        ModelUnavailable: there is no key.
    """
    connection = connection_of(
        spec,
        ARGUMENTS,
        key_variables=("OPENAI_API_KEY",),
        url_variable="OPENAI_BASE_URL",
        key_optional=lambda base_urls: bool(base_urls),
        own_host="api.openai.com",
    )
    return OpenAIModel(spec, connection)


class OpenAIModel:
    """A model asked through OpenAI's SDK; a ``Model``. The SDK's own retries are off: the caller retries."""

    def __init__(self, spec: ModelSpec, connection: Connection) -> None:
        self.name = spec.name
        self.sees = spec.sees
        self.price: Price | None = spec.price
        self.concurrency: Concurrency = spec.concurrency or HOSTED
        self.device: str | None = None
        self.endpoint = connection.endpoint("openai")
        self.timeout_s = connection.timeout_s
        self.secrets = connection.secrets
        self._api = _api_of(spec)
        raw = _flag(spec, "raw_text")
        if raw and self._api != "chat":
            raise UsageError("The argument 'raw_text' goes with api=chat; api=completions is raw text anyway.")
        self.accepts: frozenset[Literal["messages", "text"]] = frozenset(
            {"text"} if self._api == "completions" else {"messages", "text"} if raw else {"messages"}
        )
        self.max_n = 1 if self._api == "responses" else _samples(spec)
        self._model_id = spec.model_id
        self._effort = spec.args.get("reasoning_effort")
        self._connection = connection
        own = not connection.base_urls
        lacks = {"stop", "seed"} if self._api == "responses" else set()
        self._rules = SamplingRules(spec, lacks=frozenset(lacks | ({"keep_stop"} if own else set())))
        self.seeds = self._rules.takes_seeds
        self._limit_field = "max_completion_tokens" if own else "max_tokens"
        self._refused_limit_fields: set[str] = set()
        self._seen_several = False
        self._pace: Pace | None = None
        self._servers = Servers(max(1, len(connection.base_urls)))
        self._clients: list[AsyncOpenAI] | None = None
        identity: dict[str, Json] = {"adapter": "openai", "model": spec.model_id, "api": self._api}
        if self._effort:
            identity["reasoning_effort"] = self._effort
        if spec.sampling:
            identity["sampling"] = dict(sorted(spec.sampling.items()))
        self.identity: Mapping[str, Json] = {**identity, **connection.identity()}
        self.other_endpoint = connection.other_endpoint

    def pace(self) -> Pace | None:
        """What the last answers said of the rate limit, once."""
        pace, self._pace = self._pace, None
        return pace

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of one sample of the request."""
        return self._rules.token_limit(request)

    async def generate(self, request: Request) -> Sequence[Completion]:
        """Up to one completion per seed, from one HTTP request (a few more where it refuses a protocol's value)."""
        while True:
            if len(request.seeds) > self.max_n:
                request = replace(request, seeds=request.seeds[: self.max_n])
            chosen = self._rules.choose(request)
            path, body = self._body(request, chosen)
            self._open_clients()  # Importing the SDK is no part of the latency.
            started = time.perf_counter()
            response = await self._post(path, body)
            if response.status_code >= 400:
                refusal = self._complaint(response, chosen, body)
                if refusal is None:
                    continue
                return [Completion("", FinishReason.REFUSAL, refusal=refusal) for _ in request.seeds]
            self._pace = pace_of(response.headers)
            completions = self._read(response, request, chosen, path)
            if len(completions) > 1:
                self._seen_several = True
            elif len(request.seeds) > 1 and not self._seen_several:
                self.max_n = 1  # A server that overlooks n; asking one by one goes side by side.
            latency = time.perf_counter() - started
            return [replace(one, latency_s=latency, dropped=chosen.dropped) for one in completions]

    async def aclose(self) -> None:
        """Closes the connections."""
        clients, self._clients = self._clients or [], None
        for client in clients:
            await client.close()

    # --- within --------------------------------------------------------------------------------------------------

    def _body(self, request: Request, chosen: Chosen) -> tuple[str, dict[str, Json]]:
        kind: Literal["messages", "text"] = "messages" if request.text is None else "text"
        if kind not in self.accepts:
            raise UsageError(f"{self.name} does not take {kind} with api={self._api}.")
        api: Api = self._api if request.text is None else "completions"
        limit_field = {"responses": "max_output_tokens", "completions": "max_tokens"}.get(api, self._limit_field)
        body: dict[str, Json] = {"model": self._model_id, **chosen.renamed({"max_tokens": limit_field})}
        if api == "responses":
            body["input"] = [_response_message(message) for message in request.messages]
            body["store"] = False
            if self._effort:
                body["reasoning"] = {"effort": self._effort}
        else:
            if api == "chat":
                body["messages"] = [_chat_message(message) for message in request.messages]
                if self._effort:
                    body["reasoning_effort"] = self._effort
            else:
                body["prompt"] = request.text
            if len(request.seeds) > 1:
                body["n"] = len(request.seeds)
            if chosen.keep_stop:
                body["include_stop_str_in_output"] = True
        return _PATHS[api], {**body, **self._connection.body}

    async def _post(self, path: str, body: dict[str, Json]) -> httpx2.Response:
        from openai import APIError

        return await send(self._open_clients(), APIError, self._servers, path, body, self.name, self._connection)

    def _open_clients(self) -> list[AsyncOpenAI]:
        if self._clients is None:
            from openai import AsyncOpenAI

            self._clients = [
                AsyncOpenAI(
                    api_key=self._connection.key or "none",
                    base_url=base_url,
                    max_retries=0,
                    default_headers=dict(self._connection.headers),
                    default_query=dict(self._connection.query),
                    http_client=http_client(self.timeout_s),
                )
                for base_url in self._connection.base_urls or (None,)
            ]
        return self._clients

    def _read(self, response: httpx2.Response, request: Request, chosen: Chosen, path: str) -> list[Completion]:
        stops = request.sampling.stop if chosen.keep_stop else ()

        def with_stop(text: str, matched: str | int | None) -> str:
            return text + matched if matched in stops and not text.endswith(str(matched)) else text

        try:
            if path == _PATHS["responses"]:
                return read_responses(response.content, self.name)
            read = read_chat if path == _PATHS["chat"] else read_completions
            return read(response.content, self.name, with_stop)
        except EmbeddedError as error:
            if error.code in _REFUSING_CODES:
                return [Completion("", FinishReason.REFUSAL, refusal=error.message) for _ in request.seeds]
            known = re.fullmatch(r"[45]\d\d", error.code)
            status = int(error.code) if known else 429 if "rate_limit" in error.code else 502
            raise failure_of(self.name, self._connection, status, error.message, response.headers) from None

    def _complaint(self, response: httpx2.Response, chosen: Chosen, body: Mapping[str, Json]) -> str | None:
        """``None`` if asking again without a value may help; the provider's words if it refuses the prompt itself.

        Raises:
            ModelError: what else the status stands for. UnsupportedParameter: it names a value that the user set.
        """
        message, code, parameter = _error_of(response)
        status = response.status_code
        if status in {400, 422}:
            if code in _REFUSING_CODES:
                return message
            if self._takes_other_limit_field(body, message) or self._takes_one_sample(body, message, parameter):
                return None
            if self._rules.refused(chosen, self._connection.secrets.scrub(message), parameter):
                self.seeds = self._rules.takes_seeds
                return None
        raise failure_of(self.name, self._connection, status, message, response.headers, code=code)

    def _takes_other_limit_field(self, body: Mapping[str, Json], message: str) -> bool:
        """Whether the server wants the token limit under its other name (reasoning models, old servers)."""
        names = ("max_tokens", "max_completion_tokens")
        used = next((name for name in names if name in body), None)
        if (
            used is None
            or "prompt" in body
            or not re.search(r"unsupported|unrecognized|not permitted|not supported", message)
        ):
            return False
        other = names[1 - names.index(used)]
        if not re.search(rf"(?<!\w){used}(?!\w)", message):
            return False
        # Refused under both names: then it is not the name.
        again = self._limit_field == used and used not in self._refused_limit_fields
        self._refused_limit_fields.add(used)
        if again:
            self._limit_field = other
        return again or self._limit_field == other

    def _takes_one_sample(self, body: Mapping[str, Json], message: str, parameter: str | None) -> bool:
        """Whether the server refuses to return several samples."""
        if "n" not in body:
            return False
        refused = parameter == "n" or re.search(
            r"one completion choice|['\"`]n['\"`]|\bn\b.{0,20}(must|should|only)", message
        )
        if refused:
            self.max_n = 1
        return bool(refused)


def _error_of(response: httpx2.Response) -> tuple[str, str | None, str | None]:
    """Message, code and parameter of an error body; its text where it is not JSON."""
    try:
        body = cast("object", response.json())
    except ValueError:
        return response.text, None, None
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error), None, None
    inner = error.get("innererror")
    code = error.get("code")
    if isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation":
        code = "content_filter"
    message = error.get("message")
    parameter = error.get("param")
    return (
        message if isinstance(message, str) else str(error),
        None if code is None else str(code),
        parameter if isinstance(parameter, str) else None,
    )


def _chat_message(message: Message) -> Json:
    if all(isinstance(part, TextPart) for part in message.parts):
        return {"role": message.role, "content": "".join(p.text for p in message.parts if isinstance(p, TextPart))}
    parts: list[Json] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append({"type": "text", "text": part.text})
        else:
            parts.append({"type": "image_url", "image_url": {"url": _data_url(part.data, part.media_type)}})
    return {"role": message.role, "content": parts}


def _response_message(message: Message) -> Json:
    kind = "output_text" if message.role == "assistant" else "input_text"
    parts: list[Json] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            parts.append({"type": kind, "text": part.text})
        else:
            parts.append({"type": "input_image", "image_url": _data_url(part.data, part.media_type)})
    return {"role": message.role, "content": parts}


def _data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _api_of(spec: ModelSpec) -> Api:
    text = spec.args.get("api", "chat")
    for api in _APIS:
        if text == api:
            return api
    raise UsageError(f"The argument 'api' of {spec.name} is chat, responses or completions, not '{text}'.")


def _flag(spec: ModelSpec, name: str) -> bool:
    text = spec.args.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise UsageError(f"The argument '{name}' of {spec.name} is true or false, not '{text}'.")
    return text == "true"


def _samples(spec: ModelSpec) -> int:
    text = spec.args.get("n", str(_MOST_SAMPLES))
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_SAMPLES:
        raise UsageError(f"The argument 'n' of {spec.name} is a number from 1 to {_MOST_SAMPLES}, not '{text}'.")
    return int(text)
