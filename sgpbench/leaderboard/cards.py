"""Pictures for links that are shared: a card per page, and the site's icon."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.leaderboard.naming import shortened
from sgpbench.protocol import canonical_hash
from sgpbench.svg.render import FONTS_FOLDER

if TYPE_CHECKING:
    from PIL import Image, ImageFont

__all__ = ["card", "icon", "kept_card"]

_PAPER, _INK, _QUIET, _BLUE, _RED = "#fbfaf7", "#1d2126", "#5b6470", "#2456a6", "#c2410c"
_SIZE = (1200, 630)
_VERSION = 1
"""Of the card's looks."""


def card(title: str, subtitle: str, lines: Sequence[tuple[str, str]]) -> bytes:
    """A PNG of 1200 × 630: a title, a line below it, and up to four (label, number) pairs."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((76, 68, 128, 120), outline=_BLUE, width=7)
    draw.rounded_rectangle((104, 92, 152, 140), radius=6, outline=_RED, width=7)
    draw.text((176, 80), "sgpbench", font=_font("LiberationSans-Bold", 40), fill=_QUIET)
    words = " ".join(title.split())
    size = 68 if len(words) < 34 else 46
    draw.text((76, 190), shortened(words, 48), font=_font("LiberationSans-Bold", size), fill=_INK)
    draw.text((76, 190 + size + 20), shortened(subtitle, 60), font=_font("LiberationSans-Regular", 40), fill=_QUIET)
    for index, (label, number) in enumerate(lines[:4]):
        y = 372 + 56 * index
        draw.text(
            (76, y), shortened(" ".join(label.split()), 44), font=_font("LiberationSans-Regular", 36), fill=_QUIET
        )
        draw.text((1124, y), number, font=_font("LiberationSans-Bold", 40), fill=_BLUE, anchor="ra")
    return _png(picture.quantize(48, method=Image.Quantize.FASTOCTREE))


def kept_card(cache: Path, title: str, subtitle: str, lines: Sequence[tuple[str, str]]) -> bytes:
    """The same, drawn once and then kept in a folder under what is written on it."""
    kept = cache / f"{canonical_hash([_VERSION, title, subtitle, list(lines)], 32)}.png"
    try:
        return kept.read_bytes()
    except OSError:
        data = card(title, subtitle, lines)
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    temporary.write_bytes(data)
    temporary.replace(kept)
    return data


def icon() -> bytes:
    """The site's icon, a PNG of 64 × 64."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (64, 64), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((6, 6, 40, 40), outline=_BLUE, width=6)
    draw.rounded_rectangle((27, 27, 58, 58), radius=4, outline=_RED, width=6)
    return _png(picture.quantize(32))


@functools.cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(FONTS_FOLDER / f"{name}.ttf"), size)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
