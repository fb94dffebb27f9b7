"""Three models that need nothing: they read the caption and answer at once.

``baseline/procedural`` draws what it understands: a ceiling for ``shapes``, a low bar elsewhere. ``baseline/blank``
answers with an empty picture: a floor. ``baseline/caption`` writes the caption into the picture: it shows what a metric
gives for words instead of a drawing.
"""

from __future__ import annotations

import colorsys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal
from xml.sax.saxutils import escape

from sgpbench.errors import UsageError, unknown_name
from sgpbench.models.baseline_layout import CANVAS, Placed, layout
from sgpbench.models.baseline_reading import COLORS, Reading, read_caption
from sgpbench.models.interface import Concurrency, Model, ModelSpec, Price, takes
from sgpbench.records import Completion, FinishReason, Json, Request, Usage

__all__ = ["BaselineModel", "draw_blank", "draw_caption", "draw_procedural", "open_baseline"]

_VERSION = "1"
_HEAD = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CANVAS:g} {CANVAS:g}">'
_WHITE = '<rect width="100%" height="100%" fill="#ffffff"/>'
_PALETTE = ("#c04848", "#4878c0", "#48a068", "#c09038", "#8858a8", "#48a0a8", "#a86848")
_EXACT = frozenset({"circle", "square", "triangle", "rectangle", "ellipse", "pentagon", "hexagon", "star"})


class BaselineModel:
    """One of the baselines. Equal seeds give equal answers, whatever else is asked at the time."""

    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages", "text"})
    sees = False
    max_n = 64
    seeds = True
    concurrency = Concurrency(64, 64)
    price: Price | None = Price(0, 0)
    endpoint = "baseline"
    device: str | None = None

    def __init__(self, name: str, model_id: str) -> None:
        self.name = name
        self.identity: Mapping[str, Json] = {"model": f"baseline/{model_id}", "version": _VERSION}
        self._draw = _BASELINES[model_id]

    async def generate(self, request: Request) -> Sequence[Completion]:
        """One drawing per seed, from the caption alone."""
        return [
            Completion(self._draw(request.caption, seed), FinishReason.STOP, Usage(0, 0), latency_s=0.0, cost_usd=0.0)
            for seed in request.seeds
        ]

    async def aclose(self) -> None:
        """Nothing is held."""


@takes()
def open_baseline(spec: ModelSpec) -> Model:
    """The baseline ``spec.model_id``: ``procedural``, ``blank`` or ``caption``.

    Raises:
        UsageError: there is no such baseline, or it was given arguments (it takes none).
    """
    if spec.model_id not in _BASELINES:
        raise unknown_name("baseline", spec.model_id, _BASELINES, listing="sgpbench models list")
    if spec.args:
        raise UsageError(
            f"baseline/{spec.model_id} takes no --model-arg, but was given {', '.join(sorted(spec.args))}."
        )
    return BaselineModel(spec.name, spec.model_id)


def draw_blank(caption: str, seed: int) -> str:
    """An empty white picture."""
    return f"{_HEAD}{_WHITE}</svg>"


def draw_caption(caption: str, seed: int) -> str:
    """The caption as black text on white, in lines that fit the canvas."""
    lines = textwrap.wrap(_printable(caption), 30) or [""]
    size = min(28.0, 480.0 / len(lines) / 1.3)
    top = CANVAS / 2 - size * 1.3 * (len(lines) - 1) / 2
    spans = "".join(
        f'<tspan x="{CANVAS / 2:g}" y="{top + size * 1.3 * number:.1f}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    style = f'font-family="sans-serif" font-size="{size:.1f}" text-anchor="middle" fill="#000000"'
    return f"{_HEAD}{_WHITE}<text {style}>{spans}</text></svg>"


def draw_procedural(caption: str, seed: int) -> str:
    """A drawing of what the caption is understood to ask for; a little different for every seed."""
    rng = Random(f"{seed}:{caption}")
    reading = read_caption(caption)
    upright = any(link.kind in ("taller", "inside", "overlap") for link in reading.links)
    upright = upright or "equally tall" in caption
    shades = [_shade(reading, index, rng) for index in range(len(reading.items))]
    placed = layout(reading, rng)
    drawn = [_element(reading, thing, shades[thing.item], 0.0 if upright else rng.uniform(-9, 9)) for thing in placed]
    return f"{_HEAD}\n{_WHITE}\n" + "\n".join(drawn) + "\n</svg>"


def _element(reading: Reading, thing: Placed, fill: str, angle: float) -> str:
    exact = reading.items[thing.item].noun in _EXACT
    turn = f" rotate({angle:.1f})" if exact and angle else ""
    shape = thing.figure.element.format(fill=fill, dark=_scaled(fill, 0.55), light=_scaled(fill, 1.5))
    return f'<g transform="translate({thing.x:.2f} {thing.y:.2f}){turn} scale({thing.height:.3f})">{shape}</g>'


def _shade(reading: Reading, index: int, rng: Random) -> str:
    """The item's colour, a touch lighter or darker; one of a palette where the caption names none."""
    item = reading.items[index]
    color = COLORS[item.color] if item.color else _PALETTE[(index + rng.randrange(7)) % 7]
    return _scaled(color, rng.uniform(0.94, 1.06))


def _scaled(color: str, factor: float) -> str:
    hue, light, saturation = colorsys.rgb_to_hls(*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    channels = colorsys.hls_to_rgb(hue, min(1.0, light * factor), saturation)
    return "#" + "".join(f"{round(255 * value):02x}" for value in channels)


def _printable(text: str) -> str:
    """The text without characters that XML forbids."""
    return "".join(
        c for c in text if c in "\t\n" or (c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "\ufffe\uffff")
    )


_BASELINES: dict[str, Callable[[str, int], str]] = {
    "procedural": draw_procedural,
    "blank": draw_blank,
    "caption": draw_caption,
}
