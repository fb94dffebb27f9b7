"""Diversity: how far the drawings of one prompt differ, 1 minus their mean pairwise DINOv2 cosine, mean of the encoders.

A prompt with fewer than two valid drawings has none: it gets no value, and its evidence says how many there were. Under
``only_positive`` (the released code) neither has a prompt of equal drawings, whose diversity is 0 to six decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from sgpbench.metrics.dino import PARTS
from sgpbench.metrics.encoder_metric import (
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
from sgpbench.metrics.encoding import Unreadable
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.records import Column, Drawing, Failure, Json, Score

__all__ = ["Diversity", "open_diversity"]


class Diversity:
    """See the module."""

    needs: frozenset[Need] = frozenset()
    unit: Literal["sample", "prompt"] = "prompt"
    batch_size = 64

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self.name, self.version = scorer.profile.name, scorer.profile.version
        self._parts = [f"{self.name}.{part.column}" for part in scorer.profile.parts]
        scoring = scorer.context.protocol.scoring
        self._jpeg = scoring.renderer.jpeg.get("diversity")
        self._only_positive = scoring.diversity.only_positive
        words = "1 - mean pairwise DINOv2 cosine of a prompt's valid drawings"
        self.columns = (
            Column(self.name, True, words, 0.0, 2.0, "omit"),
            *(Column(name, True, f"{words}, one encoder", 0.0, 2.0, "omit") for name in self._parts),
        )
        more: dict[str, Json] = {"only_positive": True} if self._only_positive else {}
        self.identity = scorer.identity(jpeg=self._jpeg, **more)

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer for all valid drawings of one prompt.

        Raises:
            ValueError: they are of several prompts.
        """
        if len({drawing.prompt.id for drawing in batch}) > 1:
            raise ValueError("diversity takes the drawings of one prompt at a time")
        return (await self._scorer.run(batch, self._score))[:1]

    async def aclose(self) -> None:
        """Gives the encoders back."""
        await self._scorer.aclose()

    def _score(self, batch: Sequence[Drawing]) -> list[Score | Failure]:
        ordered = sorted(batch, key=lambda drawing: drawing.sample)
        evidence: dict[str, Json] = {self.name: {"drawings": len(ordered)}}
        if len(ordered) < 2:
            return [Score({}, evidence)]
        items = [image_item(drawing, jpeg=self._jpeg) for drawing in ordered]
        views = self._scorer.embedder.images(self._scorer.specs, items)
        if reason := next(filter(None, map(unreadable, views)), None):
            return [failure(reason)]
        spread = []
        for column in zip(*views, strict=True):
            vectors = [vector for vector in column if not isinstance(vector, Unreadable)]
            spread.append(1.0 - mean([cosine(left, right) for left, right in combinations(vectors, 2)]))
        values = rounded({self.name: mean(spread), **dict(zip(self._parts, spread, strict=True))})
        if self._only_positive and values[self.name] <= 0:
            return [Score({}, evidence)]
        return [Score(values, evidence)]


def open_diversity(context: MetricContext) -> Metric:
    """The metric; argument ``fast`` (S and B) or ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    return Diversity(open_scorer(context, profile("diversity", "2", context.argument, PARTS)))
