"""What answers questions about drawings. An answerer sees the picture and the questions, never the caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sgpbench.records import Failure, Json, Question

__all__ = ["Answerer", "Answers", "Asked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture and all that is asked about it."""

    image: Path
    """A PNG, or the JPEG that the protocol shows to this metric."""
    questions: tuple[Question, ...]
    """At least one; ids are unique within it."""
    prompt_id: str = ""
    """For logs and seeds (the order of choices), never shown to the answerer."""
    sample: int = 0
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Answers:
    """What an answerer said of one picture."""

    texts: tuple[str, ...]
    """One per question, in their order: a choice word for word, or free text to be mapped to one."""
    evidence: Mapping[str, Json] = field(default_factory=dict)
    """What else must be kept to check it: hash of the request, the reply as it came."""


class Answerer(Protocol):
    """Answers questions about pictures; equal answers whatever the batch."""

    name: str
    """What stands in the brackets of the column: ``blip-large``, ``gpt-4o-mini``."""
    version: str
    identity: Mapping[str, Json]
    """Weights or model, its parameters, the words it is asked with: all that decides its answers."""
    free_text: bool
    """Whether an answer may be other than one of the choices; such answers go to the nearest choice by meaning."""
    batch_size: int

    async def answer(self, batch: Sequence[Asked]) -> Sequence[Answers | Failure]:
        """One answer per picture, in their order; a ``Failure`` (``judge_error``) where none could be had or read."""

    async def aclose(self) -> None:
        """Frees memory, devices and connections."""
