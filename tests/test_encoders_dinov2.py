"""DINOv2 as it was published: where positions are sampled, and how the released code squashes references."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from dinov2_positions import interpolated
from extras import how_to_get
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("transformers", reason=how_to_get("metrics"))

import torch

from sgpbench.metrics.encoder_models import published_positions
from sgpbench.metrics.preprocess import IMAGENET, UNIT, Preprocessing, prepared, to_input
from sgpbench.metrics.squash import squashed

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("default")]


def table(trained: int) -> NDArray[np.float32]:
    return np.random.default_rng(trained).normal(size=(1, 1 + trained * trained, 3)).astype(np.float32)


@pytest.mark.parametrize("trained", [37, 5, 20])
def test_positions_are_interpolated_by_the_published_formula(trained: int) -> None:
    positions = table(trained)
    ours = published_positions(torch.from_numpy(positions), 16).numpy()
    assert np.abs(ours - interpolated(positions, 16)).max() < 1e-5
    # A test that could not tell the two apart would say nothing.
    assert np.abs(ours - interpolated(positions, 16, offset=0.0)).max() > 1e-3


def test_positions_of_the_trained_size_stay_as_they_are() -> None:
    positions = torch.from_numpy(table(16))
    assert torch.equal(published_positions(positions, 16), positions)


def _shares(length: int, side: int) -> NDArray[np.float64]:
    """How much of each pixel is in each new one: a triangle as wide as two new pixels, or two old ones if these are larger."""
    scale = length / side
    reach = max(scale, 1.0)
    centres = (np.arange(side) + 0.5) * scale
    away = np.abs(np.arange(length) + 0.5 - centres[:, None]) / reach
    weights = np.maximum(0.0, 1.0 - away)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [(300, 512), (90, 37), (224, 500), (640, 480)])
def test_a_squashed_reference_is_resized_in_floating_point_and_cut_to_bytes(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    across = np.einsum("xu,vuc->vxc", _shares(size[1], 224), picture.astype(float))
    exact = np.einsum("yv,vxc->yxc", _shares(size[0], 224), across)
    ours = squashed(picture, 224)
    # The last bits of float32 decide only where the exact value is a whole number.
    clear = np.abs(exact - np.round(exact)) > 1e-3
    assert clear.mean() > 0.99
    assert (ours == np.floor(exact))[clear].all()


def made(height: int, width: int) -> NDArray[np.uint8]:
    """A picture of slopes, steps and a white half."""
    rows, columns = np.indices((height, width))
    halves = np.where(rows < height // 2, 255, columns)
    return np.stack([rows * 7 + columns * 3, rows // 9 * 40, halves], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "digest"),
    [
        ((224, 224), "79c6f65e84a5aeaf"),
        ((224, 300), "ea9abf59fd1f20cb"),
        ((512, 512), "01b9f7a5867498d0"),
        ((33, 700), "fbf01cb1b3f43449"),
        ((480, 640), "cf2125d52b6b70a8"),
        ((640, 427), "7778985789f0721b"),
    ],
)
def test_references_are_squashed_to_the_bit_as_by_the_released_pins(size: tuple[int, int], digest: str) -> None:
    """The digests are those of ToTensor, Resize((224, 224)), ToPILImage by torch 2.5.1 and torchvision 0.20.1."""
    assert hashlib.sha256(squashed(made(*size), 224).tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("size", [(120, 240), (240, 120), (512, 300), (300, 512), (64, 64)])
@pytest.mark.parametrize(
    "rule", [Preprocessing(32, "bicubic", "squash", UNIT), Preprocessing(224, "bilinear", "crop", IMAGENET)]
)
def test_pictures_are_resized_columns_first_whatever_pillow_would_do(
    size: tuple[int, int], rule: Preprocessing
) -> None:
    picture = made(*size)
    height, width = rule.target(*size)
    wide = Image.fromarray(picture).resize((width, size[0]), FILTERS[rule.filter])
    whole = np.asarray(wide.resize((width, height), FILTERS[rule.filter]))
    top, left = round((height - rule.size) / 2), round((width - rule.size) / 2)
    expected = whole[top : top + rule.size, left : left + rule.size]
    assert np.array_equal(prepared(picture, rule), expected)
    values = to_input(torch.from_numpy(picture)[None], rule)[0].permute(1, 2, 0).numpy()
    plain = (expected / 255 - rule.normalisation.mean) / rule.normalisation.std
    assert np.abs(values - plain).max() < 1e-5
