"""The ``vllm`` adapter: a checkpoint (hub id or folder) served by vLLM, which we start, ask and stop, or attach to.

vLLM is never imported: its environment is its own, and we run its executable. Requests go through the ``openai``
adapter; raw text to ``/completions``, messages to ``/chat/completions``. Several nodes: start vLLM there yourself
(``docs/vllm.md``) and attach with ``base_url``, one address or several equal servers with commas between.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from sgpbench.errors import ModelError, ModelUnavailable, TransientError, UsageError, unknown_name
from sgpbench.models.checkpoints import checkpoint_fingerprint
from sgpbench.models.connection import SHARED_ARGUMENTS, seconds
from sgpbench.models.endpoints import endpoint_of
from sgpbench.models.interface import Concurrency, KnowsSecrets, Model, ModelSpec, Price, takes
from sgpbench.models.openai_adapter import open_openai
from sgpbench.models.sampling_rules import SamplingRules
from sgpbench.models.vllm_server import VllmServer, find_executable, serve_command, served_context
from sgpbench.paths import cache_dir
from sgpbench.protocol import canonical_hash
from sgpbench.publishable import publishable_body, publishable_field
from sgpbench.records import Completion, Json, Request
from sgpbench.redaction import Secrets, environment_secrets

__all__ = ["ARGUMENTS", "VllmModel", "open_vllm"]

_SERVING: Mapping[str, str] = {
    "chat_template": "a file with a Jinja chat template, instead of the checkpoint's",
    "data_parallel_size": "copies of the model, one per group of GPUs",
    "dtype": "auto (default), bfloat16, float16, float32",
    "executable": "the vllm command, or the Python of its environment (default: vllm on PATH)",
    "flag.NAME": "a further flag of `vllm serve`: flag.max-num-seqs=64, flag.trust-remote-code=true",
    "generation_config": "vllm (default: sampling values nobody asked for stay off), or auto: the checkpoint's",
    "lora": "name=path of a LoRA adapter, which is then what is asked",
    "max_model_len": "tokens of request and answer together",
    "revision": "branch, tag or commit on the hub",
    "start_timeout": "seconds the server may take to be ready (default 3600: weights may have to be fetched)",
    "tensor_parallel_size": "GPUs one copy of the model is spread over",
}
ARGUMENTS: Mapping[str, str] = {
    **SHARED_ARGUMENTS,
    **_SERVING,
    "base_url": "attach to a running server (http://HOST:PORT/v1), or to several, with commas between; nothing is started",
    "device": "gpu (default) or cpu: models on the same device take turns",
    "n": "most samples per request (default 64)",
}
_FLAGS = {
    "chat_template": "--chat-template",
    "data_parallel_size": "--data-parallel-size",
    "dtype": "--dtype",
    "max_model_len": "--max-model-len",
    "revision": "--revision",
    "tensor_parallel_size": "--tensor-parallel-size",
}
_WHOLE_NUMBERS = ("data_parallel_size", "max_model_len", "tensor_parallel_size")
_CHANGING_ANSWERS = ("dtype", "max_model_len", "revision", "generation_config")
_SPEED_FLAGS = frozenset(
    {
        *(
            "gpu-memory-utilization",
            "max-num-seqs",
            "max-num-batched-tokens",
            "enforce-eager",
            "pipeline-parallel-size",
        ),
        *("distributed-executor-backend", "download-dir", "load-format", "api-server-count", "uvicorn-log-level"),
        *("disable-log-stats", "enable-log-requests", "enable-prefix-caching", "cpu-offload-gb", "swap-space"),
    }
)
"""Flags of speed, memory and logs, which are no part of a run's identity; all other ones are."""
_IN_FLIGHT = Concurrency(64, 256)
_ANSWER_S = 600.0
_START_S = 3600.0
_SECRET_FLAGS = frozenset({"api-key", "hf-token", "ssl-keyfile-password"})
_MOST_SAMPLES = 64


@takes(ARGUMENTS)
def open_vllm(spec: ModelSpec) -> Model:
    """A checkpoint served by vLLM. A server of ours is started at the first request.

    Raises:
        UsageError: an argument is unknown, malformed, or about starting a server where one is attached to.
        ModelUnavailable: there is no vllm.
    """
    _check_names(spec)
    secrets = _checked_requests(spec)
    serving = sorted(name for name in spec.args if name in _SERVING or name.startswith("flag."))
    if "base_url" in spec.args:
        if serving:
            raise UsageError(
                f"{' and '.join(serving)} would set up a server, and with base_url none is started.",
                remedy="Leave one of them out.",
            )
        return VllmModel(spec, None, secrets)
    log = cache_dir() / "servers" / _log_name(spec)
    timeout = seconds(spec, "start_timeout") or _START_S
    executable = Path("vllm") if spec.looked_at else find_executable(spec.args.get("executable"))
    command = serve_command(executable, spec.model_id, _serve_flags(spec))
    return VllmModel(spec, VllmServer(command, log, start_timeout_s=timeout), secrets)


