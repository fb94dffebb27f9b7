"""What can be seen of another process from outside: its processor time, whether it sleeps, the memory it has mapped.

Linux tells without help; elsewhere psutil does, which is loaded only there.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Protocol

try:
    import resource
except ImportError:
    _HAS_LIMITS = False
else:
    _HAS_LIMITS = True

__all__ = ["ProcessView", "low_limits", "open_view"]


class ProcessView(Protocol):
    """Looks at one process; 0 or ``False`` once it has ended."""

    def processor_seconds(self) -> float:
        """Seconds of processor time that it has used, its threads together."""

    def is_asleep(self) -> bool:
        """Whether all its threads wait for something that is neither a processor, nor a disk, nor being continued."""

    def mapped_bytes(self) -> int:
        """The address space that it has mapped."""


def open_view(pid: int) -> ProcessView:
    """A look at the process of that number."""
    return _LinuxView(pid) if sys.platform == "linux" else _PsutilView(pid)


class _LinuxView:
    def __init__(self, pid: int) -> None:
        # The clock of another process (CPUCLOCK_SCHED, see clock_getcpuclockid(3)).
        self._clock = (~pid << 3) | 2
        self._folder = Path(f"/proc/{pid}")

    def processor_seconds(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0

    def is_asleep(self) -> bool:
        try:
            tasks = list((self._folder / "task").iterdir())
            return all((task / "stat").read_bytes().rpartition(b") ")[2][:1] == b"S" for task in tasks)
        except OSError:
            return False  # it, or one of its threads, is ending just now

    def mapped_bytes(self) -> int:
        try:
            return int((self._folder / "statm").read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0


class _PsutilView:
    def __init__(self, pid: int) -> None:
        import psutil

        self._error = psutil.Error
        self._asleep = psutil.STATUS_SLEEPING
        self._process = psutil.Process(pid)

    def processor_seconds(self) -> float:
        try:
            times = self._process.cpu_times()
        except self._error:
            return 0.0
        return float(times.user + times.system)

    def is_asleep(self) -> bool:
        try:
            return bool(self._process.status() == self._asleep)
        except self._error:
            return False

    def mapped_bytes(self) -> int:
        try:
            return int(self._process.memory_info().vms)
        except self._error:
            return 0


def low_limits() -> str | None:
    """What helps where a limit of the user's leaves too little for a worker; ``None`` where there is none."""
    if not _HAS_LIMITS:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    where = "" if hard == resource.RLIM_INFINITY else " as whoever set it (it is a hard limit)"
    return f"The address space is limited to {soft >> 20:,} MB here. Lift that{where}: ulimit -v unlimited"
