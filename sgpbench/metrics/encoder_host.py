"""Encoders in a process of their own, so that torch never enters the main one and its death harms no run.

The process is started with the first request. If it dies (most likely killed for memory) it is started once more with
smaller batches and asked again; if that fails too, ``EncodersLost`` is raised and what was asked stays pending.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import IO

from sgpbench.metrics.encoding import EncoderError, EncodersLost, Reply, Request

__all__ = ["EncoderHost"]

_LOG = logging.getLogger(__name__)
_SMALLER_BATCH = 4
"""Largest batch of a process that was started because another one died."""
_CHILD = "sgpbench.metrics.encoder_child"


_SURROUNDINGS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


class _Died(Exception):
    """The process ended before it answered; holds what is known of why."""


class EncoderHost:
    """See ``encoding.Encoders``. Any number of threads may call; their requests are answered in turn."""

    def __init__(self, device: str = "auto", *, largest_batch: int = 0) -> None:
        """``largest_batch`` 0 leaves it to the device."""
        self._device = device
        self._largest_batch = largest_batch
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process that holds the encoders, if it is running."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def call(self, request: Request) -> Reply:
        """See ``encoding.Encoders``; blocks until the answer is there."""
        process = self._running()
        try:
            return process.ask(request)
        except _Died as first:
            _LOG.warning("the process of the encoders ended (%s); starting it again with smaller batches", first)
        process = self._running(instead_of=process)
        try:
            return process.ask(request)
        except _Died as second:
            raise EncodersLost(f"the process of the encoders ended twice ({second})") from second

    def _running(self, instead_of: _Process | None = None) -> _Process:
        with self._lock:
            if self._closed:
                raise EncoderError("The encoders are closed.")
            if self._process is None:
                self._process = _Process(self._device, self._largest_batch)
            elif not self._process.alive or self._process is instead_of:
                self._process.end()
                self._largest_batch = min(self._largest_batch or _SMALLER_BATCH, _SMALLER_BATCH)
                self._process = _Process(self._device, self._largest_batch)
            return self._process

    def close(self) -> None:
        """Ends the process; what is still being computed is given up."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.end()
                self._process = None


class _Process:
    """One run of ``encoder_child`` and the answers it owes."""

    def __init__(self, device: str, largest_batch: int) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", _CHILD, str(theirs.fileno()), device, str(largest_batch)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env={**os.environ, **_SURROUNDINGS},
            )
        self._connection = Connection(ours.detach())
        self._tickets = itertools.count()
        self._sending = threading.Lock()
        self._owed: dict[int, Future[Reply]] = {}
        self._gone = False
        threading.Thread(target=self._receive, name="encoders", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return not self._gone

    def ask(self, request: Request) -> Reply:
        """Raises: _Died, EncoderError."""
        answer: Future[Reply] = Future()
        with self._sending:
            if self._gone:
                raise _Died(self._cause())
            ticket = next(self._tickets)
            self._owed[ticket] = answer
            try:
                self._connection.send((ticket, request))
            except OSError:
                self._owed.pop(ticket, None)
                raise _Died(self._cause()) from None
        return answer.result()

    def _receive(self) -> None:
        while True:
            try:
                ticket, reply = self._connection.recv()
            except (EOFError, OSError):
                break
            answer = self._owed.pop(ticket)
            if isinstance(reply, str):
                answer.set_exception(EncoderError(reply))
            else:
                answer.set_result(reply)
        with self._sending:
            self._gone = True
            cause = self._cause()
            for answer in self._owed.values():
                answer.set_exception(_Died(cause))
            self._owed.clear()

    def _cause(self) -> str:
        try:
            status = self._popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if status < 0:
            return f"killed by signal {-status}, as happens when memory runs out"
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"exit status {status}: {lines[-1][:300]}" if lines else f"exit status {status}"

    def end(self) -> None:
        """Kills the process, if it is still there, and waits for it."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        self._connection.close()
        self._errors.close()
