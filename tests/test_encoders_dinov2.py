"""DINOv2 as it was published: where positions are sampled, and how the released code squashes references."""

from __future__ import annotations

import numpy as np
import pytest
from dinov2_positions import interpolated
from extras import how_to_get
from numpy.typing import NDArray

pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("transformers", reason=how_to_get("metrics"))

import torch

from sgpbench.metrics.encoder_models import published_positions
from sgpbench.metrics.preprocess import squashed

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


def test_the_released_arithmetic_is_torchvisions() -> None:
    from PIL import Image
    from torchvision import transforms

    square = transforms.Compose([transforms.ToTensor(), transforms.Resize((224, 224)), transforms.ToPILImage()])
    for size in ((224, 224), (224, 300), (512, 512), (33, 700)):
        picture = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
        picture[: size[0] // 2] = 255
        assert np.array_equal(squashed(picture, 224), np.asarray(square(Image.fromarray(picture))))
