"""What is asked of the encoders and what they answer: plain records, so that they can live in another process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sgpbench.metrics.weights import Family

__all__ = [
    "Answered",
    "AskAboutImages",
    "EmbedImages",
    "EmbedTexts",
    "Embedded",
    "EncoderError",
    "EncoderSpec",
    "Encoders",
    "EncodersLost",
    "ImageItem",
    "Precision",
    "Reply",
    "Request",
    "Unreadable",
    "Vector",
]

Vector: TypeAlias = NDArray[np.float32]
Precision: TypeAlias = Literal["fp32", "bf16"]

_REVISION: dict[str, str] = {"dinov2": ":2", "open_clip": ":2", "siglip": ":2"}
"""Of families whose arithmetic has changed, so that vectors kept from before are not used."""


class EncoderError(Exception):
    """The encoders cannot do what was asked: weights that do not load, not even one picture fits into memory."""


class EncodersLost(EncoderError):
    """The process that holds the encoders died, was started again, and died again."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One model to load."""

    name: str
    family: Family
    file: str
    """Path of the weights' file; what else is needed lies beside it."""
    sha256: str
    architecture: str = ""
    view: Literal["crop", "fit"] = "crop"
    """How a picture is made square, where the family leaves a choice (see ``preprocess``)."""
    precision: Precision = "fp32"
    """``fp32`` with TF32 off is what is published; another one gives other numbers."""

    @property
    def key(self) -> str:
        """What decides a vector besides the picture or the text itself."""
        return f"{self.family}:{self.sha256}:{self.architecture}:{self.view}:{self.precision}{_REVISION.get(self.family, '')}"


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One picture, and what happens to it before it is resized for an encoder."""

    path: Path
    jpeg: int | None = None
    """Sent through JPEG of this quality first."""
    squash: int | None = None
    """Resized to a square of this side first, whatever its aspect (``squash.squashed``)."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of a vector: the picture's file is missing or damaged."""

    message: str


@dataclass(frozen=True, slots=True)
class EmbedImages:
    encoders: tuple[EncoderSpec, ...]
    """All get every picture, which is read once."""
    images: tuple[ImageItem, ...]


@dataclass(frozen=True, slots=True)
class EmbedTexts:
    encoder: EncoderSpec
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskAboutImages:
    """Free-form questions about pictures."""

    encoder: EncoderSpec
    images: tuple[ImageItem, ...]
    questions: tuple[tuple[str, ...], ...]
    """Those of each picture."""
    answer_tokens: int = 20
    """Most tokens of one answer."""


@dataclass(frozen=True, slots=True)
class Embedded:
    vectors: tuple[tuple[Vector | Unreadable, ...], ...]
    """Per encoder (one for texts), per picture or text, in the order asked: ``(d,) float32`` of length 1."""


@dataclass(frozen=True, slots=True)
class Answered:
    answers: tuple[tuple[str, ...] | Unreadable, ...]


Request: TypeAlias = EmbedImages | EmbedTexts | AskAboutImages
Reply: TypeAlias = Embedded | Answered


class Encoders(Protocol):
    """Loaded encoders, here or in another process. Safe to call from several threads at once."""

    def call(self, request: Request) -> Reply:
        """The answer: ``Embedded`` to the first two kinds of request, ``Answered`` to the last.

        Raises:
            EncoderError: it cannot be had.
        """

    def close(self) -> None:
        """Frees the memory and ends the process, if there is one."""


def only(vectors: Sequence[Vector | Unreadable]) -> list[Vector]:
    """The vectors, where none can be unreadable (texts)."""
    return [vector for vector in vectors if not isinstance(vector, Unreadable)]
