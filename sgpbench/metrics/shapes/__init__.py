"""The metric ``shapes``: whether a drawing shows exactly what a scene asks for, decided from its pixels alone."""

from __future__ import annotations

import cv2

from sgpbench.metrics.shapes.metric import ShapesMetric, open_shapes, score_png
from sgpbench.metrics.shapes.scene import Scene, read_scene
from sgpbench.metrics.shapes.verify import Check, Verdict, verify

__all__ = ["Check", "Scene", "ShapesMetric", "Verdict", "open_shapes", "read_scene", "score_png", "verify"]

# The images are small: more threads only burn processor time (15 % of it), and drawings are judged side by side anyway.
cv2.setNumThreads(1)
