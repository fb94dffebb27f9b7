"""The metric around the verifier: PNG files in, columns and evidence out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.errors import DataError
from sgpbench.metrics.interface import MetricContext, Need
from sgpbench.metrics.shapes.scene import Scene, read_scene
from sgpbench.metrics.shapes.verify import Verdict, verify
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Score

__all__ = ["ShapesMetric", "open_shapes", "score_png"]

_COLUMNS = (
    Column("shapes", True, "drawings that meet every constraint of their caption", low=0, high=1),
    Column("shapes.share", True, "constraints met, mean over drawings", low=0, high=1),
)


class ShapesMetric:
    """Exact scores for prompts that carry a scene; no weights."""

    name = "shapes"
    version = "1"
    needs: frozenset[Need] = frozenset({"scene"})
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 32
    columns = _COLUMNS
    identity: Mapping[str, Json] = {"version": "1"}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One score per drawing: 1 or 0 for all constraints together, and the share of them that is met."""
        return await asyncio.to_thread(lambda: [_score(drawing) for drawing in batch])

    async def aclose(self) -> None:
        """Nothing is held."""


def open_shapes(context: MetricContext) -> ShapesMetric:
    """The metric; it takes no argument and looks at nothing in the context."""
    return ShapesMetric()


def score_png(png: bytes, scene: Scene) -> Verdict:
    """The verdict on a PNG; transparency is laid on white.

    Raises:
        ValueError: the bytes are no image.
    """
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) if png else None
    if decoded is None:
        raise ValueError("not an image")
    return verify(_on_white(decoded), scene)


def _on_white(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """RGB of what OpenCV decodes: grey, BGR or BGRA, 8 or 16 bits."""
    values = (image // 257).astype(np.uint8) if image.dtype == np.uint16 else image.astype(np.uint8)
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    if values.shape[2] == 3:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_BGR2RGB), np.uint8)
    if values[..., 3].min() == 255:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_BGRA2RGB), np.uint8)
    alpha = values[..., 3:].astype(np.float32) / 255
    mixed = values[..., 2::-1].astype(np.float32) * alpha + 255 * (1 - alpha)
    return np.rint(mixed).astype(np.uint8)


def _score(drawing: Drawing) -> Score | Failure:
    try:
        scene = read_scene(drawing.prompt.metadata.get("scene"))
        verdict = score_png(_read(drawing.rendering), scene)
    except (DataError, OSError, ValueError) as error:
        return Failure(Outcome.SCORER_ERROR, f"shapes: {drawing.prompt.id}: {error}")
    constraints: Json = [
        {"constraint": check.words, "kind": check.kind, "about": check.about, "met": check.met, "seen": check.seen}
        for check in verdict.checks
    ]
    values = {"shapes": float(verdict.all_met), "shapes.share": verdict.share}
    return Score(values, {"constraints": constraints})


def _read(path: Path | None) -> bytes:
    if path is None:
        raise ValueError("there is no rendering")
    return path.read_bytes()
