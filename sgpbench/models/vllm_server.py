"""Starts a vLLM server as a process of its own environment, waits until it is healthy, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from sgpbench.errors import ModelUnavailable

__all__ = ["VllmServer", "find_executable", "serve_command", "served_context"]

_LOG = logging.getLogger(__name__)
_SUPERVISOR = Path(__file__).with_name("vllm_supervisor.py")
_ADDRESS_TRIES = 3
_END_S = 20.0
_TAIL_LINES = 8
_LINE = 400
_MOST_BYTES = 1 << 20
_LOOKS = 10
_BETWEEN_LOOKS_S = 0.1
_ERROR = re.compile(r"(^|[\s.])[A-Z]\w*(Error|Exception): ")
_NOT_ITS_BUSINESS = re.compile(r"(OPENAI|ANTHROPIC|GEMINI|GOOGLE|DEEPSEEK|OPENROUTER)_API_KEY$")
"""Keys in our environment that a server has no use for."""


def find_executable(given: str | None) -> Path:
    """The ``vllm`` command: the given one (or the Python of vLLM's environment), else the first on ``PATH``.

    Raises:
        ModelUnavailable: there is none.
    """
    if given is None:
        found = shutil.which("vllm")
        if found is None:
            raise ModelUnavailable(
                "There is no vllm on PATH.",
                remedy="Install it in an environment of its own and name it with --model-arg executable=PATH, or attach "
                "to a running server with --model-arg base_url=http://HOST:PORT/v1 (docs/vllm.md).",
            )
        return Path(found)
    found = shutil.which(str(Path(given).expanduser()))
    if found is None:
        raise ModelUnavailable(f"There is no program {given}.", remedy="Give executable= the path of vllm.")
    return Path(found)


def serve_command(executable: Path, model: str, flags: Sequence[str]) -> list[str]:
    """The command that serves ``model``; a Python is told to run vLLM's server module."""
    if re.fullmatch(r"python[0-9.]*", executable.name):
        return [str(executable), "-m", "vllm.entrypoints.openai.api_server", "--model", model, *flags]
    return [str(executable), "serve", model, *flags]


class VllmServer:
    """One server on a free port of this machine.

    Its output goes to ``log``, or into the folders that ``keep_log`` names. It ends with ``stop``, and also when this
    process dies in whatever way: a supervisor process of the standard library alone watches over it
    (``vllm_supervisor``).
    """

    def __init__(self, command: Sequence[str], log: Path, *, start_timeout_s: float) -> None:
        self._command = list(command)
        self.log = log
        self.start_timeout_s = start_timeout_s
        self._folders: list[Path] = []
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.base_url = ""

    def keep_log(self, folder: Path) -> None:
        """Keeps the log in that folder; where there are several, it is one file with a name in each."""
        first = not self._folders and self._supervisor is None
        self._folders.append(folder)
        if first:
            self.log = folder / self.log.name
        else:
            self._link_log()

    def _link_log(self) -> None:
        for folder in self._folders:
            # Not every file system knows links; the first folder has the log all the same.
            with contextlib.suppress(OSError):
                os.link(self.log, folder / self.log.name)

    async def start(self) -> None:
        """Starts it and waits until it is healthy.

        Raises:
            ModelUnavailable: it ended, or took too long; the message holds the last lines of its log. Or this system
                cannot watch over a server.
        """
        if not hasattr(os, "pidfd_open"):
            raise ModelUnavailable(
                "vLLM is started only on Linux, where sgpbench can watch over the server.",
                remedy="Start it yourself, and name it with --model-arg base_url=http://HOST:8000/v1",
            )
        for left in reversed(range(_ADDRESS_TRIES)):
            port = _free_port()
            self._launch(port)
            if await self._healthy(port):
                self._port = port
                self.base_url = f"http://127.0.0.1:{port}/v1"
                return
            tail = self.tail()
            if not left or "address already in use" not in tail.lower():
                raise self.failure("did not start")

    def _launch(self, port: int) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-S", "-E", str(_SUPERVISOR), str(os.getpid()), *self._command]
        with self.log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(Path(self._command[0])),
                start_new_session=True,
            )
        self._link_log()
        _LOG.info("started %s (log: %s)", " ".join(self._command), self.log)

    async def _healthy(self, port: int) -> bool:
        """Waits for the server; ``False`` if it ended.

        Raises:
            ModelUnavailable: it took longer than the time allowed; it is ended.
        """
        deadline = time.monotonic() + self.start_timeout_s
        while self.is_running:
            if await asyncio.to_thread(_answers, port):
                return True
            if time.monotonic() > deadline:
                failure = self.failure(f"was not ready after {self.start_timeout_s:g} s")
                await self.stop()
                raise failure
            await asyncio.sleep(0.5)
        return False

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._supervisor is not None and self._supervisor.poll() is None

    async def has_died(self) -> bool:
        """Whether it listens no more (its other processes may still be ending).

        Looks for a moment: a process that has just closed a connection in dying may hold its port a little longer.
        """
        for _ in range(_LOOKS):
            if not self.is_running or await asyncio.to_thread(_refuses, self._port):
                return True
            await asyncio.sleep(_BETWEEN_LOOKS_S)
        return False

    def failure(self, what: str) -> ModelUnavailable:
        """An error that quotes the log."""
        return ModelUnavailable(f"The vLLM server {what}. From its log {self.log}:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the log, after the first error in it, which is often a worker's and far above."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 65_536))
                lines = [line[:_LINE] for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError as error:
            return f"(the log cannot be read: {error.strerror})"
        last = lines[-_TAIL_LINES:]
        first_error = next((line for line in lines if _ERROR.search(line)), None)
        return "\n".join(last if first_error is None or first_error in last else [first_error, "...", *last])

    async def stop(self) -> None:
        """Ends the server and all its processes; returns when they are gone."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        self._link_log()
        assert supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()
        try:
            await asyncio.to_thread(supervisor.wait, _END_S)
        except subprocess.TimeoutExpired:
            supervisor.terminate()
            await asyncio.to_thread(supervisor.wait)


def served_context(base_url: str, model: str) -> int | None:
    """The context a server offers a model with, in tokens; ``None`` where it does not say."""
    try:
        with urllib.request.urlopen(f"{base_url}/models", timeout=30) as response:
            offered = json.loads(response.read(_MOST_BYTES))["data"]
        return next((int(one["max_model_len"]) for one in offered if one["id"] == model), None)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, HTTPException):
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    """Whether ``GET /health`` says 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(5)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _refuses(port: int) -> bool:
    """Whether nothing listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _environment(executable: Path) -> Mapping[str, str]:
    """Ours without keys, with the programs of vLLM's own environment first (it compiles kernels with them)."""
    kept = {name: value for name, value in os.environ.items() if not _NOT_ITS_BUSINESS.search(name)}
    for ours in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        kept.pop(ours, None)
    kept["PATH"] = f"{executable.absolute().parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept
