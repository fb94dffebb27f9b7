"""Parts to things: which regions are shapes, what touches what, and what may be hidden under what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.geometry import SHAPES, Figure, classify
from sgpbench.metrics.shapes.occlusion import Hidden, complete
from sgpbench.metrics.shapes.parts import Part
from sgpbench.metrics.shapes.segment import Canvas
from sgpbench.metrics.shapes.silhouettes import silhouette

__all__ = ["Thing", "Things", "find_things"]

_REACH = 18
"""Two regions with outlines of their own may be this far apart and still touch (pixels)."""
_ENDS = 4
"""Points at each end of a contact that say nothing of the boundary beyond it."""
_HOLLOW = 0.12
"""Largest share of a shape that may show the background: a highlight, not a hole."""
_TINT = 20.0
"""How far from a mix of a shape's colour with white a highlight may be, in levels of 255."""
_LONG = 0.2
"""Length of a contact, over the root of the smaller area, from which it is more than a touch at a point."""


@dataclass(slots=True)
class Thing:
    """Something that is drawn: one part, or the pieces of one that a neighbour cuts in two."""

    index: int
    parts: tuple[int, ...]
    color: str
    figure: Figure
    """What its visible outline is."""
    hidden: Hidden | None = None
    """Set where a neighbour may cover part of it."""
    completed: dict[str, Figure | None] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether what is visible is one of the eight shapes by itself."""
        return self.figure.shape in SHAPES

    def parts_on(self, canvas: Canvas) -> Sequence[Part]:
        """Its parts; the mark itself where it is one."""
        if not self.parts:
            return [canvas.marks[self.index - len(canvas.parts)]]
        return [canvas.parts[index] for index in self.parts]

    def as_shape(self, shape: str) -> Figure | None:
        """Its figure as that shape: as seen, or completed under what covers it; ``None`` where it is not one."""
        return self.figure if self.figure.shape == shape else self.continued_as(shape)

    def continued_as(self, shape: str) -> Figure | None:
        """Its figure as that shape, partly hidden by its neighbours; ``None`` where it is not one."""
        if self.hidden is None:
            return None
        if shape not in self.completed:
            self.completed[shape] = complete(self.hidden, shape)
        return self.completed[shape]


@dataclass(frozen=True, slots=True)
class Things:
    """All that is drawn on a canvas."""

    canvas: Canvas
    things: tuple[Thing, ...]
    contacts: frozenset[tuple[int, int]]
    """Pairs of things (lower index first) that touch along a line: one overlaps, contains or adjoins the other."""
    touching: Mapping[tuple[int, int], npt.NDArray[np.bool_]] = field(repr=False)
    """For pairs of parts: which points of the first one's boundary lie next to the second."""

    def touch(self, a: Thing, b: Thing) -> bool:
        """Whether two things touch along a line."""
        return (min(a.index, b.index), max(a.index, b.index)) in self.contacts

    def is_highlight(self, thing: Thing) -> bool:
        """Whether a thing is a small spot within another one, in a paler tint of its colour."""
        if len(thing.parts) != 1:
            return False
        around = [(other, on_line) for (one, other), on_line in self.touching.items() if one == thing.parts[0]]
        if len(around) != 1 or around[0][1].mean() < 0.97:
            return False
        spot, host = self.canvas.parts[thing.parts[0]], self.canvas.parts[around[0][0]]
        if spot.area > _HOLLOW * host.area:
            return False
        own, under = (self.canvas.pixels[self.canvas.owner == number + 1] for number in (thing.parts[0], around[0][0]))
        color, base = np.median(own, axis=0), np.median(under, axis=0)
        paler = 255.0 - base
        share = float((color - base) @ paler) / max(float(paler @ paler), 1.0)
        return 0.0 < share <= 1.0 and float(np.abs(color - base - share * paler).max()) <= _TINT

    def joined(self, members: Sequence[Thing], shape: str) -> Things | None:
        """The same with some things taken as pieces of one partly hidden shape; ``None`` where they are not."""
        indices = tuple(index for thing in members for index in thing.parts)
        hidden = _hidden(self.canvas, self.things, self.touching, indices)
        figure = complete(hidden, shape) if hidden else None
        if hidden is None or figure is None:
            return None
        first = members[0]
        whole = replace(first, parts=indices, figure=replace(first.figure, shape=f"pieces of a {shape}"), hidden=hidden)
        whole.completed = {shape: figure}
        dropped = {thing.index for thing in members[1:]}
        contacts = {
            (min(pair), max(pair))
            for i, j in self.contacts
            if len(pair := {first.index if index in dropped else index for index in (i, j)}) == 2
        }
        rest = tuple(whole if thing is first else thing for thing in self.things if thing.index not in dropped)
        return replace(self, things=rest, contacts=frozenset(contacts))

    def share_within(self, inner: Thing, outline: npt.NDArray[np.float32]) -> float:
        """Share of a thing's pixels that lie within an outline."""
        within = total = 0
        for part in inner.parts_on(self.canvas):
            left, top, right, bottom = part.box
            frame = np.zeros((bottom - top, right - left), np.uint8)
            cv2.drawContours(frame, [np.rint(outline - np.array([left, top])).astype(np.int32)], -1, 255, cv2.FILLED)
            total += int(np.count_nonzero(part.mask))
            within += int(np.count_nonzero(frame[part.mask > 0]))
        return within / max(total, 1)


