"""The figures that the procedural baseline can draw: eight shapes, and simple icons for what it has no shape for.

Every figure is given in a box of its own that is centred on 0, 0 and 1 high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

__all__ = ["Figure", "figure_of"]

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """Outline, extent, and the largest round space within."""

    outline: tuple[Point, ...]
    """Corners, or enough points for a round one."""
    element: str
    """SVG with ``{fill}`` and, for icons, ``{dark}`` and ``{light}``; 1 high, centred."""
    width: float
    room: tuple[float, float, float]
    """Centre (x, y) and radius of a circle that lies well within."""

    @property
    def wide_room(self) -> float:
        """How much further than its radius the room goes to the left and right."""
        return max(0.0, self.width / 2 - self.room[2]) if len(self.outline) == 4 else 0.0


def figure_of(noun: str) -> Figure:
    """The shape of that name, an icon of its kind, or a rounded blob."""
    if noun in _SHAPES:
        return _SHAPES[noun]
    return _ICONS.get(_KIND_OF.get(noun, ""), _BLOB)


def _polygon(points: Sequence[Point], room: tuple[float, float, float]) -> Figure:
    """A polygon moved and scaled into its box (1 high)."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    height = max(ys) - min(ys)
    middle = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    moved = tuple(((x - middle[0]) / height, (y - middle[1]) / height) for x, y in points)
    corners = " ".join(f"{x:.4f},{y:.4f}" for x, y in moved)
    x, y, radius = room
    return Figure(
        moved,
        f'<polygon points="{corners}" fill="{{fill}}"/>',
        (max(xs) - min(xs)) / height,
        ((x - middle[0]) / height, (y - middle[1]) / height, radius / height),
    )


def _ring(corners: int, inner: float | None = None) -> list[Point]:
    """A regular polygon with a corner on top, or a star with bays at ``inner``."""
    number = corners if inner is None else 2 * corners
    return [
        (r * sin(2 * pi * i / number), -r * cos(2 * pi * i / number))
        for i in range(number)
        for r in (inner if inner is not None and i % 2 else 1.0,)
    ]


def _round(width: float) -> Figure:
    outline = tuple((width / 2 * cos(2 * pi * i / 48), 0.5 * sin(2 * pi * i / 48)) for i in range(48))
    element = (
        f'<ellipse rx="{width / 2:g}" ry="0.5" fill="{{fill}}"/>' if width != 1 else '<circle r="0.5" fill="{fill}"/>'
    )
    return Figure(outline, element, width, (0.0, 0.0, 0.5 * min(1.0, width)))


def _box(width: float) -> Figure:
    outline = ((-width / 2, -0.5), (width / 2, -0.5), (width / 2, 0.5), (-width / 2, 0.5))
    element = f'<rect x="{-width / 2:g}" y="-0.5" width="{width:g}" height="1" fill="{{fill}}"/>'
    return Figure(outline, element, width, (0.0, 0.0, 0.5))


_SHAPES = {
    "circle": _round(1.0),
    "ellipse": _round(1.8),
    "square": _box(1.0),
    "rectangle": _box(1.8),
    "triangle": _polygon(_ring(3), (0.0, 0.0, 0.5)),
    "pentagon": _polygon(_ring(5), (0.0, 0.0, cos(pi / 5))),
    "hexagon": _polygon([(y, x) for x, y in _ring(6)], (0.0, 0.0, cos(pi / 6))),
    "star": _polygon(_ring(5, 0.45), (0.0, 0.0, 0.45)),
}


def _icon(element: str, width: float = 1.0) -> Figure:
    return Figure(_box(width).outline, element, width, (0.0, 0.0, 0.4))


