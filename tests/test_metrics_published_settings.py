"""Settings of the published scores that barely move a number, and would not be missed by one."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from sgpbench.metrics.vqa import _as_jpeg
from sgpbench.protocol import load_protocol


def test_questions_are_asked_of_a_jpeg_of_quality_75_under_paper(tmp_path: Path) -> None:
    file = tmp_path / "drawing.png"
    picture = Image.effect_noise((64, 64), 90).convert("RGB")
    picture.save(file)
    quality = load_protocol("paper").scoring.renderer.jpeg["vqa"]
    expected = io.BytesIO()
    picture.save(expected, "JPEG", quality=75)
    assert _as_jpeg(file, quality) == expected.getvalue()
