"""Scenes: what may be asked for, in eight graded categories.

The grammar keeps to what pixels can decide. A scene has up to 9 shapes in up to 4 groups, a group up to 5 shapes of one
kind; kinds (shape and colour together) differ between groups. Spatial statements are true of a hidden grid on
which every unit (a group, a nest, an overlapping pair) has a column and a row of its own, so every scene can be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from sgpbench.records import Json

__all__ = ["CATEGORIES", "COLORS", "SHAPES", "Group", "Scene", "Statement", "make_scene"]

SHAPES = ("circle", "square", "triangle", "rectangle", "ellipse", "pentagon", "hexagon", "star")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black")
CATEGORIES = ("single", "count", "mixed", "size", "relation", "inside", "overlap", "composite")

_SHARED_LOOKS = 0.4
"""How often a further group repeats the shape or the colour of an earlier one, so that attributes must be bound."""


@dataclass(frozen=True, slots=True)
class Group:
    """``count`` shapes of one kind."""

    id: str
    shape: str
    color: str
    count: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that holds of one group (``equal``) or between two.

    ``kind`` is ``left``, ``right``, ``above``, ``below``, ``inside``, ``overlap``, ``taller`` or ``equal``.
    """

    kind: str
    subject: str
    object: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a drawing must show, and nothing else, on plain white."""

    groups: tuple[Group, ...]
    statements: tuple[Statement, ...] = ()

    def group(self, group_id: str) -> Group:
        """The group with this id."""
        return next(group for group in self.groups if group.id == group_id)

    def as_json(self) -> Json:
        """The specification that a prompt carries in ``metadata["scene"]``; the metric reads nothing else."""
        return {
            "background": "white",
            "groups": [{"id": g.id, "shape": g.shape, "color": g.color, "count": g.count} for g in self.groups],
            "statements": [
                {"kind": s.kind, "subject": s.subject} | ({"object": s.object} if s.object else {})
                for s in self.statements
            ],
        }


def make_scene(category: str, rng: Random) -> Scene:
    """A random scene of a category."""
    return _MAKERS[category](rng)


def _groups(rng: Random, counts: list[int], *, distinct_colors: bool = False) -> list[Group]:
    groups: list[Group] = []
    for index, count in enumerate(counts):
        taken = {(group.shape, group.color) for group in groups}
        while True:
            shape, color = rng.choice(SHAPES), rng.choice(COLORS)
            if groups and rng.random() < _SHARED_LOOKS:
                model = rng.choice(groups)
                shape, color = (model.shape, color) if distinct_colors or rng.random() < 0.5 else (shape, model.color)
            fresh_color = color not in {group.color for group in groups}
            if (shape, color) not in taken and (fresh_color or not distinct_colors):
                break
        groups.append(Group("abcd"[index], shape, color, count))
    return groups


def _single(rng: Random) -> Scene:
    return Scene(tuple(_groups(rng, [1])))


def _count(rng: Random) -> Scene:
    return Scene(tuple(_groups(rng, [rng.randint(2, 5)])))


def _mixed(rng: Random) -> Scene:
    counts = [rng.randint(1, 3) for _ in range(rng.choice((2, 2, 3)))]
    return Scene(tuple(_groups(rng, counts)))


def _size(rng: Random) -> Scene:
    if rng.random() < 0.3:
        (group,) = _groups(rng, [rng.randint(2, 4)])
        return Scene((group,), (Statement("equal", "a"),))
    groups = _groups(rng, [rng.randint(1, 2), rng.randint(1, 2)])
    statements = [Statement("taller", "a", "b")]
    if groups[0].count > 1 and rng.random() < 0.5:
        statements.append(Statement("equal", "a"))
    return Scene(tuple(groups), tuple(statements))


def _relation(rng: Random) -> Scene:
    groups = _groups(rng, [1] * rng.choice((2, 2, 3)))
    return Scene(tuple(groups), tuple(_spatial(rng, [[g] for g in groups], len(groups) - 1)))


def _inside(rng: Random) -> Scene:
    groups = _groups(rng, [rng.choice((1, 1, 2)), 1] + [1] * rng.choice((0, 0, 1)))
    if groups[0].color == groups[1].color:
        groups[0] = replace(groups[0], color=_other_color(rng, groups))
    statements = [Statement("inside", "a", "b")]
    if len(groups) == 3:
        statements += _spatial(rng, [groups[:2], groups[2:]], 1)
    return Scene(tuple(groups), tuple(statements))


def _overlap(rng: Random) -> Scene:
    groups = _groups(rng, [1, 1] + [1] * rng.choice((0, 0, 1)), distinct_colors=True)
    statements = [Statement("overlap", "a", "b")]
    if len(groups) == 3:
        statements += _spatial(rng, [groups[:2], groups[2:]], 1)
    return Scene(tuple(groups), tuple(statements))


def _composite(rng: Random) -> Scene:
    special = rng.choice(("", "inside", "overlap"))
    counts = [1, 1] if special else [rng.randint(1, 3), rng.randint(2, 4)]
    counts += [rng.randint(1, 4) for _ in range(rng.choice((1, 2)))]
    while sum(counts) > 9:
        counts[counts.index(max(counts))] -= 1
    groups = _groups(rng, counts, distinct_colors=bool(special))
    statements: list[Statement] = []
    units = [[group] for group in groups]
    if special:
        statements.append(Statement(special, "a", "b"))
        units = [groups[:2], *([group] for group in groups[2:])]
    statements += _spatial(rng, units, min(2, len(units) - 1))
    free = [unit[0] for unit in units if len(unit) == 1]
    if len(free) >= 2 and rng.random() < 0.5:
        first, second = rng.sample(free, 2)
        statements.append(Statement("taller", first.id, second.id))
    elif free and free[0].count > 1 and rng.random() < 0.5:
        statements.append(Statement("equal", free[0].id))
    return Scene(tuple(groups), tuple(statements))


def _spatial(rng: Random, units: list[list[Group]], number: int) -> list[Statement]:
    """``number`` spatial statements between different pairs of units, all true of one hidden grid."""
    columns, rows = list(range(len(units))), list(range(len(units)))
    rng.shuffle(columns)
    rng.shuffle(rows)
    pairs = [(i, j) for i in range(len(units)) for j in range(len(units)) if i < j]
    statements = []
    for first, second in rng.sample(pairs, number):
        if rng.random() < 0.5:
            first, second = second, first
        if rng.random() < 0.5:
            kind = "left" if columns[first] < columns[second] else "right"
        else:
            kind = "above" if rows[first] < rows[second] else "below"
        statements.append(Statement(kind, rng.choice(units[first]).id, rng.choice(units[second]).id))
    return statements


def _other_color(rng: Random, groups: list[Group]) -> str:
    return rng.choice([color for color in COLORS if color not in {group.color for group in groups}])


_MAKERS = {
    "single": _single,
    "count": _count,
    "mixed": _mixed,
    "size": _size,
    "relation": _relation,
    "inside": _inside,
    "overlap": _overlap,
    "composite": _composite,
}
