"""Test drawings for ``shapes``: those of the benchmark, rendered as ``v1`` renders them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import resvg_py

from sgpbench.metrics.shapes import Verdict, read_scene, score_png

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

ONE_RED_CIRCLE = {
    "background": "white",
    "groups": [{"id": "a", "shape": "circle", "color": "red", "count": 1}],
    "statements": [],
}


def render(svg: str, longer_side: int = 512) -> bytes:
    box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg) or re.search(
        r'width="(\d+)" height="(\d+)"', svg
    )
    width, height = (float(box[1]), float(box[2])) if box else (1.0, 1.0)
    scale = longer_side / max(width, height)
    size = {"width": round(width * scale), "height": round(height * scale)}
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True, **size))


def judge(svg: str, scene: object, longer_side: int = 512) -> Verdict:
    return score_png(render(svg, longer_side), read_scene(scene))


def on_white(body: str, size: str = "0 0 200 200") -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}">{body}</svg>'


def unmet(verdict: Verdict) -> list[str]:
    return [f"{check.kind} {check.about}".strip() for check in verdict.unmet]
