"""Renders programs of models in disposable worker processes; the main process never parses one.

Every worker has pipes of its own, so that one that dies, hangs or is taken over harms no other sample: it is replaced,
and only the sample it held gets an outcome. Limits are those of the protocol: seconds of wall time per program (all
that is done with it counts), memory beyond what an idle worker needs, bytes of program. Where a worker dies before it
has the program, or by a signal that no drawing causes (``SIGKILL``, ``SIGTERM``: the kernel short of memory, a person),
the program gets one more try, in a fresh worker and with no other at work.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, cast

from sgpbench.errors import RendererError
from sgpbench.records import Flag, Outcome
from sgpbench.svg.frames import FrameError
from sgpbench.svg.process import Worker
from sgpbench.svg.render import require_parser, require_version
from sgpbench.system import require_workers

if TYPE_CHECKING:
    from sgpbench.protocol import RendererRule, Repair
    from sgpbench.records import Json

__all__ = ["Rendered", "Sandbox"]

_PENDING_BYTES = 64 * 1024 * 1024
# Looked up by name: Windows lacks some, and this module must be importable there.
_NOT_THE_DRAWINGS = frozenset(
    getattr(signal, name) for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of one program."""

    outcome: Outcome
    """``ok``, ``render_error``, ``render_timeout``, ``render_crash``; or ``scorer_error``, a fault of our own code."""
    program: str | None = None
    """As rendered, after repair and cleaning; ``None`` where it could not be parsed."""
    png: bytes | None = None
    """RGB, on the protocol's background; there exactly if the outcome is ``ok``."""
    png_without_text: bytes | None = None
    """The same with all text elements taken out, where the program has any."""
    flags: frozenset[Flag] = frozenset()
    structure: Mapping[str, float] = field(default_factory=dict)
    """``sgpbench.svg.structure.MEASURES``, wherever the program could be parsed."""
    width: int | None = None
    height: int | None = None
    message: str | None = None
    """Why it is not ``ok``."""
    seconds: float = 0.0


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
        RendererError: the renderer is missing, it or the parser has another version than the protocol's, or it does not
            work here.
    """

    def __init__(self, rule: RendererRule, repair: Repair, *, workers: int | None = None) -> None:
        require_workers()
        require_version(rule.name, rule.version)
        require_parser(rule)
        self._rule = rule
        self._settings: Mapping[str, Json] = {
            "name": rule.name,
            "version": rule.version,
            "longer_side": rule.longer_side,
            "background": rule.background,
            "repair": repair,
            "memory_bytes": rule.memory_mb * 1024 * 1024,
            "parent": os.getpid(),
        }
        self._lock = threading.Condition()
        self._live: set[Worker] = set()
        self._abandoned = False
        self._pending_bytes = 0
        self._mine = threading.local()
        self._turns = _Turns()
        self._executor = ThreadPoolExecutor(workers or _cores(), thread_name_prefix="sgpbench-render")
        try:
            hello = self._executor.submit(self._start_worker).result()
        except RendererError:
            self.abandon()
            raise
        self.level: Literal["full", "partial"] = "full" if hello["level"] == "full" else "partial"
        """``full``: neither network nor files nor processes are within a worker's reach. ``partial``: not all of it."""
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
        return hello

    def _discard_worker(self, worker: Worker) -> None:
        self._mine.worker = None
        with self._lock:
            self._live.discard(worker)
        worker.end()

    def _render(self, data: bytes) -> Rendered:
        try:
            with self._turns.beside_others():
                return self._attempt(data)
        except _InnocentDeath:
            pass
        try:
            with self._turns.alone():
                return self._attempt(data)
        except _InnocentDeath as death:
            if not death.started:
                raise RendererError(f"Rendering workers die before they have a drawing: {death}.") from None
            return Rendered(Outcome.RENDER_CRASH, message=f"{death}, twice")

    def _attempt(self, data: bytes) -> Rendered:
        """One try in this thread's worker.

        Raises:
            _InnocentDeath: the worker died, and not of the drawing. RendererError: no worker can be had.
        """
        if getattr(self._mine, "worker", None) is None:
            self._start_worker()
        worker: Worker = self._mine.worker
        begun = time.monotonic()
        answers: dict[bytes, bytes] = {}
        try:
            worker.pipe.send(b"D", data, begun + self._rule.timeout_s)
            while b"R" not in answers:
                kind, payload = worker.pipe.receive(begun + self._rule.timeout_s)
                answers[kind] = payload
            return _rendered(answers)
        except (FrameError, ValueError, KeyError) as error:
            timed_out = isinstance(error, FrameError) and error.timed_out
            status = 0 if timed_out else worker.exit_status()
            words = worker.last_words()
            self._discard_worker(worker)
        seconds = time.monotonic() - begun
        how = _how_it_died(status, words)
        if self._abandoned:
            raise RendererError("The rendering was abandoned.")
        if b"S" not in answers or -status in _NOT_THE_DRAWINGS:
            raise _InnocentDeath(b"S" in answers, how)
        if timed_out:
            limit = f"not drawn within {self._rule.timeout_s:g} s"
            return _failed(Outcome.RENDER_TIMEOUT, answers, limit, seconds)
        return _failed(Outcome.RENDER_CRASH, answers, how, seconds)


class _Turns:
    """Lets many work beside each other, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._someone_alone = False

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._someone_alone)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._someone_alone)
            self._someone_alone = True
            self._changed.wait_for(lambda: not self._working)
        try:
            yield
        finally:
            with self._changed:
                self._someone_alone = False
                self._changed.notify_all()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _done(rendered: Rendered) -> Future[Rendered]:
    future: Future[Rendered] = Future()
    future.set_result(rendered)
    return future


def _rendered(answers: Mapping[bytes, bytes]) -> Rendered:
    """A worker's frames as a record; whatever does not fit is a ``ValueError`` or ``KeyError``."""
    answer = json.loads(answers[b"R"])
    outcome = Outcome(answer["outcome"])
    if outcome is not Outcome.OK:
        return _failed(outcome, answers, str(answer["message"]), float(answer["seconds"]))
    program, flags, structure = _cleaned(answers)
    return Rendered(
        outcome,
        program,
        answers[b"P"],
        answers.get(b"T"),
        flags | {Flag.BLANK} if answer["blank"] else flags,
        structure,
        int(answer["width"]),
        int(answer["height"]),
        None,
        float(answer["seconds"]),
    )


def _failed(outcome: Outcome, answers: Mapping[bytes, bytes], message: str, seconds: float) -> Rendered:
    program, flags, structure = _cleaned(answers) if b"C" in answers else (None, frozenset[Flag](), {})
    return Rendered(outcome, program, flags=flags, structure=structure, message=message, seconds=seconds)


def _cleaned(answers: Mapping[bytes, bytes]) -> tuple[str, frozenset[Flag], dict[str, float]]:
    cleaned = json.loads(answers[b"C"])
    structure = {str(name): float(value) for name, value in cleaned["structure"].items()}
    return str(cleaned["program"]), frozenset(map(Flag, cleaned["flags"])), structure


def _how_it_died(status: int, words: str) -> str:
    try:
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    except ValueError:
        how = f"killed by signal {-status}"
    return f"the worker was {how}: {words}" if words else f"the worker was {how}"
