"""Runs of one model that holds a device: they generate in turn, then the model leaves it, then all of them score.

So a checkpoint is loaded once for all its tasks, and models and encoders never share the memory of a GPU.
"""

from __future__ import annotations

import asyncio

from sgpbench.models.interface import Model

__all__ = ["NO_TURN", "Turn", "turns_on_device"]


class Turn:
    """When one run may use the device. This one never waits: its model holds none."""

    async def begin(self) -> None:
        """Waits until the model may be asked."""

    async def end(self) -> None:
        """Says that this run asks nothing more; may be said twice."""

    async def free(self) -> None:
        """Waits until no model is on the device."""


NO_TURN = Turn()


def turns_on_device(model: Model, runs: int) -> list[Turn]:
    """A turn for each of the model's runs, in their order; whoever ends last takes the model off the device."""
    ended = [asyncio.Event() for _ in range(runs)]
    free = asyncio.Event()
    return [_DeviceTurn(model, ended, number, free) for number in range(runs)]


class _DeviceTurn(Turn):
    def __init__(self, model: Model, ended: list[asyncio.Event], number: int, free: asyncio.Event) -> None:
        self._model = model
        self._ended = ended
        self._number = number
        self._free = free

    async def begin(self) -> None:
        for earlier in self._ended[: self._number]:
            await earlier.wait()

    async def end(self) -> None:
        if self._ended[self._number].is_set():
            return
        self._ended[self._number].set()
        if all(event.is_set() for event in self._ended):
            try:
                await self._model.aclose()
            finally:
                self._free.set()

    async def free(self) -> None:
        await self._free.wait()
