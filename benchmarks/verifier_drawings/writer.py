"""Laid-out scenes as SVG, written in many ways: what a verifier of pixels must not care about."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import ImageColor

from verifier_drawings.outlines import Item
from verifier_drawings.palette import FULL, SHADES, TINTS
from verifier_drawings.sampler import Plan


@dataclass
class _Style:
    """How one drawing is written."""

    scale: float
    outline: str
    outline_width: float
    shading: str
    nested: bool
    css: bool
    as_path: float
    digits: int


def write_svg(plan: Plan, rng: Random) -> str:
    """The SVG of a plan; its canvas is a random multiple of the plan's."""
    style = _Style(
        scale=rng.choice((100, 200, 256, 300, 400, 500, 512, 600, 800, 1000)) / 512,
        outline=rng.choice(("none", "none", "none", "dark", "black", "own")),
        outline_width=rng.uniform(0.8, 5.5),
        shading=rng.choice(("flat",) * 5 + ("linear", "radial")),
        nested=rng.random() < 0.3,
        css=rng.random() < 0.2,
        as_path=rng.random(),
        digits=rng.choice((0, 1, 2, 3)),
    )
    if style.scale < 0.5 or min(min(item.width, item.height) for item in plan.items) * style.scale < 60:
        style.digits = max(style.digits, 2)
    width, height = plan.width * style.scale, plan.height * style.scale
    fills = {group["id"]: rng.choice(SHADES[group["color"]]) for group in plan.scene["groups"]}
    definitions: list[str] = []
    rules: list[str] = []
    background = _background(plan, rng, width, height)
    bodies = [
        _drawn(item, number, fills, style, rng, definitions, rules) for number, item in enumerate(_order(plan, rng))
    ]
    inner = "\n".join(bodies)
    if style.nested:
        dx, dy, by = rng.uniform(-50, 50), rng.uniform(-50, 50), rng.choice((0.5, 2.0, 4.0))
        inner = (
            f'<g transform="translate({dx:.3f},{dy:.3f})"><g transform="scale({by:g})">'
            f'<g transform="scale({1 / by:g}) translate({-dx:.3f} {-dy:.3f})">\n{inner}\n</g></g></g>'
        )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
    if rng.random() < 0.5:
        head += f' width="{width:g}" height="{height:g}"'
    if rng.random() < 0.05:
        head += ' shape-rendering="crispEdges"'
    sheet = f"<style>{' '.join(rules)}</style>" if rules else ""
    defs = f"<defs>{''.join(definitions)}</defs>" if definitions else ""
    comment = "<!-- the scene -->" if rng.random() < 0.3 else ""
    return f"{head}>\n{comment}{sheet}{defs}{background}\n{inner}\n</svg>"


def _order(plan: Plan, rng: Random) -> list[Item]:
    """Drawing order: free but for things inside others, which must come later."""
    inner = {s["subject"] for s in plan.scene["statements"] if s["kind"] == "inside"}
    items = list(plan.items)
    rng.shuffle(items)
    return sorted(items, key=lambda item: item.group in inner)


def _background(plan: Plan, rng: Random, width: float, height: float) -> str:
    used = {group["color"] for group in plan.scene["groups"]}
    fill = None
    if plan.fault and plan.fault.kind == "background":
        fill = rng.choice([code for code, near in (TINTS if plan.fault.near else FULL).items() if near not in used])
    elif rng.random() < 0.6:
        fill = rng.choice(("white", "#fff", "#ffffff", "#FFFFFF", "#fefefe", "#fafafa", "rgb(255,255,255)"))
    if fill is None:
        return ""
    if rng.random() < 0.5:
        return f'<rect width="100%" height="100%" fill="{fill}"/>'
    return f'<rect x="0" y="0" width="{width:g}" height="{height:g}" style="fill:{fill};stroke:none"/>'


def _drawn(
    item: Item, number: int, fills: dict, style: _Style, rng: Random, definitions: list[str], rules: list[str]
) -> str:
    fill = fills.get(item.group, "")
    if not fill or fill not in SHADES[item.color]:
        fill = rng.choice(SHADES[item.color])
    paint = _paint(item, fill, number, style, definitions)
    attributes = {"fill": paint} | _stroke(item, style)
    if style.css:
        rules.append(f".s{number}{{{';'.join(f'{key}:{value}' for key, value in attributes.items())}}}")
        text = f'class="s{number}"'
    elif rng.random() < 0.3:
        text = f'style="{";".join(f"{key}: {value}" for key, value in attributes.items())}"'
    else:
        text = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return _element(item, text, style, rng)


