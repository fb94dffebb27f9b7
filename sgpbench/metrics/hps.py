"""HPS: cosine between caption and drawing by HPSv2.1 (Wu et al., 2023), a CLIP ViT-H/14 trained on human preferences.

As in its own package a picture is fitted whole into the input, black around it, and resized in floating point. A picture so
narrow that its shorter side would vanish is drawn one pixel wide.

The released code scores the drawings of one key (of a photograph: of its last caption) together: its number is their mean,
and 0 where a single one of them cannot be embedded by HPSv2's own package. So does ``ReleasedHps``; what each drawing was
given stands in its evidence, under the metric's name: ``{"drawings": {sample: cosine}}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from sgpbench.metrics.encoder_metric import Part, mean, open_scorer, profile, rounded
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.metrics.keyed import KeyedPrompts
from sgpbench.metrics.text_image import TextImageMetric
from sgpbench.protocol import HpsRule
from sgpbench.records import Drawing, Failure, Json, Score

__all__ = ["PARTS", "ReleasedHps", "open_hps"]

PARTS = (Part("v2.1", "hps-v2.1"),)
_INPUT = 224
"""Pixels of the encoder's input."""


class ReleasedHps:
    """HPS as the released code gathers it; see the module."""

    needs: frozenset[Need] = frozenset()
    unit: Literal["sample", "prompt"] = "prompt"
    batch_size = 64

    def __init__(self, each: TextImageMetric, rule: HpsRule, keyed: KeyedPrompts) -> None:
        """``each`` scores one drawing by itself."""
        self._each = each
        self._zero_all = rule.too_narrow == "zero-all"
        self._keyed = keyed
        self.name, self.version, self.columns = each.name, each.version, each.columns
        gathered: dict[str, Json] = {"too_narrow": rule.too_narrow, "keyed": keyed.identity}
        self.identity: Mapping[str, Json] = {**each.identity, **gathered}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer for all valid drawings of one prompt; an empty one where another prompt counts in its place."""
        ordered = sorted(batch, key=lambda drawing: drawing.sample)
        if not self._keyed.counts(ordered[0].prompt):
            return [Score({})]
        if self._zero_all and any(_cannot_be_embedded(drawing.rendering) for drawing in ordered if drawing.rendering):
            return [self._together(ordered, [0.0] * len(ordered))]
        near = []
        for answer in await self._each.score(ordered):
            if isinstance(answer, Failure):
                return [answer]
            near.append(answer.values[self.name])
        return [self._together(ordered, near)]

    async def aclose(self) -> None:
        """Gives the encoder back."""
        await self._each.aclose()

    def _together(self, drawings: Sequence[Drawing], near: Sequence[float]) -> Score:
        each: dict[str, Json] = {str(drawing.sample): value for drawing, value in zip(drawings, near, strict=True)}
        return Score(rounded({self.name: mean(near)}), {self.name: {"drawings": each}})


def _cannot_be_embedded(picture: Path) -> bool:
    """Whether HPSv2's own package fails on a picture.

    It does where the shorter side has no pixel left once the longer one fills the input; and where the longer side is as
    long as the input already, since then nothing is put around the picture.
    """
    from PIL import Image

    with Image.open(picture) as image:
        short, long = min(image.size), max(image.size)
    return short < long == _INPUT or round(short * (_INPUT / long)) == 0


def open_hps(context: MetricContext) -> Metric:
    """The metric; argument ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    scorer = open_scorer(context, profile("hps", "1", context.argument, PARTS), view="fit")
    scoring = context.protocol.scoring
    each = TextImageMetric(
        scorer,
        "cosine of caption and drawing by HPSv2.1",
        invalid=scoring.invalid.policy("hps"),
        jpeg=scoring.renderer.jpeg.get("hps"),
    )
    if scoring.hps == HpsRule():
        return each
    return ReleasedHps(each, scoring.hps, KeyedPrompts(context.prompts, scoring.hps.keyed_by))
