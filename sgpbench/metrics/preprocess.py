"""From a picture file to the pixels an encoder sees, equal to what Pillow gives, one by one or in batches on a device.

Pillow resizes 8-bit pictures in two passes with integer weights and rounds to 8 bits after each, columns before rows (which
is asked for in two steps, since later versions choose). ``resize`` does the same sums for a whole batch of equal size as
two matrix products in float64, in which those integers are exact: the result equals Pillow's to the last bit, on any
device. On a CPU Pillow itself is faster and is used (``prepared``).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sgpbench.metrics.squash import squashed

if TYPE_CHECKING:
    import torch

__all__ = [
    "IMAGENET",
    "OPENAI",
    "UNIT",
    "Normalisation",
    "Preprocessing",
    "decoded",
    "prepared",
    "resize",
    "squashed",
    "to_input",
]

Pixels = NDArray[np.uint8]
"""``(h, w, 3) uint8``, RGB."""

FilterName: TypeAlias = Literal["bilinear", "bicubic"]

_PRECISION = 22
"""Bits behind the point of Pillow's weights for 8-bit pictures."""

_FILTERS: dict[str, Image.Resampling] = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation per channel, of values in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


OPENAI = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
UNIT = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a square input of ``size`` pixels."""

    size: int
    filter: FilterName
    shape: Literal["crop", "squash", "fit"]
    """``crop``: the shorter side is resized to ``size`` and the centre is cut out. ``squash``: both sides are resized to
    ``size``, whatever the aspect. ``fit``: the longer side is resized to ``size`` in floating point, black around it
    (HPSv2's own way; nothing is cut off)."""
    normalisation: Normalisation

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after resizing, before cutting or filling."""
        if self.shape == "squash":
            return self.size, self.size
        if self.shape == "fit":
            scale = self.size / max(height, width)
            return max(1, round(height * scale)), max(1, round(width * scale))
        if height <= width:
            return self.size, int(self.size * width / height)
        return int(self.size * height / width), self.size


def decoded(path: Path, *, jpeg: int | None = None, squash: int | None = None) -> Pixels:
    """A picture as RGB on white, first sent through JPEG of quality ``jpeg`` and resized to a ``squash``-pixel square.

    Raises:
        OSError: the file is missing or is no picture.
    """
    with Image.open(path) as opened:
        image = _on_white(opened)
    if jpeg is not None:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=jpeg)
        with Image.open(buffer) as opened:
            image = opened.convert("RGB")
    pixels = np.asarray(image)
    return pixels if squash is None else squashed(pixels, squash)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def prepared(pixels: Pixels, rule: Preprocessing) -> Pixels:
    """The resized and cut picture, by Pillow: ``(size, size, 3) uint8``. Not for ``fit``, which leaves 8 bits."""
    height, width = rule.target(*pixels.shape[:2])
    if (height, width) != pixels.shape[:2]:
        # One side after the other: Pillow does the same up to version 12, but 13 begins with the rows of some pictures.
        wide = Image.fromarray(pixels).resize((width, pixels.shape[0]), _FILTERS[rule.filter])
        pixels = np.asarray(wide.resize((width, height), _FILTERS[rule.filter]))
    top, left = _centre(height, rule.size), _centre(width, rule.size)
    return pixels[top : top + rule.size, left : left + rule.size]


def _centre(length: int, size: int) -> int:
    return round((length - size) / 2.0)


def to_input(pixels: torch.Tensor, rule: Preprocessing) -> torch.Tensor:
    """Pictures of one size, ``(n, h, w, 3) uint8``, as an encoder's input: ``(n, 3, size, size) float32``."""
    import torch

    batch = pixels.permute(0, 3, 1, 2)
    if rule.shape == "fit":
        values = _fitted(batch, rule)
    else:
        height, width = rule.target(*batch.shape[2:])
        top, left = _centre(height, rule.size), _centre(width, rule.size)
        whole = resize(batch, (height, width), rule.filter)
        values = whole[:, :, top : top + rule.size, left : left + rule.size].to(torch.float32) / 255
    mean = torch.tensor(rule.normalisation.mean, device=values.device).view(1, 3, 1, 1)
    std = torch.tensor(rule.normalisation.std, device=values.device).view(1, 3, 1, 1)
    return (values - mean) / std


def _fitted(batch: torch.Tensor, rule: Preprocessing) -> torch.Tensor:
    import torch
    from torch.nn import functional

    height, width = rule.target(*batch.shape[2:])
    values = batch.to(torch.float32) / 255
    if (height, width) != tuple(batch.shape[2:]):
        values = functional.interpolate(
            values, size=(height, width), mode=rule.filter, align_corners=False, antialias=True
        )
    down, right = rule.size - height, rule.size - width
    return functional.pad(values, (right // 2, right - right // 2, down // 2, down - down // 2))


def resize(batch: torch.Tensor, size: tuple[int, int], filter_name: FilterName) -> torch.Tensor:
    """Pictures ``(n, 3, h, w) uint8`` resized to ``size`` (height, width), each as ``prepared`` does it, bit by bit."""
    return _down(_across(batch, size[1], filter_name), size[0], filter_name)


def _across(batch: torch.Tensor, width: int, filter_name: FilterName) -> torch.Tensor:
    import torch

    if batch.shape[3] == width:
        return batch
    weights = torch.from_numpy(pillow_weights(int(batch.shape[3]), width, filter_name)).to(batch.device)
    return _rounded(batch.to(torch.float64) @ weights.T)


def _down(batch: torch.Tensor, height: int, filter_name: FilterName) -> torch.Tensor:
    import torch

    if batch.shape[2] == height:
        return batch
    weights = torch.from_numpy(pillow_weights(int(batch.shape[2]), height, filter_name)).to(batch.device)
    return _rounded(weights @ batch.to(torch.float64))


def _rounded(sums: torch.Tensor) -> torch.Tensor:
    import torch

    half, one = float(1 << (_PRECISION - 1)), float(1 << _PRECISION)
    return torch.floor((sums + half) / one).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=256)
def pillow_weights(length: int, target: int, filter_name: FilterName) -> NDArray[np.float64]:
    """Pillow's integer weights of ``length`` pixels in each of ``target`` new ones: ``(target, length)``, whole numbers."""
    scale = length / target
    stretch = max(scale, 1.0)
    reach = stretch * (1.0 if filter_name == "bilinear" else 2.0)
    weights = np.zeros((target, length))
    for new in range(target):
        centre = (new + 0.5) * scale
        first = max(0, int(centre - reach + 0.5))
        last = min(length, int(centre + reach + 0.5))
        taps = [_kernel((old - centre + 0.5) * (1.0 / stretch), filter_name) for old in range(first, last)]
        total = sum(taps)
        weights[new, first:last] = [_nearest_whole(tap / total * (1 << _PRECISION)) for tap in taps]
    return weights


def _nearest_whole(value: float) -> int:
    return int(value + 0.5) if value >= 0 else int(value - 0.5)


def _kernel(distance: float, filter_name: FilterName) -> float:
    away = abs(distance)
    if filter_name == "bilinear":
        return max(0.0, 1.0 - away)
    if away < 1.0:
        return (1.5 * away - 2.5) * away * away + 1.0
    if away < 2.0:
        return ((-0.5 * away + 2.5) * away - 4.0) * away + 2.0
    return 0.0
