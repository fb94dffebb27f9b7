"""The smallest metric of one's own: how much of a drawing is not white.

With this folder's path, nothing needs to be installed::

    sgpbench run --model baseline/procedural --task shapes --limit 5 --metrics ./examples/my_metric.py:open_ink
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from PIL import Image

from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.records import Column, Drawing, Failure, Json, Score


class Ink:
    """The share of pixels that are not white. What the attributes mean stands in ``sgpbench/metrics/interface.py``."""

    name = "ink"
    version = "1"
    needs: frozenset[Need] = frozenset()
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 64
    columns = (Column("ink", None, "share of pixels that are not white", 0.0, 1.0, "omit"),)
    identity: Mapping[str, Json] = {"version": "1"}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One value per drawing, in their order; only samples that were drawn are in a batch."""
        return [Score({"ink": _share(drawing)}) for drawing in batch]

    async def aclose(self) -> None:
        """Nothing is held open."""


def _share(drawing: Drawing) -> float:
    assert drawing.rendering is not None
    with Image.open(drawing.rendering) as picture:
        return float((np.asarray(picture.convert("L")) < 255).mean())


def open_ink(context: MetricContext) -> Metric:
    """The factory: what stands after the colon on the command line."""
    return Ink()
