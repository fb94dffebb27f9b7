"""What the metrics of one run share: expensive things are opened once, by whoever needs them first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

__all__ = ["Closable", "Shared"]


class Closable(Protocol):
    """Something that holds memory, a process or a connection."""

    def close(self) -> None:
        """Lets go of it; never raises for something closed already."""


Opened = TypeVar("Opened", bound=Closable)


class Shared:
    """Counts the users of shared things by key; the last one to leave closes it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Closable, int]] = {}

    def acquire(self, key: str, opener: Callable[[], Opened]) -> Opened:
        """The open thing of that key; ``opener`` makes it where there is none. Pair with ``release``."""
        with self._lock:
            thing, users = self._open.get(key) or (opener(), 0)
            self._open[key] = (thing, users + 1)
        return cast("Opened", thing)

    def release(self, key: str) -> None:
        """One user less; closes the thing with the last one."""
        with self._lock:
            thing, users = self._open.pop(key)
            if users > 1:
                self._open[key] = (thing, users - 1)
                return
        thing.close()
