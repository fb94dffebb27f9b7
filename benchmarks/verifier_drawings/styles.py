"""Style shifts: the same right scenes drawn in ways the caption does not ask for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from PIL import ImageColor

from verifier_drawings.outlines import Item
from verifier_drawings.palette import SHADES
from verifier_drawings.sampler import Plan

_PLAIN = {color: shades[1] for color, shades in SHADES.items()}


def _points(item: Item, dx: float = 0.0, dy: float = 0.0) -> str:
    return " ".join(f"{x + dx:.2f},{y + dy:.2f}" for x, y in item.points)


def _polygon(item: Item, attributes: str, dx: float = 0.0, dy: float = 0.0) -> str:
    return f'<polygon points="{_points(item, dx, dy)}" {attributes}/>'


def _mixed(color: str, other: tuple[int, int, int], share: float) -> str:
    rgb = ImageColor.getrgb(_PLAIN[color])
    return "#" + "".join(f"{round(c + (o - c) * share):02x}" for c, o in zip(rgb, other, strict=True))


def _each(draw: Callable[[Item, int], str]) -> Callable[[Plan, Random], str]:
    def body(plan: Plan, rng: Random) -> str:
        return "".join(draw(item, number) for number, item in enumerate(plan.items))

    return body


def _stroked(width: float, color: str = "#222") -> Callable[[Plan, Random], str]:
    return _each(
        lambda item, _: _polygon(
            item, f'fill="{_PLAIN[item.color]}" stroke="{color}" stroke-width="{width}" stroke-linejoin="round"'
        )
    )


def _outline_only(width: float) -> Callable[[Plan, Random], str]:
    return _each(lambda item, _: _polygon(item, f'fill="none" stroke="{_PLAIN[item.color]}" stroke-width="{width}"'))


def _opacity(value: float) -> Callable[[Plan, Random], str]:
    return _each(lambda item, _: _polygon(item, f'fill="{_PLAIN[item.color]}" opacity="{value}"'))


def _gradient(light: float, dark: float) -> Callable[[Plan, Random], str]:
    def draw(item: Item, number: int) -> str:
        ends = _mixed(item.color, (255, 255, 255), light), _mixed(item.color, (0, 0, 0), dark)
        stops = f'<stop offset="0" stop-color="{ends[0]}"/><stop offset="1" stop-color="{ends[1]}"/>'
        paint = f'<linearGradient id="n{number}" x2="0" y2="1">{stops}</linearGradient>'
        return paint + _polygon(item, f'fill="url(#n{number})"')

    return _each(draw)


def _gloss(size: float, opacity: float) -> Callable[[Plan, Random], str]:
    def draw(item: Item, _: int) -> str:
        x, y = item.points.mean(0)
        r = size * min(item.width, item.height) / 2
        place = f'cx="{x - r / 3:.1f}" cy="{y - r / 2:.1f}" rx="{r:.1f}" ry="{r * 0.6:.1f}"'
        spot = f'<ellipse {place} fill="white" opacity="{opacity}"/>'
        return _polygon(item, f'fill="{_PLAIN[item.color]}"') + spot

    return _each(draw)


def _shadow(opacity: float, blur: float) -> Callable[[Plan, Random], str]:
    def body(plan: Plan, rng: Random) -> str:
        head = f'<filter id="b" x="-30%" y="-30%" width="160%" height="160%"><feGaussianBlur stdDeviation="{blur}"/></filter>'
        under = 'filter="url(#b)" ' if blur else ""
        parts = [
            _polygon(item, f'fill="black" opacity="{opacity}" {under}', 5, 6)
            + _polygon(item, f'fill="{_PLAIN[item.color]}"')
            for item in plan.items
        ]
        return head + "".join(parts)

    return body


def _flat_then(extra: Callable[[Plan, Random], str]) -> Callable[[Plan, Random], str]:
    return lambda plan, rng: _stroked(0)(plan, rng) + extra(plan, rng)


def _dots(plan: Plan, rng: Random) -> str:
    dots = ""
    for item in plan.items:
        x, y = item.points.mean(0)
        r = 0.07 * min(item.width, item.height)
        dots += "".join(
            f'<circle cx="{x + s * 2 * r:.1f}" cy="{y:.1f}" r="{max(r, 3):.1f}" fill="#fff000"/>' for s in (-1, 1)
        )
    return dots.replace("#fff000", "#00ffff")


def _frame(plan: Plan, rng: Random) -> str:
    return f'<rect x="4" y="4" width="{plan.width - 8}" height="{plan.height - 8}" fill="none" stroke="#333" stroke-width="3"/>'


def _hatched(plan: Plan, rng: Random) -> str:
    head = "".join(
        f'<pattern id="h{n}" width="12" height="12" patternUnits="userSpaceOnUse"><rect width="12" height="12" fill="white"/>'
        f'<rect width="6" height="12" fill="{_PLAIN[item.color]}"/></pattern>'
        for n, item in enumerate(plan.items)
    )
    return head + "".join(_polygon(item, f'fill="url(#h{n})"') for n, item in enumerate(plan.items))


def _wobbly(amount: float) -> Callable[[Plan, Random], str]:
    def body(plan: Plan, rng: Random) -> str:
        out = ""
        for item in plan.items:
            by = amount * min(item.width, item.height)
            points = " ".join(f"{x + rng.uniform(-by, by):.1f},{y + rng.uniform(-by, by):.1f}" for x, y in item.points)
            out += f'<polygon points="{points}" fill="{_PLAIN[item.color]}"/>'
        return out

    return body


STYLES: dict[str, tuple[str, Callable[[Plan, Random], str]]] = {
    "flat fills (as asked)": ("", _stroked(0)),
    "outline of 0.5 % of the canvas": ("", _stroked(2.5)),
    "outline of 1 %": ("", _stroked(5)),
    "outline of 2 %": ("", _stroked(10)),
    "outline of 4 %": ("", _stroked(20)),
    "white outline of 1 %": ("", _stroked(5, "white")),
    "outline only, 1 %": ("", _outline_only(5)),
    "outline only, 3 %": ("", _outline_only(15)),
    "opacity 0.9": ("", _opacity(0.9)),
    "opacity 0.8": ("", _opacity(0.8)),
    "opacity 0.6": ("", _opacity(0.6)),
    "opacity 0.4": ("", _opacity(0.4)),
    "shading, 10 % lighter to 10 % darker": ("", _gradient(0.1, 0.1)),
    "shading, 25 % to 25 %": ("", _gradient(0.25, 0.25)),
    "shading, white to full": ("", _gradient(1.0, 0.0)),
    "gloss, soft spot a third across": ("", _gloss(0.33, 0.5)),
    "gloss, white spot a quarter across": ("", _gloss(0.25, 1.0)),
    "gloss, white spot two thirds across": ("", _gloss(0.66, 1.0)),
    "shadow, blurred, 15 %": ("", _shadow(0.15, 4)),
    "shadow, blurred, 40 %": ("", _shadow(0.4, 4)),
    "shadow, hard, 50 %": ("", _shadow(0.5, 0)),
    "hatched fills": ("", _hatched),
    "corners off by 1 %": ("", _wobbly(0.01)),
    "corners off by 5 %": ("", _wobbly(0.05)),
    "decoration: two dots on each shape": ("", _flat_then(_dots)),
    "decoration: a frame": ("", _flat_then(_frame)),
    "background #f4f6f8": ("#f4f6f8", _stroked(0)),
    "background #dbeafe": ("#dbeafe", _stroked(0)),
    "background white to #eeeeee": ("gradient", _stroked(0)),
}


def styled_svg(plan: Plan, rng: Random, style: str) -> str:
    """A plan drawn in a style."""
    background, body = STYLES[style]
    if background == "gradient":
        ends = '<stop offset="0" stop-color="#ffffff"/><stop offset="1" stop-color="#eeeeee"/>'
        under = f'<linearGradient id="bg" x2="0" y2="1">{ends}</linearGradient>'
        under += '<rect width="100%" height="100%" fill="url(#bg)"/>'
    else:
        under = f'<rect width="100%" height="100%" fill="{background or "#ffffff"}"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plan.width:g} {plan.height:g}">'
    return f"{head}{under}{body(plan, rng)}</svg>"
