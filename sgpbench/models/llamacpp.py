"""The ``llamacpp`` adapter: GGUF models on this machine through xllamacpp (llama.cpp in this process, no torch).

**Equal runs.** llama.cpp gives one sequence the same text whenever it is decoded alone, whatever ran before, on however
many servers. Decoded in one batch with others, the last bits of its logits depend on who the others are, and sampled
texts differ between runs (of 16 texts, 7 to 10 stayed equal at 8 slots). Small models therefore run as several servers
of one slot and one thread each: as fast on all cores as one batching server, and reproducible. Large ones are limited
by memory bandwidth and gain from batches, so they run as one server with several slots; ``slots=1`` makes them
reproducible too. ``identity`` says ``batched`` where it applies.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sgpbench.errors import ModelUnavailable, TransientError, UsageError, unknown_name
from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price, takes
from sgpbench.models.llamacpp_prompts import FORMATS, PromptFormat
from sgpbench.models.llamacpp_server import Answer, LlamaServer, ServerOptions
from sgpbench.models.llamacpp_weights import find_weights, weights_sha256
from sgpbench.models.sampling_rules import Chosen, SamplingRules
from sgpbench.protocol import canonical_hash
from sgpbench.records import Completion, Json, Message, Request, TextPart, Usage
from sgpbench.system import available_cores

__all__ = ["ARGUMENTS", "LlamaModel", "open_llamacpp"]

ARGUMENTS: Mapping[str, str] = {
    "chat_template": "a file with a Jinja chat template, instead of the one in the GGUF",
    "context": "tokens of request and answer together (default 8192, or what the catalog says)",
    "gpu_layers": "layers on the GPU, for an xllamacpp built for one (default 0)",
    "min_p": "leave out tokens less probable than this share of the most probable one (default 0: off)",
    "prompt_format": f"how requests are put: {', '.join(FORMATS)} (default chat)",
    "repeat_penalty": "penalty on repeated tokens (default 1: off)",
    "servers": "servers side by side, each with its own threads (default: one per core for weights under 1 GB, else 1)",
    "slots": "requests decoded in one batch per server (default: 1 for weights under 1 GB, else 8)",
    "threads": "threads per server (default: 1 for weights under 1 GB, else one per core)",
    "top_k": "leave out all but the most probable so many tokens (default 0: off)",
}

_SMALL_BYTES = 1_000_000_000
_MOST_SERVERS = 8
_DEFAULT_CONTEXT = 8192
_SAMPLERS: Mapping[str, float] = {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}
"""llama.cpp has defaults of its own for these, which no protocol asks for: they are switched off unless asked for."""


@takes(ARGUMENTS)
def open_llamacpp(spec: ModelSpec) -> Model:
    """A GGUF model: a path, or the id of packaged weights. The weights are loaded at the first request.

    Raises:
        ModelUnavailable: there are no weights, or the file is not a GGUF. UsageError: an argument is unknown or no number.
    """
    return LlamaModel(spec, find_weights(spec))


@dataclass(frozen=True, slots=True)
class _Lane:
    """A place where one request at a time is answered."""

    server: LlamaServer
    alone: bool
    """Whether nothing else is decoded by its server."""


class LlamaModel:
    """A GGUF model as a ``Model``. Requests are answered in threads; each one is a request of its own to llama.cpp."""

    sees = False
    max_n = 1
    price: Price | None = Price(0, 0, source="runs on this machine")

    def __init__(self, spec: ModelSpec, weights: Path) -> None:
        _check_names(spec)
        self.name = spec.name
        self._format = _format_of(spec)
        self._rules = SamplingRules(spec)
        self.seeds = self._rules.takes_seeds
        self.accepts: frozenset[Literal["messages", "text"]] = frozenset(
            {"messages", "text"} if self._format.raw_text else {"messages"}
        )
        small, cores = weights.stat().st_size < _SMALL_BYTES, available_cores()
        slots = _whole(spec, "slots", 1 if small else 8, least=1)
        self._servers = _whole(spec, "servers", min(cores, _MOST_SERVERS) if small else 1, least=1)
        self._options = ServerOptions(
            weights=weights,
            slots=slots,
            threads=_whole(spec, "threads", 1 if small else cores, least=1),
            context=_whole(spec, "context", min(spec.context_tokens or _DEFAULT_CONTEXT, _DEFAULT_CONTEXT), least=64),
            gpu_layers=_whole(spec, "gpu_layers", 0, least=-1),
            chat_template=_chat_template(spec),
        )
        self._samplers = {name: _number(spec, name, default) for name, default in _SAMPLERS.items()}
        lanes = self._servers * slots
        self.concurrency = Concurrency(lanes, lanes)
        self.device: str | None = "gpu" if self._options.gpu_layers else "cpu"
        sha256 = weights_sha256(weights)
        self.endpoint = f"llamacpp {sha256[:16]}"
        self.identity: Mapping[str, Json] = {
            "adapter": "llamacpp",
            "weights_sha256": sha256,
            "context": self._options.context,
            "batched": slots > 1,
            "prompt_format": spec.args.get("prompt_format", "chat"),
            "prompt_format_hash": self._format.hash,
            **{name: value for name, value in self._samplers.items() if value != _SAMPLERS[name]},
            **({"chat_template": canonical_hash(self._options.chat_template)} if self._options.chat_template else {}),
            **({"sampling": dict(sorted(spec.sampling.items()))} if spec.sampling else {}),
        }
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="llamacpp")
        self._lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        self._loading = threading.Lock()
        self._loaded = False
        self._closed = threading.Event()

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of one sample of the request."""
        return self._rules.token_limit(request)

    async def generate(self, request: Request) -> Sequence[Completion]:
        """One completion per seed."""
        return [await self._one(request, position) for position in range(len(request.seeds))]

    async def _one(self, request: Request, position: int) -> Completion:
        chosen = self._rules.choose(_for_seed(request, position), seed_bits=31)
        cancelled = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, request, chosen, cancelled.is_set)
        try:
            return await work
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def aclose(self) -> None:
        """Ends what is being answered and frees the models."""
        self._closed.set()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        while not self._lanes.empty():
            self._lanes.get_nowait()

    # --- in threads ----------------------------------------------------------------------------------------------

    def _answer(self, request: Request, chosen: Chosen, cancelled: Callable[[], bool]) -> Completion:
        self._load()
        lane = self._lanes.get()
        try:
            started = time.perf_counter()
            answer = self._ask(lane, request, chosen, lambda: cancelled() or self._closed.is_set())
            latency = time.perf_counter() - started
        finally:
            self._lanes.put(lane)
        usage = Usage(answer.input_tokens, answer.output_tokens)
        text = self._format.prefill + _without_stop(answer, chosen, self._format)
        return Completion(text, answer.finish_reason, usage, latency, 0.0, self._options.weights.name, chosen.dropped)

    def _load(self) -> None:
        """Loads the weights once; every waiting thread gets the error if that fails."""
        with self._loading:
            if self._closed.is_set():
                raise TransientError(f"{self.name} was closed.")
            if self._loaded:
                return
            for _ in range(self._servers):
                server = LlamaServer(self._options)
                for _ in range(self._options.slots):
                    self._lanes.put(_Lane(server, alone=self._options.slots == 1))
            self._loaded = True

    def _ask(self, lane: _Lane, request: Request, chosen: Chosen, cancelled: Callable[[], bool]) -> Answer:
        stop = [*_stop_strings(chosen), *self._format.stop]
        body = {**self._sampling(chosen), "cache_prompt": False}
        if request.text is not None:
            return lane.server.ask({"prompt": request.text, **body}, chat=False, stop=stop, cancelled=cancelled)
        messages = [_wire(role, text) for role, text in self._format.before]
        if lane.alone and messages:
            # What stands before every request is read once: an empty request takes the server back to exactly there,
            # so that every answer starts from the same state and equal requests have equal answers.
            empty: list[Json] = [*messages, _wire("user", "")]
            lane.server.ask(
                {"messages": empty, "max_tokens": 1, "cache_prompt": True}, chat=True, stop=(), cancelled=cancelled
            )
            body["cache_prompt"] = True
        messages += [_wire(message.role, _text(message, self.name)) for message in request.messages]
        if self._format.prefill:
            messages.append(_wire("assistant", self._format.prefill))
        body = {"messages": messages, "reasoning_format": "none", **body}
        return lane.server.ask(body, chat=True, stop=stop, cancelled=cancelled)

    def _sampling(self, chosen: Chosen) -> dict[str, Json]:
        asked = {name: value for name, value in chosen.values.items() if name != "stop"}
        return {**self._samplers, **asked}