_BLOB = _icon(
    '<rect x="-0.48" y="-0.45" width="0.96" height="0.9" rx="0.3" fill="{fill}" stroke="{dark}" stroke-width="0.03"/>'
)
_ICONS = {
    "animal": _icon(
        '<g fill="{fill}" stroke="{dark}" stroke-width="0.02"><path d="M-.42 .48V.1h.14v.38zM.18 .48V.1h.14v.38z"/>'
        '<ellipse cx="-.05" cy=".08" rx=".42" ry=".22"/><circle cx=".36" cy="-.2" r=".2"/>'
        '<path d="M.22-.34l.02-.16.14.1zM.42-.38l.12-.12.02.18z"/></g><circle cx=".42" cy="-.22" r=".03" fill="{dark}"/>'
    ),
    "bird": _icon(
        '<g fill="{fill}" stroke="{dark}" stroke-width="0.02"><ellipse rx=".34" ry=".24" cy=".06"/><circle cx=".26" cy="-.24" '
        'r=".17"/><path d="M-.3 .05l-.2-.16v.3z"/></g><path d="M.42-.24l.1.05-.1.05z" fill="#f0a020"/>'
        '<path d="M-.08 .3v.2M.1 .3v.2" stroke="{dark}" stroke-width=".03"/><circle cx=".3" cy="-.27" r=".03" fill="{dark}"/>'
    ),
    "fish": _icon(
        '<g fill="{fill}" stroke="{dark}" stroke-width="0.02"><path d="M-.22 0l-.26-.22v.44z"/><ellipse cx=".1" rx=".36" '
        'ry=".22"/></g><circle cx=".3" cy="-.05" r=".04" fill="{dark}"/>'
    ),
    "person": _icon(
        '<circle cy="-.36" r=".14" fill="#e8b890"/><path d="M-.2 .16V-.08q0-.12.2-.12t.2.12v.24z" fill="{fill}"/>'
        '<path d="M-.14 .14h.12v.36h-.12zM.02 .14h.12v.36H.02z" fill="{dark}"/>',
        0.5,
    ),
    "tree": _icon('<path d="M-.07 .1h.14v.4h-.14z" fill="#7a4a20"/><circle cy="-.16" r=".34" fill="{fill}"/>', 0.7),
    "flower": _icon(
        '<path d="M0 0v.5" stroke="#2a8a3a" stroke-width=".06"/><g fill="{fill}"><circle cy="-.36" r=".13"/><circle cx=".17" '
        'cy="-.2" r=".13"/><circle cx="-.17" cy="-.2" r=".13"/><circle cx=".1" cy="-.02" r=".13"/><circle cx="-.1" cy="-.02" '
        'r=".13"/></g><circle cy="-.18" r=".1" fill="#f8d030"/>',
        0.7,
    ),
    "house": _icon(
        '<path d="M-.4-.05h.8V.5h-.8z" fill="{fill}"/><path d="M-.5-.05L0-.5l.5.45z" fill="{dark}"/>'
        '<path d="M-.1 .15h.2V.5h-.2z" fill="{light}"/>'
    ),
    "vehicle": _icon(
        '<path d="M-.5 .1h.12L-.24-.18h.42L.34 .1H.5v.22h-1z" fill="{fill}"/>'
        '<path d="M-.2-.1h.16V.1h-.24zM.02-.1h.13l.1.2H.02z" fill="{light}"/>'
        '<g fill="{dark}"><circle cx="-.26" cy=".32" r=".12"/><circle cx=".26" cy=".32" r=".12"/></g>'
    ),
    "table": _icon('<path d="M-.5-.2h1v.12H.42V.4H.32V-.08h-.64V.4h-.1V-.08H-.5z" fill="{fill}"/>'),
    "chair": _icon('<path d="M-.3-.5h.12v.5h.5v.5H.22V.12h-.4V.5h-.12z" fill="{fill}"/>', 0.7),
    "cup": _icon(
        '<path d="M-.32-.36h.52v.62q0 .14-.14.14h-.24q-.14 0-.14-.14z" fill="{fill}"/><path d="M.2-.2q.2 0 .2.2t-.2.2" '
        'fill="none" stroke="{fill}" stroke-width=".07"/>'
    ),
    "fruit": _icon(
        '<circle cy=".06" r=".4" fill="{fill}"/><path d="M0-.32q0-.12.1-.18" stroke="#704020" stroke-width=".05" fill="none"/>'
        '<path d="M.06-.4q.14-.1.24 0-.14.1-.24 0z" fill="#2a8a3a"/>'
    ),
    "sky": _icon('<circle r=".4" fill="{fill}"/><circle r=".46" fill="none" stroke="{fill}" stroke-width=".04"/>'),
    "cloud": _icon(
        '<g fill="{fill}" stroke="{dark}" stroke-width=".01"><circle cx="-.24" cy=".06" r=".2"/>'
        '<circle cx=".24" cy=".06" r=".18"/><circle cy="-.08" r=".26"/></g><path d="M-.24 .06h.48v.2h-.48z" fill="{fill}"/>'
    ),
    "screen": _icon(
        '<path d="M-.5-.34h1v.6h-1z" fill="{dark}"/><path d="M-.44-.28h.88v.48h-.88z" fill="{fill}"/>'
        '<path d="M-.1 .26h.2v.1h.1v.06h-.4V.36h.1z" fill="{dark}"/>'
    ),
    "book": _icon(
        '<path d="M-.34-.42h.64v.84h-.64z" fill="{fill}"/><path d="M-.34-.42h.1v.84h-.1z" fill="{dark}"/>', 0.8
    ),
    "heart": _icon('<path d="M0 .44C-.7 0-.4-.46 0-.16 .4-.46 .7 0 0 .44z" fill="{fill}"/>'),
}
_KIND_OF = {
    noun: kind
    for kind, nouns in {
        "animal": "dog cat horse cow sheep bear lion tiger elephant zebra giraffe rabbit mouse pig fox puppy goat turtle",
        "bird": "bird duck chicken owl parrot penguin seagull eagle goose swan",
        "fish": "fish shark whale dolphin goldfish",
        "person": "person man woman boy girl child baby player skier surfer lady guy people skateboarder snowboarder",
        "tree": "tree bush forest plant leaf",
        "flower": "flower rose tulip sunflower daisy bouquet",
        "house": "house building barn church tower home hut cabin",
        "vehicle": "car truck bus taxi train van vehicle motorcycle bicycle bike boat airplane plane",
        "table": "table desk bench bed counter shelf",
        "chair": "chair sofa couch stool seat",
        "cup": "cup mug bowl glass vase bottle jar pot teapot",
        "fruit": "apple orange banana pear tomato peach cherry fruit lemon",
        "sky": "sun moon ball plate clock coin wheel balloon pizza",
        "cloud": "cloud smoke bread pillow",
        "screen": "screen tv television laptop computer phone monitor keyboard painting",
        "book": "book notebook box bag suitcase card door refrigerator letter",
        "heart": "heart",
    }.items()
    for noun in nouns.split()
}
