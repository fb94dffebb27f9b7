"""The ``google`` adapter: Gemini through google-genai, at Google AI or (by the SDK's own variables) at Vertex AI.

Arguments, beside those of every network adapter (``connection.SHARED_ARGUMENTS``): see ``ARGUMENTS``. What Gemini blocks,
the prompt or a candidate, is a refusal. Seeds are cut to the 31 bits that the API takes. The API does not tell which
stop string ended a text, so that ``keep_stop`` is recorded as dropped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from sgpbench.errors import ModelError, ModelUnavailable, TransientError, UsageError
from sgpbench.models.connection import HOSTED, SHARED_ARGUMENTS, Connection, connection_of
from sgpbench.models.http_errors import failure_of
from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price, takes
from sgpbench.models.money import split_usage
from sgpbench.models.sampling_rules import Chosen, SamplingRules
from sgpbench.models.usage import Loose, Several, Tokens, Word
from sgpbench.models.wire import http_client, parse, unreached
from sgpbench.records import Completion, FinishReason, Json, Message, Request, TextPart, Usage

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.errors import APIError
    from google.genai.types import Content, GenerateContentConfigDict

__all__ = ["ARGUMENTS", "GoogleModel", "open_google"]

_MOST_SAMPLES = 8
_SEED_BITS = 31
_VERTEX_VARIABLES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
_BLOCKED = frozenset(
    {
        "SAFETY",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "ESCALATION",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
    }
)
_FINISH: Mapping[str, FinishReason] = {"STOP": FinishReason.STOP, "MAX_TOKENS": FinishReason.LENGTH}

ARGUMENTS: Mapping[str, str] = {
    "n": "most samples per request, up to 8; 1 for models that refuse more",
    "reasoning_effort": "thinking level: minimal, low, medium, high, xhigh",
    "thinking_budget": "tokens for thinking; 0 for none, -1 for as many as the model likes",
}


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel)


class _Part(_Read):
    text: str | None = None
    thought: bool = False


class _Content(_Read):
    parts: Several[_Part] | None = None


class _Candidate(_Read):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: Word = None


class _Feedback(_Read):
    block_reason: str | None = None
    block_reason_message: Word = None


class _Usage(_Read):
    prompt_token_count: Tokens = None
    candidates_token_count: Tokens = None
    thoughts_token_count: Tokens = None
    cached_content_token_count: Tokens = None
    total_token_count: Tokens = None


class _Reply(_Read):
    candidates: Several[_Candidate] = ()
    prompt_feedback: _Feedback | None = None
    usage_metadata: Annotated[_Usage | None, Loose] = None
    model_version: Word = None


class _Detail(_Read):
    retry_delay: str | None = None


class _ErrorBody(_Read):
    details: Several[_Detail] = ()


class _ErrorReply(_Read):
    error: _ErrorBody


@takes(SHARED_ARGUMENTS, ARGUMENTS)
def open_google(spec: ModelSpec) -> Model:
    """Opens a Gemini model.

    Raises:
        UsageError: an argument is unknown or malformed. UnsupportedParameter: the user set what the model fixes.
        ModelUnavailable: there is no key.
    """
    connection = connection_of(
        spec,
        ARGUMENTS,
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        url_variable="GOOGLE_GEMINI_BASE_URL",
        key_optional=lambda _: _at_vertex(),
        own_host="generativelanguage.googleapis.com",
    )
    if len(connection.base_urls) > 1:
        raise UsageError("The google adapter takes one base_url.")
    return GoogleModel(spec, connection)


class GoogleModel:
    """A model asked through google-genai; a ``Model``. The SDK's own retries are off: the caller retries."""

    def __init__(self, spec: ModelSpec, connection: Connection) -> None:
        self.name = spec.name
        self.accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
        self.sees = spec.sees
        self.max_n = _samples(spec)
        self.price: Price | None = spec.price
        self.concurrency: Concurrency = spec.concurrency or HOSTED
        self.device: str | None = None
        self.endpoint = connection.endpoint("google")
        self.timeout_s = connection.timeout_s
        self.secrets = connection.secrets
        self._model_id = spec.model_id
        self._connection = connection
        self._rules = SamplingRules(spec, lacks=frozenset({"keep_stop"}))
        self.seeds = self._rules.takes_seeds
        self._thinking = _thinking(spec)
        self._seen_several = False
        self._client: Client | None = None
        self._http: httpx2.AsyncClient | None = None
        identity: dict[str, Json] = {"adapter": "google", "model": spec.model_id}
        identity |= {name: spec.args[name] for name in ("reasoning_effort", "thinking_budget") if name in spec.args}
        if spec.sampling:
            identity["sampling"] = dict(sorted(spec.sampling.items()))
        self.identity: Mapping[str, Json] = {**identity, **connection.identity()}
        self.other_endpoint = connection.other_endpoint

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of one sample of the request."""
        return self._rules.token_limit(request)

    async def generate(self, request: Request) -> Sequence[Completion]:
        """Up to one completion per seed, from one HTTP request (more where it refuses a protocol's value)."""
        from google.genai.errors import APIError

        if request.text is not None:
            raise UsageError(f"{self.name} takes messages, not raw text.")
        while True:
            if len(request.seeds) > self.max_n:
                request = replace(request, seeds=request.seeds[: self.max_n])
            chosen = self._rules.choose(request, seed_bits=_SEED_BITS)
            self._open_client()  # Importing the SDK is no part of the latency.
            started = time.perf_counter()
            body, failure = "", None
            try:
                body = await self._post(request, chosen)
            except APIError as error:
                if self._may_ask_again(error, chosen, several=len(request.seeds) > 1):
                    continue
                failure = self._failure(error)
            if failure is not None:  # Raised here, so that the SDK's error, which may quote a key, is not its context.
                raise failure
            completions = self._read(body, len(request.seeds))
            if len(completions) > 1:
                self._seen_several = True
            elif len(request.seeds) > 1 and not self._seen_several:
                self.max_n = 1
            latency = time.perf_counter() - started
            return [replace(one, latency_s=latency, dropped=chosen.dropped) for one in completions]

    async def aclose(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        http, self._http = self._http, None
        if client is not None:
            client.close()
        if http is not None:
            await http.aclose()

    # --- within --------------------------------------------------------------------------------------------------

    async def _post(self, request: Request, chosen: Chosen) -> str:
        import httpx2

        contents = [_content(message) for message in request.messages if message.role != "system"]
        try:
            reply = await self._open_client().aio.models.generate_content(
                model=self._model_id, contents=list(contents), config=self._config(request, chosen)
            )
        except httpx2.RequestError as error:
            raise unreached(self.name, self._connection, error) from None
        response = reply.sdk_http_response
        return response.body or "" if response else ""

    def _config(self, request: Request, chosen: Chosen) -> GenerateContentConfigDict:
        names = {"top_p": "topP", "max_tokens": "maxOutputTokens", "stop": "stopSequences"}
        settings = chosen.renamed(names)
        if len(request.seeds) > 1:
            settings["candidateCount"] = len(request.seeds)
        if self._thinking is not None:
            settings["thinkingConfig"] = self._thinking
        body = dict(self._connection.body)
        given = body.pop("generationConfig", None)
        if isinstance(given, Mapping):
            settings |= given
        config: GenerateContentConfigDict = {
            "should_return_http_response": True,
            "automatic_function_calling": {"disable": True},
            "http_options": {"extra_body": {**body, "generationConfig": settings}},
        }
        system = [message for message in request.messages if message.role == "system"]
        if system:
            config["system_instruction"] = "\n\n".join(
                part.text for message in system for part in message.parts if isinstance(part, TextPart)
            )
        return config

    def _open_client(self) -> Client:
        if self._client is None:
            from google.auth.exceptions import GoogleAuthError
            from google.genai import Client
            from google.genai.types import HttpOptions

            self._http = http_client(self.timeout_s, self._connection.query)
            try:
                self._client = Client(
                    api_key=self._connection.key,
                    http_options=HttpOptions(
                        base_url=self._connection.base_urls[0] if self._connection.base_urls else None,
                        headers=dict(self._connection.headers),
                        timeout=None if self.timeout_s is None else round(self.timeout_s * 1000),
                        httpx_async_client=self._http,
                    ),
                )
            except (ValueError, GoogleAuthError) as error:
                words = self._connection.secrets.scrub(str(error))
                raise ModelUnavailable(f"{self.name} cannot be reached: {words}") from None
        return self._client

    def _read(self, body: str, wanted: int) -> list[Completion]:
        reply = parse(_Reply, body, self.name)
        usage = _usage(reply.usage_metadata)
        feedback = reply.prompt_feedback
        if not reply.candidates and feedback is not None and feedback.block_reason:
            words = feedback.block_reason_message or feedback.block_reason
            return [
                Completion("", FinishReason.REFUSAL, share, served_by=reply.model_version, refusal=words)
                for share in split_usage(usage, wanted)
            ]
        if not reply.candidates:
            raise TransientError(f"{self.name}: its answer has no candidates.", maybe_billed=True)
        shares = split_usage(usage, len(reply.candidates))
        return [
            self._completion(candidate, share, reply.model_version)
            for candidate, share in zip(reply.candidates, shares, strict=True)
        ]

    def _completion(self, candidate: _Candidate, usage: Usage, served_by: str | None) -> Completion:
        reason = candidate.finish_reason or ""
        finish = FinishReason.REFUSAL if reason in _BLOCKED else _FINISH.get(reason, FinishReason.OTHER)
        if candidate.content is None and finish in {FinishReason.STOP, FinishReason.OTHER}:
            raise TransientError(
                f"{self.name}: its answer has no content ({reason or 'no reason'}).", maybe_billed=True
            )
        parts = candidate.content.parts or () if candidate.content else ()
        text = "".join(part.text for part in parts if part.text and not part.thought)
        refusal = candidate.finish_message or reason if finish is FinishReason.REFUSAL else None
        return Completion(text, finish, usage, served_by=served_by, refusal=refusal)

    def _may_ask_again(self, error: APIError, chosen: Chosen, *, several: bool) -> bool:
        """Whether the provider refuses a value of the protocol, or several samples, and would take the rest."""
        if error.code != 400:
            return False
        message = self._connection.secrets.scrub(str(error.message or error.details))
        if several and ("candidate" in message.lower()):
            self.max_n = 1
            return True
        again = self._rules.refused(chosen, message)
        self.seeds = self._rules.takes_seeds
        return again

    def _failure(self, error: APIError) -> ModelError:
        headers = getattr(error.response, "headers", None) or {}
        message = str(error.message or error.details)
        wait = _retry_delay_s(error)
        return failure_of(self.name, self._connection, error.code, message, headers, retry_after=wait)


def _at_vertex() -> bool:
    return any(os.environ.get(name, "").lower() in {"true", "1"} for name in _VERTEX_VARIABLES)


def _thinking(spec: ModelSpec) -> Mapping[str, Json] | None:
    thinking: dict[str, Json] = {}
    text = spec.args.get("thinking_budget")
    if text is not None:
        if not text.removeprefix("-").isdecimal():
            raise UsageError(f"The argument 'thinking_budget' of {spec.name} is a number of tokens, not '{text}'.")
        thinking["thinkingBudget"] = int(text)
    if effort := spec.args.get("reasoning_effort"):
        thinking["thinkingLevel"] = effort.upper()
    return thinking or None


def _samples(spec: ModelSpec) -> int:
    text = spec.args.get("n", str(_MOST_SAMPLES))
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_SAMPLES:
        raise UsageError(f"The argument 'n' of {spec.name} is a number from 1 to {_MOST_SAMPLES}, not '{text}'.")
    return int(text)


def _usage(usage: _Usage | None) -> Usage:
    """Output tokens are those of the candidates and of the thoughts, which Gemini counts apart."""
    if usage is None:
        return Usage()
    thoughts = usage.thoughts_token_count
    output = usage.candidates_token_count
    if output is not None or thoughts is not None:
        output = (output or 0) + (thoughts or 0)
    elif usage.prompt_token_count is not None:
        output = 0  # A blocked prompt: nothing was written.
    return Usage(usage.prompt_token_count, output, usage.cached_content_token_count, thoughts)


def _content(message: Message) -> Content:
    from google.genai.types import Content, Part

    parts = [
        Part.from_text(text=part.text)
        if isinstance(part, TextPart)
        else Part.from_bytes(data=part.data, mime_type=part.media_type)
        for part in message.parts
    ]
    return Content(role="model" if message.role == "assistant" else "user", parts=parts)


def _retry_delay_s(error: APIError) -> float | None:
    """Seconds from the body's ``RetryInfo``, which Google sends instead of a header."""
    try:
        details = _ErrorReply.model_validate(error.details).error.details
    except ValidationError:
        return None
    delays = [detail.retry_delay.removesuffix("s") for detail in details if detail.retry_delay]
    return max((float(delay) for delay in delays if delay.replace(".", "", 1).isdecimal()), default=None)
