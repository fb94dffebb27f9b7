"""SigLIP was trained on texts of 64 tokens, padded; it has no mask, so that the padding is part of what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from extras import how_to_get

torch = pytest.importorskip("torch", reason=how_to_get("metrics"))
pytest.importorskip("transformers", reason=how_to_get("metrics"))
pytestmark = pytest.mark.torch


def test_siglip_reads_64_tokens_of_the_shortest_text(tmp_path: Path) -> None:
    from encoder_weights import save_siglip

    from sgpbench.metrics.encoder_models import Siglip
    from sgpbench.metrics.encoding import EncoderSpec

    save_siglip(tmp_path)
    encoder = Siglip(EncoderSpec("siglip", "siglip", str(tmp_path / "model.safetensors"), ""), torch.device("cpu"))
    read: list[tuple[int, ...]] = []
    encoder._model.text_model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    with torch.no_grad():
        encoder.texts(["a"])
        encoder.texts(["a", "a red circle"])
    assert read == [(1, 64), (2, 64)]
