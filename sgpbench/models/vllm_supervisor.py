"""Runs one server and ends it, with all its descendants, when the process that asked for it is gone.

Started by ``vllm_server`` as a script of its own (standard library only), in a session of its own, so that neither a
Ctrl-C at the terminal nor SIGKILL of sgpbench leaves a server behind:

    python vllm_supervisor.py PARENT_PID COMMAND...

It stands for nothing but the server: it exits with the server's code (128 + signal, as a shell says it). The server is
ended when standard input closes (a clean end), or when PARENT_PID dies, which a pidfd tells at once. Orphans of the
server stay in reach because this process adopts them (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GRACE_S = 8.0
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Supervises until the end; returns the exit code."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        parent_gone = os.pidfd_open(parent)
    except ProcessLookupError:
        return 1
    wake, waker = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in (*ends, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    children = _Children(command)
    while children.code is None:
        ready, _, _ = select.select([sys.stdin.fileno(), parent_gone, wake], [], [])
        if ready != [wake] or set(os.read(wake, 64)) & set(ends):
            break
        children.collect()
    children.end()
    return 1 if children.code is None else children.code if children.code >= 0 else 128 - children.code


class _Children:
    """The server and whatever it leaves behind."""

    def __init__(self, command: list[str]) -> None:
        # If this process itself is killed, the server at least gets a signal.
        self._server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
        )
        self.code: int | None = None
        """The server's exit code once it has ended, negative for a signal."""

    def collect(self) -> bool:
        """Takes the exit codes of all children that have ended; whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._server.pid:
                self.code = self._server.returncode = os.waitstatus_to_exitcode(status)

    def end(self) -> None:
        """SIGTERM to all, SIGKILL to those that are there after a while; returns when none is left."""
        deadline = time.monotonic() + _GRACE_S
        _signal_descendants(signal.SIGTERM)
        while self.collect() and time.monotonic() < deadline:
            time.sleep(0.05)
        while self.collect():
            _signal_descendants(signal.SIGKILL)
            time.sleep(0.05)


def _signal_descendants(number: signal.Signals) -> None:
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name stands in parentheses and may hold anything; state and parent follow the last one.
            parent = int(stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    sys.exit(main())
