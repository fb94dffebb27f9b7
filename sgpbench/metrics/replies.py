"""Asking a model at most once for each thing: replies are kept the moment they arrive, and found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sgpbench.metrics.interface import ReplyStore
from sgpbench.records import Completion, Request

if TYPE_CHECKING:
    from sgpbench.models.calls import Caller

__all__ = ["KeptReply", "MemoryReplies", "ReplyKeeper"]


class MemoryReplies:
    """Keeps replies for as long as it lives."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The newest reply under that key."""
        return self._texts.get(key)

    def put(self, key: str, completion: Completion) -> None:
        """Keeps a reply."""
        self._texts[key] = completion.text


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A reply, and whether it was found rather than paid for now."""

    text: str
    found: bool


class ReplyKeeper:
    """A caller and a store of its replies."""

    def __init__(self, caller: Caller, store: ReplyStore | None) -> None:
        self.caller = caller
        self._store = store or MemoryReplies()

    async def reply(self, key: str, request: Request, *, anew: bool = False) -> KeptReply:
        """The kept reply under ``key``; where there is none, or ``anew``, the model is asked and its reply kept.

        Raises:
            TransientError: the model gave no reply; asking later may help.
            SgpbenchError: the model cannot be used, or the budget is spent.
        """
        if not anew and (text := self._store.get(key)) is not None:
            return KeptReply(text, found=True)
        arrived: list[str] = []

        def keep(_: int, completion: Completion) -> None:
            self._store.put(key, completion)
            arrived.append(completion.text)

        await self.caller.ask(request, keep=keep)
        return KeptReply(arrived[-1], found=False)
