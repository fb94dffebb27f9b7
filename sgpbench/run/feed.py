"""How one stage tells the next that there is more to do, without either waiting for the other's pace."""

from __future__ import annotations

import asyncio

__all__ = ["Feed"]


class Feed:
    """A wake-up from a producing stage to one consuming stage; the work itself lies in the store."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will come. Read it before looking into the store for the last time."""
        return self._ended

    def more(self) -> None:
        """The store holds something new."""
        self._news.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._news.set()

    async def wait(self) -> None:
        """Returns once there is something new since the last call, or the feed has ended."""
        await self._news.wait()
        self._news.clear()