def _paint(item: Item, fill: str, number: int, style: _Style, definitions: list[str]) -> str:
    if style.shading == "flat":
        return fill
    rgb = ImageColor.getrgb(fill)
    ends = [f"rgb({','.join(str(round(c + (edge - c) * 0.1)) for c in rgb)})" for edge in (255, 0)]
    light = f'<stop offset="0" stop-color="{ends[0]}"/><stop offset="1" stop-color="{ends[1]}"/>'
    if style.shading == "linear":
        definitions.append(f'<linearGradient id="g{number}" x2="0.3" y2="1">{light}</linearGradient>')
    else:
        definitions.append(f'<radialGradient id="g{number}" cx="0.4" cy="0.35" r="0.8">{light}</radialGradient>')
    return f"url(#g{number})"


def _stroke(item: Item, style: _Style) -> dict[str, str]:
    if style.outline == "none":
        return {}
    color = {"dark": "#333", "black": "black", "own": SHADES[item.color][0]}[style.outline]
    width = min(style.outline_width, 0.06 * min(item.width, item.height))
    if len(item.outline.points) in (3, 6, 8, 10, 12):  # mitred tips reach far, and shapes are not to touch
        width = min(width, 2.5)
    width *= style.scale
    return {"stroke": color, "stroke-width": f"{width:.3f}"}


def _element(item: Item, text: str, style: _Style, rng: Random) -> str:
    kind, scale = item.outline.kind, style.scale
    if kind == "polygon" or style.as_path < 0.25:
        return _as_points(item, text, style, rng)
    x, y, size = item.x * scale, item.y * scale, item.size * scale
    turn = f' transform="rotate({item.angle:.2f} {x:.3f} {y:.3f})"' if item.angle and kind != "circle" else ""
    n = style.digits if turn == "" else 3
    if kind == "circle":
        r = item.outline.numbers[0] * size
        if style.as_path < 0.4:
            arc = f"a{r:.2f},{r:.2f} 0 1,0"
            return f'<path d="M{x - r:.2f},{y:.2f} {arc} {2 * r:.2f},0 {arc} {-2 * r:.2f},0 Z" {text}/>'
        return f'<circle cx="{x:.{n}f}" cy="{y:.{n}f}" r="{r:.{n}f}" {text}/>'
    if kind == "ellipse":
        rx, ry = (number * size for number in item.outline.numbers)
        return f'<ellipse cx="{x:.{n}f}" cy="{y:.{n}f}" rx="{rx:.{n}f}" ry="{ry:.{n}f}" {text}{turn}/>'
    w, h = (number * size for number in item.outline.numbers)
    corner = f' rx="{0.06 * min(w, h):.2f}"' if rng.random() < 0.15 else ""
    return (
        f'<rect x="{x - w / 2:.{n}f}" y="{y - h / 2:.{n}f}" width="{w:.{n}f}" height="{h:.{n}f}"{corner} {text}{turn}/>'
    )


def _as_points(item: Item, text: str, style: _Style, rng: Random) -> str:
    n = max(style.digits, 1)
    if rng.random() < 0.3:  # a local frame, moved into place
        local = item.outline.points * item.size * style.scale
        move = f"translate({item.x * style.scale:.3f},{item.y * style.scale:.3f}) rotate({item.angle:.3f})"
        points = " ".join(f"{x:.{n}f},{y:.{n}f}" for x, y in local)
        return f'<g transform="{move}"><polygon points="{points}" {text}/></g>'
    points = [(x * style.scale, y * style.scale) for x, y in item.points]
    if rng.random() < 0.5:
        return f'<polygon points="{" ".join(f"{x:.{n}f},{y:.{n}f}" for x, y in points)}" {text}/>'
    return f'<path d="M{" L".join(f"{x:.{n}f} {y:.{n}f}" for x, y in points)} Z" {text}/>'
