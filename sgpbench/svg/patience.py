"""How long a worker may take: in processor time of its own, so that a load of ours is never held against a drawing."""

from __future__ import annotations

import time
from typing import Protocol

from sgpbench.svg.frames import FrameError

__all__ = ["Clocked", "Patience"]

_LONGEST_LOOK_S = 1.0
_SHORTEST_LOOK_S = 0.01
_SHORTEST_SLEEP_S = 5.0
_LONGEST_STANDSTILL_S = 600.0


class Clocked(Protocol):
    """A process whose use of processors can be seen."""

    def processor_seconds(self) -> float:
        """Seconds of processor time that it has used since it started, over all its threads."""

    def is_asleep(self) -> bool:
        """Whether all its threads wait for something that is neither a processor, nor a disk, nor being continued."""


class Patience:
    """Lasts until a process has used so much processor time, or has slept so long of its own will.

    A process that is stopped, frozen, or waits for a processor uses none and does not sleep: it is waited for, ten minutes.
    What passes between two looks counts as at most one look's length, so that neither a suspended machine nor our own delays
    count.

    Args:
        process: the one that is waited for.
        seconds: of processor time; of sleep at least 5, since nothing that draws sleeps.
    """

    def __init__(self, process: Clocked, seconds: float) -> None:
        self._process = process
        self._limit = seconds
        self._longest_sleep = max(seconds, _SHORTEST_SLEEP_S)
        self.renew()

    def renew(self) -> None:
        """Begins anew."""
        self._begun = self._last_used = self._process.processor_seconds()
        self._slept = self._stood_still = 0.0
        self._looked = time.monotonic()

    def seconds_to_wait(self) -> float:
        """How long to wait for a sign of the process before asking again.

        Raises:
            FrameError: it has had its time (``timed_out``).
        """
        used, now = self._process.processor_seconds(), time.monotonic()
        passed = min(now - self._looked, _LONGEST_LOOK_S)
        gained = used - self._last_used
        self._stood_still = 0.0 if gained else self._stood_still + passed
        # One that works hardly ever sleeps when it is looked at, however little of a processor it gets.
        if gained < passed / 2 and self._process.is_asleep():
            self._slept += passed - gained
        self._last_used, self._looked = used, now
        left = self._limit - (used - self._begun)
        if left <= 0 or self._slept >= self._longest_sleep or self._stood_still >= _LONGEST_STANDSTILL_S:
            raise FrameError("no answer in time", timed_out=True)
        return min(max(left, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)
