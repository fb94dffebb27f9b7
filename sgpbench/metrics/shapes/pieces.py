"""Pieces of one shape that another cuts apart: taken as one where together they are what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from sgpbench.metrics.shapes.scene import Scene
from sgpbench.metrics.shapes.things import Thing, Things

__all__ = ["with_pieces_joined"]

_MOST_PIECES = 4


def with_pieces_joined(things: Things, scene: Scene) -> Things:
    """The same things, pieces joined where together they are a shape that the scene asks for in their colour."""
    for group in scene.groups:
        alike = [thing for thing in things.things if thing.color == group.color and thing.hidden is not None]
        right = all(thing.figure.shape == group.shape for thing in alike)
        if len(alike) < 2 or (right and len(alike) <= group.count):
            continue
        for members in _sets(alike[:_MOST_PIECES]):
            joined = things.joined(members, group.shape) if _share_a_neighbour(things, members) else None
            if joined is not None:
                things = joined
                break
    return things


def _sets(things: Sequence[Thing]) -> list[tuple[Thing, ...]]:
    """Sets of two and more, the largest first."""
    return [members for number in range(len(things), 1, -1) for members in combinations(things, number)]


def _share_a_neighbour(things: Things, members: Sequence[Thing]) -> bool:
    """Whether one other thing lies next to all of them."""
    around = [{other for one, other in things.touching if one in member.parts} for member in members]
    return bool(set.intersection(*around))
