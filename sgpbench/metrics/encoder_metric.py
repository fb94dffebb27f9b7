"""What the metrics over encoders have in common: profiles, columns, identity, and scores out of cosines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgpbench.errors import RendererError, UsageError
from sgpbench.metrics.embedder import Embedder, acquire_embedder, release_embedder
from sgpbench.metrics.encoding import EncoderError, EncoderSpec, ImageItem, Precision, Unreadable, Vector
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.weights import Weights, require
from sgpbench.records import Drawing, Failure, Json, Outcome, Score

__all__ = [
    "Part",
    "Profile",
    "Scorer",
    "cosine",
    "encoder_spec",
    "failure",
    "image_item",
    "mean",
    "open_scorer",
    "profile",
    "rounded",
    "unreadable",
]

_LOG = logging.getLogger(__name__)
_DIGITS = 6
"""Decimals kept of a score: more than a batch's size can change, fewer than its rounding noise."""


@dataclass(frozen=True, slots=True)
class Part:
    """One encoder of a metric: the column's last word and the name of its weights."""

    column: str
    weights: str
    fast: bool = False
    """Whether it is in the ``fast`` profile too."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Which encoders a metric uses, and in which precision."""

    name: str
    """The metric as its columns are called: ``clip``, ``clip[fast]``, ``clip[bf16]``."""
    version: str
    parts: tuple[Part, ...]
    precision: Precision

    @property
    def suffix(self) -> str:
        """The part in brackets, brackets included, or nothing."""
        _, bracket, rest = self.name.partition("[")
        return bracket + rest


def profile(metric: str, version: str, argument: str | None, parts: Sequence[Part]) -> Profile:
    """The profile that the argument names: none (all encoders, float32), ``fast``, ``bf16``, or ``fast,bf16``.

    Raises:
        UsageError: the metric has no such profile.
    """
    words = [word.strip() for word in argument.split(",")] if argument else []
    offered = (["fast"] if any(part.fast for part in parts) else []) + ["bf16"]
    for word in words:
        if word not in offered or words.count(word) > 1:
            raise UsageError(
                f"The metric {metric} has no profile '{argument}'; there is {', '.join(offered)}, or none.",
                remedy=f"See `sgpbench metrics show {metric}`.",
            )
    used = tuple(part for part in parts if part.fast or "fast" not in words)
    ordered = ",".join(word for word in offered if word in words)
    name = f"{metric}[{ordered}]" if ordered else metric
    return Profile(name, f"{version}-{ordered}" if ordered else version, used, "bf16" if "bf16" in words else "fp32")


@dataclass(frozen=True)
class Scorer:
    """The encoders of one metric."""

    profile: Profile
    specs: tuple[EncoderSpec, ...]
    weights: tuple[Weights, ...]
    embedder: Embedder
    context: MetricContext

    def identity(self, **more: Json) -> Mapping[str, Json]:
        """Version, precision and weights; ``published`` only where all weights are."""
        return {
            "version": self.profile.version,
            "precision": self.profile.precision,
            "published": all(weights.published for weights in self.weights),
            "encoders": {
                part.column: weights.identity for part, weights in zip(self.profile.parts, self.weights, strict=True)
            },
            **more,
        }

    async def run(
        self, batch: Sequence[Drawing], score: Callable[[Sequence[Drawing]], Sequence[Score | Failure]]
    ) -> Sequence[Score | Failure]:
        """``score`` in a thread; what the encoders or the renderer cannot do becomes a failure of every drawing."""
        try:
            return await asyncio.to_thread(score, batch)
        except (EncoderError, RendererError) as error:
            _LOG.warning("%s: %s", self.profile.name, error)
            return [failure(str(error)) for _ in batch]

    async def aclose(self) -> None:
        """Gives the encoders back."""
        await asyncio.to_thread(release_embedder, self.context)


def open_scorer(context: MetricContext, chosen: Profile, *, view: str = "crop") -> Scorer:
    """The encoders of a profile, not yet loaded.

    Raises:
        MetricUnavailable: packages or weights are missing.
    """
    weights = require(chosen.name, [part.weights for part in chosen.parts], context.cache_dir)
    specs = tuple(encoder_spec(one, chosen.precision, fit=view == "fit") for one in weights)
    return Scorer(chosen, specs, weights, acquire_embedder(context), context)


def encoder_spec(weights: Weights, precision: Precision = "fp32", *, fit: bool = False) -> EncoderSpec:
    """Weights as something to load."""
    return EncoderSpec(
        name=weights.name,
        family=weights.family,
        file=str(weights.file),
        sha256=weights.sha256,
        architecture=weights.architecture,
        view="fit" if fit else "crop",
        precision=precision,
    )


def image_item(drawing: Drawing, *, jpeg: int | None = None) -> ImageItem:
    """The rendering of a drawing.

    Raises:
        ValueError: it has none; only valid drawings reach these metrics.
    """
    if drawing.rendering is None:
        raise ValueError(f"the drawing of {drawing.prompt.id}, sample {drawing.sample}, has no rendering")
    return ImageItem(drawing.rendering, jpeg=jpeg)


def failure(message: str) -> Failure:
    """Why a drawing could not be scored, through no fault of the model."""
    return Failure(Outcome.SCORER_ERROR, message)


def cosine(left: Vector, right: Vector) -> float:
    """Cosine of two vectors of length 1, -1 to 1."""
    return float(np.dot(left.astype(np.float64), right.astype(np.float64)))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean of at least one value."""
    return sum(values) / len(values)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Scores to six decimals, so that the size of a batch does not show."""
    return {name: round(value, _DIGITS) + 0.0 for name, value in values.items()}


def unreadable(vectors: Sequence[Vector | Unreadable]) -> str | None:
    """The first reason why a picture has no vector, or ``None`` where it has all."""
    return next((vector.message for vector in vectors if isinstance(vector, Unreadable)), None)