class VllmModel:
    """A model on one server of ours, or on servers of others; a ``Model``."""

    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages", "text"})
    price: Price | None = Price(0, 0, source="runs on hardware of your own")

    def __init__(self, spec: ModelSpec, server: VllmServer | None, secrets: Secrets) -> None:
        self.name = spec.name
        self.secrets = secrets
        self.sees = spec.sees
        self.max_n = int(spec.args.get("n", _MOST_SAMPLES))
        self._rules = SamplingRules(spec)
        self.seeds = self._rules.takes_seeds
        self.concurrency = spec.concurrency or _IN_FLIGHT
        self._spec = spec
        self._server = server
        self._start: asyncio.Task[Model] | None = None
        self._inner: Model | None = None
        self._answer_s = seconds(spec, "timeout") or _ANSWER_S
        self.timeout_s = self._answer_s + (server.start_timeout_s if server else 0.0)
        """Seconds one request may take; the first one waits for the server to load the checkpoint."""
        attached = spec.args.get("base_url")
        self.endpoint = f"vllm {attached or (server and server.log.name)}"
        self.device: str | None = spec.args.get("device", None if attached else "gpu")
        self.identity: Mapping[str, Json] = _identity(spec)
        addresses = [url.strip() for url in attached.split(",")] if attached else []
        self.other_endpoint = endpoint_of(spec.name, addresses)

    def keep_log(self, folder: Path) -> None:
        """Puts the log of a server of ours into that folder, beside those it is in already."""
        if self._server is not None:
            self._server.keep_log(folder)

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of one sample of the request."""
        return self._rules.token_limit(request)

    async def generate(self, request: Request) -> Sequence[Completion]:
        """One completion per seed, from one HTTP request; the first one starts the server.

        Raises:
            ModelUnavailable: the server does not start, or has died; the message quotes its log.
        """
        inner = await self._ready()
        try:
            async with asyncio.timeout(self._answer_s):
                return await inner.generate(request)
        except TimeoutError:
            raise TransientError(f"{self.name} took longer than {self._answer_s:g} s.", maybe_billed=True) from None
        except TransientError:
            if self._server is not None and await self._server.has_died():
                raise self._server.failure("ended while it was used") from None
            raise

    async def _ready(self) -> Model:
        if self._inner is not None:
            return self._inner
        # One start for all who wait, which goes on when one of them gives up.
        if self._start is None:
            self._start = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(self._start)
        except ModelError:
            self._start = None
            raise

    async def _open(self) -> Model:
        if self._server is not None:
            await self._server.start()
        asked = _as_openai(self._spec, self._server.base_url if self._server else None)
        # vLLM refuses a request that could outgrow the context, so the protocol's token limit is lowered to fit.
        found = await asyncio.to_thread(served_context, asked.args["base_url"].split(",")[0].strip(), asked.model_id)
        contexts = [tokens for tokens in (found, asked.context_tokens) if tokens is not None]
        asked = dataclasses.replace(asked, context_tokens=min(contexts, default=None))
        self._rules = SamplingRules(asked)
        self._inner = open_openai(asked)
        return self._inner

    async def aclose(self) -> None:
        """Stops a server of ours, with all its processes."""
        start, self._start = self._start, None
        if start is not None and not start.done():
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.aclose()
        if self._server is not None:
            await self._server.stop()


def _as_openai(spec: ModelSpec, base_url: str | None) -> ModelSpec:
    """The same model for the ``openai`` adapter."""
    own = {name: text for name, text in spec.args.items() if name not in _SERVING and not name.startswith("flag.")}
    own.pop("device", None)
    lora = spec.args.get("lora")
    return dataclasses.replace(
        spec,
        adapter="openai",
        model_id=lora.partition("=")[0] if lora else spec.model_id,
        args={
            **own,
            "base_url": base_url or own["base_url"],
            "raw_text": "true",
            "n": own.get("n", str(_MOST_SAMPLES)),
        },
    )


def _identity(spec: ModelSpec) -> dict[str, Json]:
    identity: dict[str, Json] = {"adapter": "vllm", "model": spec.model_id}
    if "base_url" not in spec.args:
        if (folder := Path(spec.model_id)).is_dir():
            identity["model"] = f"{folder.resolve().name} {checkpoint_fingerprint(folder)}"
        identity["generation_config"] = "vllm"
    identity.update({name: spec.args[name] for name in _CHANGING_ANSWERS if name in spec.args})
    if template := spec.args.get("chat_template"):
        identity["chat_template"] = canonical_hash(_text_of(Path(template)))
    if lora := spec.args.get("lora"):
        name, _, path = lora.partition("=")
        identity["lora"] = f"{name} {checkpoint_fingerprint(Path(path))}" if Path(path).is_dir() else lora
    for name in sorted(spec.args):
        family, _, rest = name.partition(".")
        changes = {
            "body": True,
            "query": True,
            "flag": rest not in _SPEED_FLAGS,
            "header": not spec.args[name].startswith("env:"),
        }
        if changes.get(family, False):
            identity[name] = _publishable(family, rest, spec.args[name])
    if spec.sampling:
        identity["sampling"] = dict(sorted(spec.sampling.items()))
    return identity


def _publishable(family: str, name: str, text: str) -> Json:
    return publishable_field(name, text) if family in {"query", "header"} else publishable_body(text)


def _serve_flags(spec: ModelSpec) -> list[str]:
    flags = ["--served-model-name", spec.model_id, "--generation-config", spec.args.get("generation_config", "vllm")]
    for name, flag in _FLAGS.items():
        if name in spec.args:
            flags += [flag, spec.args[name]]
    if lora := spec.args.get("lora"):
        if not re.fullmatch(r"[^=\s]+=\S.*", lora):
            raise UsageError(f"lora={lora} is not name=path.")
        flags += ["--enable-lora", "--lora-modules", lora]
    if spec.args.get("device") == "cpu" and "flag.enable-chunked-prefill" not in spec.args:
        # Where a prompt is read in parts, a server on a CPU dies of the first request with a seed (vLLM 0.32).
        flags.append("--no-enable-chunked-prefill")
    for name in sorted(spec.args):
        if name.startswith("flag."):
            flag, value = name.removeprefix("flag.").replace("_", "-"), spec.args[name]
            flags += {"true": [f"--{flag}"], "false": [f"--no-{flag}"]}.get(value, [f"--{flag}", value])
    return flags


def _checked_requests(spec: ModelSpec) -> Secrets:
    """Finds at once what the adapter that asks the server would refuse: keys in arguments, malformed addresses.

    Returns what must not come out of the model. Arguments are part of a run's identity and are stored, so none may hold a key.
    """
    for name in spec.args:
        if name.removeprefix("flag.").replace("_", "-") in _SECRET_FLAGS:
            raise UsageError(
                f"The argument '{name}' of {spec.name} would store a key with the run.",
                remedy="A server of ours listens on this machine only and needs none; set HF_TOKEN for gated checkpoints.",
            )
    inner = open_openai(_as_openai(spec, spec.args.get("base_url", "http://127.0.0.1:1/v1")))
    return inner.secrets if isinstance(inner, KnowsSecrets) else environment_secrets()


def _check_names(spec: ModelSpec) -> None:
    families = tuple(name.removesuffix("NAME") for name in ARGUMENTS if name.endswith(".NAME"))
    for name in spec.args:
        if name not in ARGUMENTS and not name.startswith(families):
            known = [one.removesuffix("NAME") for one in ARGUMENTS]
            kind = "argument of the vllm adapter"
            raise unknown_name(kind, name, known, listing=f"sgpbench models show {spec.name}")
    for name in (*_WHOLE_NUMBERS, "n"):
        if name in spec.args and not (spec.args[name].isdigit() and int(spec.args[name]) > 0):
            raise UsageError(f"The argument '{name}' of {spec.name} is a whole number, not '{spec.args[name]}'.")
    if spec.args.get("device", "gpu") not in {"gpu", "cpu"}:
        raise UsageError(f"The device of {spec.name} is gpu or cpu, not '{spec.args['device']}'.")
    if (template := spec.args.get("chat_template")) and not Path(template).is_file():
        raise ModelUnavailable(f"There is no chat template {template}.")


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}.") from None


def _log_name(spec: ModelSpec) -> str:
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", spec.model_id).strip("-")[-60:]
    return f"vllm-{model}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
