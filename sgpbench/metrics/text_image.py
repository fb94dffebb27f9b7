"""Cosine between a caption and a drawing: what ``clip``, ``siglip`` and ``hps`` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sgpbench.metrics.encoder_metric import Scorer, cosine, failure, image_item, mean, rounded
from sgpbench.metrics.encoding import ImageItem, Unreadable, Vector
from sgpbench.metrics.interface import Need
from sgpbench.records import Column, Drawing, Failure, Score

__all__ = ["TextImageMetric"]


class TextImageMetric:
    """The mean, over encoders, of the cosine between a caption and a drawing; and each of them."""

    needs: frozenset[Need] = frozenset()
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 256

    def __init__(
        self,
        scorer: Scorer,
        description: str,
        *,
        invalid: Literal["zero", "omit"],
        jpeg: int | None = None,
        without_text: str | None = None,
    ) -> None:
        """``without_text`` names a column that measures the drawing once more with its text taken out."""
        self._scorer = scorer
        self._jpeg = jpeg
        self.name = scorer.profile.name
        self.version = scorer.profile.version
        parts = [part.column for part in scorer.profile.parts]
        self._parts = [f"{self.name}.{part}" for part in parts] if len(parts) > 1 else []
        self._without_text = f"{without_text}{scorer.profile.suffix}" if without_text else None
        columns = [Column(self.name, True, description, -1.0, 1.0, invalid)]
        columns += [Column(name, True, f"{description}, one encoder", -1.0, 1.0, invalid) for name in self._parts]
        if self._without_text:
            words = f"{description}, text taken out of the drawing"
            columns.append(Column(self._without_text, True, words, -1.0, 1.0, invalid))
        self.columns = tuple(columns)
        self.identity = scorer.identity(jpeg=jpeg)

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer per drawing, in their order."""
        return await self._scorer.run(batch, self._score)

    async def aclose(self) -> None:
        """Gives the encoders back."""
        await self._scorer.aclose()

    def _score(self, batch: Sequence[Drawing]) -> list[Score | Failure]:
        captions = self._scorer.embedder.texts(self._scorer.specs, [drawing.prompt.caption for drawing in batch])
        items = [image_item(drawing, jpeg=self._jpeg) for drawing in batch]
        bare = {
            position: ImageItem(drawing.rendering_without_text, jpeg=self._jpeg)
            for position, drawing in enumerate(batch)
            if self._without_text and drawing.rendering_without_text is not None
        }
        views = self._scorer.embedder.images(self._scorer.specs, [*items, *bare.values()])
        seen, without = views[: len(items)], dict(zip(bare, views[len(items) :], strict=True))
        return [
            self._one(captions[position], seen[position], without.get(position, seen[position]))
            for position in range(len(batch))
        ]

    def _one(
        self, caption: Sequence[Vector], seen: Sequence[Vector | Unreadable], bare: Sequence[Vector | Unreadable]
    ) -> Score | Failure:
        near = _cosines(caption, seen)
        near_bare = _cosines(caption, bare)
        if isinstance(near, Unreadable) or isinstance(near_bare, Unreadable):
            reason = near if isinstance(near, Unreadable) else near_bare
            return failure(reason.message if isinstance(reason, Unreadable) else "")
        values = {self.name: mean(near), **dict(zip(self._parts, near, strict=False))}
        if self._without_text:
            values[self._without_text] = mean(near_bare)
        return Score(rounded(values))


def _cosines(caption: Sequence[Vector], view: Sequence[Vector | Unreadable]) -> list[float] | Unreadable:
    near = []
    for words, picture in zip(caption, view, strict=True):
        if isinstance(picture, Unreadable):
            return picture
        near.append(cosine(words, picture))
    return near
