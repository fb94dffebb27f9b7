"""References as the released code prepares them: resized in floating point, then cut to whole bytes.

It turns a picture into numbers of 0 to 1, resizes these to a square (bilinear, with antialiasing), and cuts them back to
bytes. White is 255 or 254 by the last bit of a sum, so the sums themselves must be those of the released pins: torch 2.5.1 on
a CPU, which adds in float32, one fused multiplication after the other, columns before rows. Other versions of torch
add in another order and cut up to 7 % of the pixels of flat drawings differently; so the sums are written down here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["squashed"]

Values = NDArray[np.float32]
_Taps = tuple[tuple[int, tuple[float, ...]], ...]
"""Per new pixel: the first old one that has a share in it, and the shares of that one and those after it."""


def squashed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture ``(h, w, 3) uint8`` as a square ``(side, side, 3) uint8``, whatever its aspect."""
    values: Values = pixels.astype(np.float32) / np.float32(255)
    for axis in (1, 0):
        if pixels.shape[:2] != (side, side):
            values = _along(values, axis, side)
    cut: NDArray[np.uint8] = (values * np.float32(255)).astype(np.uint8)
    return cut


def _along(values: Values, axis: int, side: int) -> Values:
    if values.shape[axis] == side:
        return values
    old = np.moveaxis(values, axis, 0)
    new = np.empty((side, *old.shape[1:]), np.float32)
    for place, (first, shares) in enumerate(_taps(old.shape[0], side)):
        total: Values = old[first] * np.float32(shares[0])
        for further, share in enumerate(shares[1:], start=first + 1):
            # The product is exact in float64, so that only the sum is rounded, as where both are one instruction.
            total = (old[further].astype(np.float64) * share + total).astype(np.float32)
        new[place] = total
    return np.moveaxis(new, 0, axis)


@lru_cache(maxsize=64)
def _taps(length: int, side: int) -> _Taps:
    scale = np.float32(length) / np.float32(side)
    support = max(scale, np.float32(1))
    inverse = float(np.float32(1 / float(support)))
    taps = []
    for place in range(side):
        centre = np.float32(float(scale) * (place + 0.5))
        first = max(int(float(centre - support) + 0.5), 0)
        last = min(int(float(centre + support) + 0.5), length)
        weights = []
        for old in range(first, last):
            away = abs(np.float32((float(np.float32(old) - centre) + 0.5) * inverse))
            weights.append(max(np.float32(1) - away, np.float32(0)))
        total = np.float32(0)
        for weight in weights:
            total += weight
        taps.append((first, tuple(float(weight / total) for weight in weights)))
    return tuple(taps)