def find_things(canvas: Canvas) -> Things:
    """Every solid part as a thing, then the marks; pieces of one hidden shape are not joined yet."""
    parts = canvas.parts
    touching = {
        (i, j): contact
        for i in range(len(parts))
        for j in range(len(parts))
        if i != j and (contact := _contact(canvas, i, j)) is not None
    }
    things = []
    for index, part in enumerate(parts):
        figure = _figure(part, silhouette(canvas, index, _ground(touching, index)))
        if figure.shape not in SHAPES:  # where outlines of neighbours run into each other, the fill alone may tell
            fill = _figure(part, part.contour.astype(np.float32))
            figure = fill if fill.shape in SHAPES else figure
        things.append(Thing(index, (index,), part.color, figure))
    for thing in things:
        thing.hidden = _hidden(canvas, things, touching, (thing.index,))
    for number, mark in enumerate(canvas.marks):
        things.append(Thing(len(parts) + number, (), mark.color, _figure(mark, mark.contour.astype(np.float32))))
    contacts = {
        (min(i, j), max(i, j))
        for (i, j), on_line in touching.items()
        if np.count_nonzero(on_line) >= _LONG * np.sqrt(min(parts[i].area, parts[j].area))
    }
    return Things(canvas, tuple(things), frozenset(contacts), touching)


def _figure(part: Part, contour: npt.NDArray[np.float32]) -> Figure:
    return classify(contour) if part.hollow <= _HOLLOW else Figure("hollow shape", contour)


def _ground(touching: Mapping[tuple[int, int], npt.NDArray[np.bool_]], index: int) -> int | None:
    """What alone surrounds a part, as in ``Canvas.owner``: 0 for the background, a part + 1 for what it lies in.

    ``None`` where it meets other parts.
    """
    along = {other: on_line for (one, other), on_line in touching.items() if one == index}
    if not along:
        return None if any(other == index for _, other in touching) else 0
    ((other, on_line), *more) = along.items()
    return other + 1 if not more and on_line.mean() >= 0.97 else None


def _contact(canvas: Canvas, index: int, other: int) -> npt.NDArray[np.bool_] | None:
    """Which points of a part's boundary lie next to another part, with no background between; ``None`` if none do."""
    part, neighbour = canvas.parts[index], canvas.parts[other]
    a, b = part.box, neighbour.box
    left, top = max(a[0], b[0] - _REACH), max(a[1], b[1] - _REACH)
    right, bottom = min(a[2], b[2] + _REACH), min(a[3], b[3] + _REACH)
    if left >= right or top >= bottom:
        return None
    x, y = part.contour.T
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    if not inside.any():
        return None
    height, width = canvas.owner.shape
    left, top = max(0, left - _REACH), max(0, top - _REACH)
    right, bottom = min(width, right + _REACH), min(height, bottom + _REACH)
    owner = canvas.owner[top:bottom, left:right]
    if not (owner == other + 1).any():
        return None
    to_other = cv2.distanceTransform((owner != other + 1).astype(np.uint8), cv2.DIST_L2, 3)
    at = (y[inside] - top, x[inside] - left)
    near = to_other[at] <= _REACH
    if not near.any():
        return None
    between = ((owner == -1) | (owner == index + 1) | (owner == other + 1)).astype(np.uint8)
    to_between = cv2.distanceTransform(between, cv2.DIST_L2, 3)  # how far it is to the background or a third part
    found = np.zeros(len(part.contour), bool)
    found[inside] = near & (to_other[at] < to_between[at])
    return found if found.any() else None


def _widened(on_line: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same with a few more points at the ends, where outlines and edges of both meet the background."""
    wide = on_line.copy()
    for shift in range(1, _ENDS + 1):
        wide |= np.roll(on_line, shift) | np.roll(on_line, -shift)
    return wide


def _hidden(
    canvas: Canvas,
    things: Sequence[Thing],
    touching: Mapping[tuple[int, int], npt.NDArray[np.bool_]],
    members: tuple[int, ...],
) -> Hidden | None:
    """How some parts, taken as one thing, may continue under their neighbours; ``None`` where nothing covers them.

    A neighbour whose boundary is broken while this one's is whole lies below, and covers nothing.
    """
    whole = len(members) == 1 and things[members[0]].whole
    cover = np.zeros(canvas.owner.shape, np.uint8)
    free = [np.ones(len(canvas.parts[index].contour), bool) for index in members]
    for (index, other), on_line in touching.items():
        if index not in members or other in members or (whole and not things[other].whole):
            continue
        free[members.index(index)] &= ~_widened(on_line)
        cv2.drawContours(cover, [canvas.parts[other].contour], -1, 255, cv2.FILLED)
    if all(points.all() for points in free):
        return None
    cover[canvas.owner == -1] = 255  # edges, outlines and small bits: all that is not the background
    cover = np.asarray(cv2.dilate(cover, np.ones((7, 7), np.uint8)), np.uint8)
    parts: list[Part] = [canvas.parts[index] for index in members]
    return Hidden(tuple(part.contour for part in parts), tuple(free), cover, sum(part.area for part in parts))
