"""What the tests of parsing and rendering share."""

from __future__ import annotations

import io

from PIL import Image

from sgpbench.protocol import RendererRule, load_protocol

NS = 'xmlns="http://www.w3.org/2000/svg"'
V1 = load_protocol("v1").scoring.renderer
# Any parser serves where the tests say nothing of repairs; the one that is pinned need not be installed.
PAPER = load_protocol("paper").scoring.renderer.model_copy(update={"lxml": None, "libxml2": None})


def impatient(rule: RendererRule, seconds: float) -> RendererRule:
    """The same rule with another time limit."""
    return rule.model_copy(update={"timeout_s": seconds})


def svg(body: str, attributes: str = 'viewBox="0 0 10 10"') -> str:
    return f"<svg {NS} {attributes}>{body}</svg>"


def picture(png: bytes | None) -> Image.Image:
    assert png is not None
    with Image.open(io.BytesIO(png)) as opened:
        assert (opened.format, opened.mode) == ("PNG", "RGB")
        return opened.copy()
