"""DINOv2's position embeddings for another number of patches, written down from its published formula.

Its code interpolates the trained grid with cubic convolution (Keys, 1981; a = -0.75) by the factor (side + 0.1) / trained and
not by side / trained. What lies outside the grid is the nearest edge.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["interpolated"]

_A = -0.75


def _weight(distance: float) -> float:
    x = abs(distance)
    if x <= 1:
        return (_A + 2) * x**3 - (_A + 3) * x**2 + 1
    return _A * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def _matrix(trained: int, side: int, offset: float) -> NDArray[np.float64]:
    scale = (side + offset) / trained
    weights = np.zeros((side, trained))
    for row in range(side):
        centre = (row + 0.5) / scale - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[row, min(max(tap, 0), trained - 1)] += _weight(centre - tap)
    return weights


def interpolated(positions: NDArray[np.float32], side: int, *, offset: float = 0.1) -> NDArray[np.float32]:
    """``(1, 1 + trained², d)`` to ``(1, 1 + side², d)``; the class token's is the first and stays."""
    trained = math.isqrt(positions.shape[1] - 1)
    grid = positions[0, 1:].reshape(trained, trained, -1).astype(np.float64)
    weights = _matrix(trained, side, offset)
    across = np.einsum("xu,vud->vxd", weights, grid)
    moved = np.einsum("yv,vxd->yxd", weights, across).reshape(1, side * side, -1)
    return np.concatenate([positions[:, :1], moved.astype(np.float32)], axis=1)