def _for_seed(request: Request, position: int) -> Request:
    return replace(request, seeds=(request.seeds[position],))


def _stop_strings(chosen: Chosen) -> list[str]:
    stop = chosen.values.get("stop")
    return [str(one) for one in stop] if isinstance(stop, Sequence) and not isinstance(stop, str) else []


def _without_stop(answer: Answer, chosen: Chosen, prompt_format: PromptFormat) -> str:
    """The text without the stop string that ended it, unless that is to stay."""
    if not chosen.keep_stop:
        for stop in _stop_strings(chosen):
            if stop not in prompt_format.stop and answer.text.endswith(stop):
                return answer.text.removesuffix(stop)
    return answer.text


def _wire(role: str, text: str) -> dict[str, Json]:
    return {"role": role, "content": text}


def _text(message: Message, name: str) -> str:
    if not all(isinstance(part, TextPart) for part in message.parts):
        raise ModelUnavailable(f"{name} takes no images.")
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


# --- arguments -------------------------------------------------------------------------------------------------------


def _check_names(spec: ModelSpec) -> None:
    for name in spec.args:
        if name not in ARGUMENTS:
            kind = "argument of the llamacpp adapter"
            raise unknown_name(kind, name, ARGUMENTS, listing=f"sgpbench models show {spec.name}")


def _format_of(spec: ModelSpec) -> PromptFormat:
    name = spec.args.get("prompt_format", "chat")
    if name not in FORMATS:
        raise unknown_name("prompt format", name, FORMATS, listing=f"sgpbench models show {spec.name}")
    return FORMATS[name]


def _chat_template(spec: ModelSpec) -> str | None:
    if "chat_template" not in spec.args:
        return None
    try:
        return Path(spec.args["chat_template"]).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The chat template {spec.args['chat_template']} cannot be read: {error}.") from None


def _whole(spec: ModelSpec, name: str, default: int, *, least: int) -> int:
    text = spec.args.get(name)
    if text is None:
        return default
    if not text.removeprefix("-").isdigit() or int(text) < least:
        raise UsageError(f"The argument '{name}' of {spec.name} is a whole number from {least} up, not '{text}'.")
    return int(text)


def _number(spec: ModelSpec, name: str, default: float) -> float:
    text = spec.args.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise UsageError(f"The argument '{name}' of {spec.name} is a number from 0 up, not '{text}'.")
    return int(value) if isinstance(default, int) else value
