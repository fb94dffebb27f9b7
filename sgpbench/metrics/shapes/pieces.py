"""Pieces of one shape that another cuts apart: taken as one where together they are what was asked for."""

from __future__ import annotations

from itertools import combinations

from sgpbench.metrics.shapes.scene import Scene
from sgpbench.metrics.shapes.things import Things

__all__ = ["with_pieces_joined"]

_MOST_PIECES = 4


def with_pieces_joined(things: Things, scene: Scene) -> Things:
    """The same things, pieces joined where a scene with an overlap asks for a shape that they make together."""
    asked = [
        scene.group(group_id)
        for statement in scene.statements
        if statement.kind == "overlap"
        for group_id in (statement.subject, statement.object or "")
    ]
    for group in asked:
        alike = [thing for thing in things.things if thing.color == group.color and thing.hidden is not None]
        alike = alike[:_MOST_PIECES]
        for number in range(len(alike), 1, -1):
            sets = (things.joined(members, group.shape) for members in combinations(alike, number))
            joined = next((found for found in sets if found is not None), None)
            if joined is not None:
                things = joined
                break
    return things
