"""HPS: cosine between caption and drawing by HPSv2.1 (Wu et al., 2023), a CLIP ViT-H/14 trained on human preferences.

As in its own package a picture is fitted whole into the input, black around it, and resized in floating point.
"""

from __future__ import annotations

from sgpbench.metrics.encoder_metric import Part, open_scorer, profile
from sgpbench.metrics.interface import Metric, MetricContext
from sgpbench.metrics.text_image import TextImageMetric

__all__ = ["PARTS", "open_hps"]

PARTS = (Part("v2.1", "hps-v2.1"),)


def open_hps(context: MetricContext) -> Metric:
    """The metric; argument ``bf16``.

    Raises:
        UsageError: another argument. MetricUnavailable: packages or weights are missing.
    """
    scorer = open_scorer(context, profile("hps", "1", context.argument, PARTS), view="fit")
    scoring = context.protocol.scoring
    return TextImageMetric(
        scorer,
        "cosine of caption and drawing by HPSv2.1",
        invalid=scoring.invalid.policy("hps"),
        jpeg=scoring.renderer.jpeg.get("hps"),
    )
