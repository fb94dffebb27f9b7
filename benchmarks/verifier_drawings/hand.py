"""The 100 drawings in ``handwritten/``: SVGs as language models write them, with their scenes and what is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "handwritten"


@dataclass(frozen=True)
class HandDrawing:
    name: str
    scene: dict
    broken: tuple[str, ...]
    """``kind about`` of every constraint that is not met; empty where the drawing is right."""
    svg: str


def hand_drawings() -> Iterator[HandDrawing]:
    """All of them, in the files' order."""
    for path in sorted(FOLDER.glob("*.toml")):
        for number, entry in enumerate(tomllib.loads(path.read_text("utf-8"))["drawing"]):
            yield HandDrawing(f"{path.stem}/{number}", scene_of(entry["scene"]), tuple(entry["broken"]), entry["svg"])


def scene_of(text: str) -> dict:
    """``"1 red circle a; 2 blue square b | left a b; equal b"`` as the JSON that a prompt carries."""
    groups, _, statements = text.partition("|")
    return {
        "background": "white",
        "groups": [
            {"id": name, "shape": shape, "color": color, "count": int(count)}
            for count, color, shape, name in (part.split() for part in groups.split(";"))
        ],
        "statements": [
            dict(zip(("kind", "subject", "object"), part.split(), strict=False))
            for part in statements.split(";")
            if part.strip()
        ],
    }
