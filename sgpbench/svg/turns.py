"""Lets many threads work beside each other, or one of them alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns"]


class Turns:
    """Whoever wants to work alone waits for the others, and lets no new one begin."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._someone_alone = False

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Works while others may."""
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
        """Works while no other does."""
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
