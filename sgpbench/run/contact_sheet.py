"""A picture of a run: its drawings in a grid, each with caption, outcome and score."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgpbench.svg.render import FONTS_FOLDER

__all__ = ["SheetItem", "write_contact_sheet"]

_CELL = 224
_TEXT = 74
_GAP = 12
_INK, _SOFT, _PAPER, _BAD = "#1c1c1e", "#6b6b70", "#f4f4f5", "#a33030"


@dataclass(frozen=True, slots=True)
class SheetItem:
    """One cell. ``rendering`` is ``None`` where there is no valid drawing."""

    caption: str
    outcome: str
    score: str
    rendering: Path | None


def write_contact_sheet(items: Sequence[SheetItem], title: str, path: Path, *, columns: int = 5) -> None:
    """Writes a PNG with one cell per item, in their order.

    Raises:
        OSError: it cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(str(FONTS_FOLDER / "DejaVuSans.ttf"), 12)
    bold = ImageFont.truetype(str(FONTS_FOLDER / "DejaVuSans.ttf"), 18)
    rows = -(-len(items) // columns)
    step_x, step_y = _CELL + _GAP, _CELL + _TEXT + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + 48 + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 14), title, fill=_INK, font=bold)
    for index, item in enumerate(items):
        x, y = _GAP + index % columns * step_x, 48 + index // columns * step_y
        if item.rendering is not None and item.rendering.is_file():
            with Image.open(item.rendering) as picture:
                small = picture.convert("RGB")
                small.thumbnail((_CELL, _CELL))
                cell = Image.new("RGB", (_CELL, _CELL), "white")
                cell.paste(small, ((_CELL - small.width) // 2, (_CELL - small.height) // 2))
                sheet.paste(cell, (x, y))
        else:
            draw.rectangle((x, y, x + _CELL - 1, y + _CELL - 1), outline=_SOFT)
            draw.text((x + _CELL // 2, y + _CELL // 2), item.outcome, fill=_BAD, font=font, anchor="mm")
        lines = textwrap.wrap(item.caption, 34)
        shown = lines[:3] if len(lines) <= 3 else [*lines[:2], lines[2][:31] + " …"]
        for number, line in enumerate(shown):
            draw.text((x, y + _CELL + 4 + number * 15), line, fill=_INK, font=font)
        draw.text((x, y + _CELL + 4 + 3 * 15), f"{item.outcome}  {item.score}".strip(), fill=_SOFT, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
