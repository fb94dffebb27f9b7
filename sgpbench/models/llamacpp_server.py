"""One llama.cpp server inside this process, asked from threads. The only module that touches ``xllamacpp``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from sgpbench.errors import ModelUnavailable, TransientError
from sgpbench.records import FinishReason, Json

__all__ = ["Answer", "LlamaServer", "ServerOptions", "xllamacpp_is_here"]

_Chunk = Mapping[str, Json]
_Handler = Callable[[Mapping[str, Json], Callable[[_Chunk], bool]], None]


class _Handle(Protocol):
    """What we use of ``xllamacpp.Server``."""

    handle_completions: _Handler
    handle_chat_completions: _Handler


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is set up. None of it but ``context`` decides an answer when ``slots`` is 1."""

    weights: Path
    slots: int
    """Requests decoded together in one batch."""
    threads: int
    context: int
    """Tokens of request and answer together, per slot."""
    gpu_layers: int
    chat_template: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request returned."""

    text: str
    finish_reason: FinishReason
    input_tokens: int | None
    output_tokens: int | None


def xllamacpp_is_here() -> bool:
    """Whether the package can be imported (it is, to see whether its library loads)."""
    try:
        import xllamacpp  # noqa: F401
    except ImportError:
        return False
    return True


class LlamaServer:
    """A loaded model. Loading takes about a second per GB; memory is the weights (shared between servers) and a cache.

    llama.cpp opens a port on this machine with every server, and nothing turns that off: it is closed to all by a random
    key that nobody knows.

    Raises:
        ModelUnavailable: xllamacpp is not installed, or llama.cpp cannot load the file.
    """

    def __init__(self, options: ServerOptions) -> None:
        try:
            import xllamacpp
        except ImportError as error:
            raise ModelUnavailable(
                f"Local models need xllamacpp, which does not import here: {error}.",
                remedy="Run `pip install 'sgpbench[local]'`.",
            ) from None
        params = xllamacpp.CommonParams()
        params.model.path = str(options.weights)
        params.n_parallel = options.slots
        params.n_ctx = options.slots * options.context
        params.n_gpu_layers = options.gpu_layers
        params.fit_params = False  # It would change the context by the memory that happens to be free.
        params.cache_ram_mib = 0
        params.cache_idle_slots = False
        params.warmup = False
        params.verbosity = -1
        params.api_keys = [secrets.token_hex(32)]
        params.ui = False
        if options.chat_template is not None:
            params.chat_template = options.chat_template
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = options.threads
            cpu.poll = 0  # Threads that spin while they wait take the cores from rendering.
        try:
            self._server = cast("_Handle", xllamacpp.Server(params))
        except RuntimeError as error:
            raise ModelUnavailable(
                f"llama.cpp cannot load {options.weights}: {error}",
                remedy="Is the file whole, and of an architecture this xllamacpp knows?",
            ) from None

    def ask(
        self, body: Mapping[str, Json], *, chat: bool, stop: Sequence[str], cancelled: Callable[[], bool]
    ) -> Answer:
        """One answer; blocks until it is whole, one of ``stop`` ended it (and is then its end), or it is cancelled.

        Raises:
            ModelUnavailable: the request does not fit the context, or is refused. TransientError: it ended early.
        """
        reader = _Reader(stop, cancelled)
        handle = self._server.handle_chat_completions if chat else self._server.handle_completions
        handle({**body, "stream": True, "timings_per_token": True}, reader.take)
        return reader.answer()


class _Reader:
    """Puts the pieces of a streamed answer together, and ends it at a stop string."""

    def __init__(self, stop: Sequence[str], cancelled: Callable[[], bool]) -> None:
        self._stop = [text for text in stop if text]
        self._longest = max(map(len, self._stop), default=0)
        self._cancelled = cancelled
        self._text = ""
        self._reason: FinishReason | None = None
        self._error: str | None = None
        self._input: int | None = None
        self._output: int | None = None
        self._ended = False

    def take(self, chunk: _Chunk) -> bool:
        """Called by llama.cpp with each piece; returns whether to end the answer here."""
        if error := chunk.get("error"):
            self._error = str(error.get("message") or error) if isinstance(error, Mapping) else str(error)
            return True
        self._count(chunk)
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, Sequence) else ():
            if isinstance(choice, Mapping):
                self._take_choice(choice)
        return self._ended or self._cancelled()

    def _take_choice(self, choice: Mapping[str, Json]) -> None:
        delta = choice.get("delta")
        piece = delta.get("content") if isinstance(delta, Mapping) else choice.get("text")
        if isinstance(piece, str) and piece:
            searched = max(0, len(self._text) - self._longest)
            self._text += piece
            ends = [at + len(stop) for stop in self._stop if (at := self._text.find(stop, searched)) >= 0]
            if ends:
                self._text = self._text[: min(ends)]
                self._reason, self._ended = FinishReason.STOP, True
                return
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            known = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
            self._reason = known.get(reason, FinishReason.OTHER)

    def _count(self, chunk: _Chunk) -> None:
        timings, usage = chunk.get("timings"), chunk.get("usage")
        if isinstance(timings, Mapping):
            self._input = _sum(timings.get("prompt_n"), timings.get("cache_n"))
            self._output = _sum(timings.get("predicted_n"))
        if isinstance(usage, Mapping):
            self._input = _sum(usage.get("prompt_tokens"))
            self._output = _sum(usage.get("completion_tokens"))

    def answer(self) -> Answer:
        if self._error is not None:
            raise ModelUnavailable(f"llama.cpp refuses the request: {self._error}.", remedy="See --model-arg context=.")
        if self._reason is None:
            raise TransientError("llama.cpp ended an answer early.")
        return Answer(self._text, self._reason, self._input, self._output)


def _sum(*counts: Json) -> int | None:
    known = [int(count) for count in counts if isinstance(count, int | float)]
    return sum(known) if known else None
