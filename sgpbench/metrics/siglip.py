"""SigLIP score: cosine between caption and drawing (Zhai et al., 2023), the mean of base and large, patch 16, 384 pixels.

Captions are cut at 64 tokens. The reward of the paper's best model.
"""

from __future__ import annotations

from sgpbench.metrics.encoder_metric import Part, open_scorer, profile
from sgpbench.metrics.interface import Metric, MetricContext
from sgpbench.metrics.text_image import TextImageMetric

__all__ = ["PARTS", "open_siglip"]

PARTS = (Part("base", "siglip-base-patch16-384"), Part("large", "siglip-large-patch16-384"))


def open_siglip(context: MetricContext) -> Metric:
    """The metric; argument ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    scorer = open_scorer(context, profile("siglip", "1", context.argument, PARTS))
    scoring = context.protocol.scoring
    return TextImageMetric(
        scorer,
        "cosine of caption and drawing by SigLIP",
        invalid=scoring.invalid.policy("siglip"),
        jpeg=scoring.renderer.jpeg.get("siglip"),
    )
