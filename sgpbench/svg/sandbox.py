"""Renders programs of models in disposable worker processes; the main process never parses one.

Every worker has pipes of its own, so that one that dies, hangs or is taken over harms no other sample: it is replaced,
and only the sample it held gets an outcome. Limits are those of the protocol: seconds of the worker's processor time per
drawing (all that is done with it counts; the one without text is a drawing of its own), memory beyond what an idle worker
needs, bytes of program.

Nothing of ours counts against a program. It gets one more try, in a fresh worker and with no other at work, where its
worker died before it had the program or by a signal that no drawing causes (``SIGKILL``, ``SIGTERM``: the kernel short
of memory, a person), and where it ran out of time. Where a worker that drew others before fails, its word counts only
if it is young and draws a known drawing right afterwards; else the program is tried in a fresh one. Workers retire by
number and size of what they read and by the memory they hold: libxml2 never forgets a name.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast

from sgpbench.errors import RendererError
from sgpbench.records import Outcome
from sgpbench.svg.answers import Rendered, failed, rendered
from sgpbench.svg.frames import ANSWERS, LONGEST_ANSWER, FrameError
from sgpbench.svg.patience import Patience
from sgpbench.svg.process import Worker, copy_to_root
from sgpbench.svg.render import FONTS_FOLDER, require_parser, require_version
from sgpbench.svg.turns import Turns
from sgpbench.system import available_cores, missing_confinements, require_workers

if TYPE_CHECKING:
    from sgpbench.protocol import RendererRule, Repair
    from sgpbench.records import Json

__all__ = ["Rendered", "Sandbox"]

_LOG = logging.getLogger(__name__)
_PENDING_BYTES = 64 * 1024 * 1024
# Looked up by name: Windows lacks some, and this module must be importable there.
_NOT_THE_DRAWINGS = frozenset(
    getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)


# A worker retires after so many programs, so many bytes of them, or when it holds this share of its memory for good.
_RETIRES_AFTER_PROGRAMS = 1000
_RETIRES_AFTER_BYTES = 8_000_000
_RETIRES_AT_MEMORY = 0.25
# One that read more than this is not believed when it fails.
_YOUNG_BYTES = 1_000_000
# Each time with names that the worker has not seen.
_KNOWN = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="4"><g known-{0}=""><rect width="4" height="4"/></g></svg>'


class _InnocentDeath(Exception):
    """A worker died, but not of the drawing: ``started`` says whether it had it yet."""

    def __init__(self, started: bool, how: str) -> None:
        super().__init__(how)
        self.started = started


class Sandbox:
    """A pool of workers for one renderer and one repair. Safe to use from many threads; workers start as needed.

    ``with Sandbox(rule, repair) as sandbox`` finishes what was submitted; on an exception it abandons it.

    Args:
        rule: the protocol's renderer and its limits.
        repair: what may be mended in a program before it is drawn.
        workers: processes at work at once; by default, one per available core.

    Raises:
        RendererError: the renderer is missing, has another version than the protocol's, or does not work here.
    """

    def __init__(self, rule: RendererRule, repair: Repair, *, workers: int | None = None) -> None:
        require_workers()
        require_version(rule.name, rule.version)
        require_parser(rule)
        self._rule = rule
        try:
            root = copy_to_root(FONTS_FOLDER)
        except OSError as error:
            raise RendererError(
                f"The fonts cannot be copied to {tempfile.gettempdir()} for the rendering workers: {error.strerror}.",
                remedy="Make room there, set TMPDIR to another folder, or lift the limit of files (ulimit -f unlimited).",
            ) from None
        self._remove_root = weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
        self._settings: Mapping[str, Json] = {
            "name": rule.name,
            "version": rule.version,
            "longer_side": rule.longer_side,
            "background": rule.background,
            "repair": repair,
            "memory_bytes": rule.memory_mb * 1024 * 1024,
            "root": str(root),
            "parent": os.getpid(),
        }
        self._lock = threading.Condition()
        self._live: set[Worker] = set()
        self._abandoned = False
        self._pending_bytes = 0
        self._mine = threading.local()
        self._turns = Turns()
        self._known: bytes | None = None
        self._known_numbers = itertools.count()
        self._executor = ThreadPoolExecutor(workers or available_cores(), thread_name_prefix="sgpbench-render")
        try:
            hello = self._executor.submit(self._start_first_worker).result()
        except RendererError:
            self.abandon()
            raise
        self.level: Literal["full", "partial"] = "full" if hello["level"] == "full" else "partial"
        """``full``: neither network nor files nor processes are within a worker's reach. ``partial``: not all of it."""
        self.lacking = ""
        """What ``full`` would need besides, in words; empty at ``full``."""
        if self.level == "partial":
            lacks = hello.get("lacks") or "what a check of its confinement needs"
            self.lacking = ", ".join(missing_confinements()) or str(lacks)
            _LOG.warning("Drawings are confined only in part on this machine; missing: %s.", self.lacking)
        self.identity: Mapping[str, Json] = {
            **cast("Mapping[str, Json]", hello["identity"]),
            "timeout_s": rule.timeout_s,
            "memory_mb": rule.memory_mb,
            "max_program_bytes": rule.max_program_bytes,
        }
        """All that decides a program's outcome, flags, structure and pixels."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def submit(self, program: str) -> Future[Rendered]:
        """Queues a program; its future never fails because of the program.

        Blocks while more than 64 MB of programs wait.

        Raises:
            RendererError: the sandbox is closed. The future raises it where workers die of something else than drawings.
        """
        try:
            data = program.encode()
        except UnicodeEncodeError:
            return _done(
                Rendered(Outcome.RENDER_ERROR, message="not XML: it holds surrogates, which are no characters")
            )
        if len(data) > self._rule.max_program_bytes:
            limit = f"it has {len(data):,} bytes, more than {self._rule.max_program_bytes:,}"
            return _done(Rendered(Outcome.RENDER_ERROR, message=limit))
        with self._lock:
            self._lock.wait_for(lambda: not self._pending_bytes or self._pending_bytes + len(data) <= _PENDING_BYTES)
            self._pending_bytes += len(data)
        try:
            future = self._executor.submit(self._render, data)
        except RuntimeError:
            self._release(len(data))
            raise RendererError("The rendering sandbox is closed.") from None
        future.add_done_callback(lambda _: self._release(len(data)))
        return future

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process numbers of the workers that are there now."""
        with self._lock:
            return tuple(sorted(worker.pid for worker in self._live))

    def close(self) -> None:
        """Finishes what was submitted, then ends the workers."""
        self._executor.shutdown(wait=True)
        self._end_workers()

    def abandon(self) -> None:
        """Kills the workers at once. Waiting programs are cancelled, those at work raise ``RendererError``."""
        with self._lock:
            self._abandoned = True
            for worker in self._live:
                worker.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._end_workers()

    def _end_workers(self) -> None:
        with self._lock:
            workers, self._live = self._live, set()
        for worker in workers:
            worker.end()
        self._remove_root()

    def _release(self, size: int) -> None:
        with self._lock:
            self._pending_bytes -= size
            self._lock.notify_all()

    # --- in the threads of the pool, one worker each -------------------------------------------------------------

    def _start_worker(self) -> Mapping[str, Json]:
        with self._lock:
            if self._abandoned:
                raise RendererError("The rendering was abandoned.")
            worker = Worker(self._settings)
            self._live.add(worker)
        try:
            hello = worker.greet()
        except RendererError:
            with self._lock:
                self._live.discard(worker)
            raise
        self._mine.worker = worker
        self._mine.idle_bytes = worker.mapped_bytes()
        return hello

    def _start_first_worker(self) -> Mapping[str, Json]:
        hello = self._start_worker()
        try:
            self._known = self._attempt(self._known_program()).png
        except _InnocentDeath as death:
            raise RendererError(f"The rendering worker does not work: {death}.") from None
        self._mine.worker.programs = self._mine.worker.program_bytes = 0
        return hello

    def _discard_worker(self) -> None:
        worker: Worker | None = getattr(self._mine, "worker", None)
        self._mine.worker = None
        if worker is not None:
            with self._lock:
                self._live.discard(worker)
            worker.end()

    def _render(self, data: bytes) -> Rendered:
        try:
            with self._turns.beside_others():
                answer = self._believable(data)
            if answer.outcome is not Outcome.RENDER_TIMEOUT:
                return answer
        except _InnocentDeath:
            pass
        try:
            with self._turns.alone():
                self._discard_worker()
                return self._attempt(data)
        except _InnocentDeath as death:
            if not death.started:
                raise RendererError(f"Rendering workers die before they have a drawing: {death}.") from None
            return Rendered(Outcome.RENDER_CRASH, message=f"{death}, twice")

    def _believable(self, data: bytes) -> Rendered:
        """One try in this thread's worker; one more in a fresh one if it failed and the worker may be at fault.

        Raises:
            _InnocentDeath: the worker died, and not of the drawing. RendererError: no worker can be had.
        """
        worker: Worker | None = getattr(self._mine, "worker", None)
        if worker is not None and self._retires(worker, len(data)):
            self._discard_worker()
            worker = None
        fresh = worker is None or not worker.programs
        young = worker is None or worker.program_bytes <= _YOUNG_BYTES
        answer = self._attempt(data)
        if fresh or answer.outcome in (Outcome.OK, Outcome.RENDER_TIMEOUT):
            return answer
        if getattr(self._mine, "worker", None) is not None and young and self._draws_the_known():
            return answer
        self._discard_worker()
        return self._attempt(data)

    def _retires(self, worker: Worker, next_bytes: int) -> bool:
        grown = worker.mapped_bytes() - self._mine.idle_bytes
        return (
            worker.programs >= _RETIRES_AFTER_PROGRAMS
            or 0 < worker.program_bytes > _RETIRES_AFTER_BYTES - next_bytes
            or grown > _RETIRES_AT_MEMORY * self._rule.memory_mb * 1024 * 1024
            or not worker.pipe.is_silent()
        )

    def _draws_the_known(self) -> bool:
        """Whether this thread's worker still draws a known drawing as the first worker did."""
        try:
            answer = self._attempt(self._known_program())
        except _InnocentDeath:
            return False
        return answer.png is not None and answer.png == self._known

    def _known_program(self) -> bytes:
        return _KNOWN.format(next(self._known_numbers)).encode()

    def _attempt(self, data: bytes) -> Rendered:
        """One try in this thread's worker.

        Raises:
            _InnocentDeath: the worker died, and not of the drawing. RendererError: no worker can be had.
        """
        if getattr(self._mine, "worker", None) is None:
            self._start_worker()
        worker: Worker = self._mine.worker
        worker.programs += 1
        worker.program_bytes += len(data)
        begun = time.monotonic()
        answers: dict[bytes, bytes] = {}
        try:
            self._exchange(worker, data, answers)
            return rendered(answers)
        except FrameError as error:
            status = worker.exit_status() if error.gone else None
            how = _how_it_died(status, worker.last_words() or str(error))
            self._discard_worker()
            if self._abandoned:
                raise RendererError("The rendering was abandoned.") from None
            if b"S" not in answers or (status is not None and -status in _NOT_THE_DRAWINGS):
                raise _InnocentDeath(b"S" in answers, how) from None
            outcome, message = Outcome.RENDER_CRASH, how
            if error.timed_out:
                outcome = Outcome.RENDER_TIMEOUT
                message = f"not drawn within {self._rule.timeout_s:g} s of processor time"
        try:
            return failed(outcome, answers, message, time.monotonic() - begun)
        except FrameError as error:
            return Rendered(outcome, message=f"{message}; it said {error}"[:400])

    def _exchange(self, worker: Worker, data: bytes, answers: dict[bytes, bytes]) -> None:
        """Gives a program to a worker and collects what it says, each kind once and in order, until it is done.

        Raises:
            FrameError: it is gone, out of time, or says what it must not.
        """
        patience = Patience(worker, self._rule.timeout_s)
        worker.pipe.send(b"D", data, patience.seconds_to_wait)
        expected, left = dict(ANSWERS), LONGEST_ANSWER
        while b"R" not in answers:
            limits = {kind: min(most, left) for kind, most in expected.items()}
            kind, payload = worker.pipe.receive(limits, patience.seconds_to_wait)
            answers[kind] = payload
            left -= len(payload)
            for gone in ANSWERS:
                expected.pop(gone, None)
                if gone == kind:
                    break
            if kind == b"P":
                # What follows is a drawing of its own: the one without text.
                patience.renew()


def _done(rendered: Rendered) -> Future[Rendered]:
    future: Future[Rendered] = Future()
    future.set_result(rendered)
    return future


def _how_it_died(status: int | None, words: str) -> str:
    if status is None:
        return f"the worker said what it must not: {words}"
    try:
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    except ValueError:
        how = f"killed by signal {-status}"
    return f"the worker was {how}: {words}" if words else f"the worker was {how}"
