"""CLIP score: cosine between caption and drawing (Radford et al., 2021), the mean of OpenAI's ViT-B/32 and ViT-L/14.

Captions are cut at 77 tokens. Text drawn on the canvas raises the score, so it is measured once more on the drawing with
its text taken out (``clip_without_text``; equal to ``clip`` where there is none).
"""

from __future__ import annotations

from sgpbench.metrics.encoder_metric import Part, open_scorer, profile
from sgpbench.metrics.interface import Metric, MetricContext
from sgpbench.metrics.text_image import TextImageMetric

__all__ = ["PARTS", "open_clip"]

PARTS = (Part("b32", "clip-vit-b-32", fast=True), Part("l14", "clip-vit-l-14"))


def open_clip(context: MetricContext) -> Metric:
    """The metric; argument ``fast`` (ViT-B/32 alone) or ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    scorer = open_scorer(context, profile("clip", "1", context.argument, PARTS))
    scoring = context.protocol.scoring
    return TextImageMetric(
        scorer,
        "cosine of caption and drawing by CLIP",
        invalid=scoring.invalid.policy("clip"),
        jpeg=scoring.renderer.jpeg.get("clip"),
        without_text="clip_without_text",
    )
