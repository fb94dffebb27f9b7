"""DINO score: cosine of class-token features between drawing and reference, the mean of DINOv2 S, B, L and G (patch 14).

The shorter side is resized to 224 pixels (bilinear) and the centre cut out. Under ``paper`` the reference is first
squashed to 224 by 224 pixels, as the released code does: in floating point, then cut to whole bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from sgpbench.metrics.encoder_metric import (
    Part,
    Scorer,
    cosine,
    failure,
    image_item,
    mean,
    open_scorer,
    profile,
    rounded,
    unreadable,
)
from sgpbench.metrics.encoding import ImageItem, Unreadable, Vector
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.metrics.references import ReferencePictures, acquire_references, release_references
from sgpbench.records import Column, Drawing, Failure, Score

__all__ = ["PARTS", "Dino", "open_dino"]

PARTS = (
    Part("s", "dinov2-small", fast=True),
    Part("b", "dinov2-base", fast=True),
    Part("l", "dinov2-large"),
    Part("g", "dinov2-giant"),
)
_SQUASH = 224


class Dino:
    """See the module."""

    needs: frozenset[Need] = frozenset({"reference"})
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 256

    def __init__(self, scorer: Scorer, references: ReferencePictures, *, squash: bool) -> None:
        self._scorer = scorer
        self._references = references
        self._squash = _SQUASH if squash else None
        self.name, self.version = scorer.profile.name, scorer.profile.version
        self._parts = [f"{self.name}.{part.column}" for part in scorer.profile.parts]
        scoring = scorer.context.protocol.scoring
        self._jpeg = scoring.renderer.jpeg.get("dino")
        invalid = scoring.invalid.policy("dino")
        words = "cosine of drawing and reference by DINOv2"
        self.columns = (
            Column(self.name, True, words, -1.0, 1.0, invalid),
            *(Column(name, True, f"{words}, one encoder", -1.0, 1.0, invalid) for name in self._parts),
        )
        self.identity = scorer.identity(squash_reference=squash, jpeg=self._jpeg)

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer per drawing, in their order."""
        return await self._scorer.run(batch, self._score)

    async def aclose(self) -> None:
        """Gives encoders and renderer back."""
        await self._scorer.aclose()
        await asyncio.to_thread(release_references, self._scorer.context)

    def _score(self, batch: Sequence[Drawing]) -> list[Score | Failure]:
        found = self._references.paths(drawing.prompt.reference for drawing in batch)
        against = [one if isinstance(one, Unreadable) else ImageItem(one, squash=self._squash) for one in found]
        items = [image_item(drawing, jpeg=self._jpeg) for drawing in batch]
        there = [item for item in against if not isinstance(item, Unreadable)]
        views = self._scorer.embedder.images(self._scorer.specs, [*items, *there])
        vectors = dict(zip([*items, *there], views, strict=True))
        return [
            failure(reference.message)
            if isinstance(reference, Unreadable)
            else self._one(vectors[item], vectors[reference])
            for item, reference in zip(items, against, strict=True)
        ]

    def _one(self, seen: Sequence[Vector | Unreadable], reference: Sequence[Vector | Unreadable]) -> Score | Failure:
        if reason := unreadable(seen) or unreadable(reference):
            return failure(reason)
        near = [
            cosine(left, right)
            for left, right in zip(seen, reference, strict=True)
            if not isinstance(left, Unreadable) and not isinstance(right, Unreadable)
        ]
        return Score(rounded({self.name: mean(near), **dict(zip(self._parts, near, strict=True))}))


def open_dino(context: MetricContext) -> Metric:
    """The metric; argument ``fast`` (S and B) or ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    scorer = open_scorer(context, profile("dino", "2", context.argument, PARTS))
    return Dino(scorer, acquire_references(context), squash=context.protocol.scoring.dino.squash_reference)
