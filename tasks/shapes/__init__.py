"""The task ``shapes``: captions made from a seed, each scored exactly from the pixels of its drawing."""

from __future__ import annotations

from .task import ShapesTask

__all__ = ["TASK", "ShapesTask"]

TASK = ShapesTask()
