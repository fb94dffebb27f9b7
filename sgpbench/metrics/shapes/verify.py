"""The verdict on a drawing: every constraint of its scene, met or not, with what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sgpbench.metrics.shapes.geometry import Figure
from sgpbench.metrics.shapes.pieces import with_pieces_joined
from sgpbench.metrics.shapes.scene import Group, Scene, Statement
from sgpbench.metrics.shapes.segment import segment
from sgpbench.metrics.shapes.things import Thing, Things, find_things

__all__ = ["Check", "Verdict", "verify"]

_ONE_WRONG = 1.0
_UNMATCHED = 1.4
_NOT_AT_ALL = 100.0
_BESIDE = 0.08
"""How far boxes that ought to be apart may reach into each other, as a share of the narrower one."""
_TALLER = 1.88
"""Least ratio of heights for "at least twice as tall"."""
_EQUAL = 1.13
"""Largest ratio of heights for "equally tall"."""
_BIT = 0.8
"""Share of a small piece that must lie within the completed outline of the shape it is a piece of."""
_WITHIN = 0.97
_CONTAINED = 0.9


@dataclass(frozen=True, slots=True)
class Check:
    """One constraint."""

    kind: str
    """``count``, ``shape``, ``color``, a statement's kind, ``apart``, ``only`` or ``background``."""
    about: str
    """The groups it is about, by id, with a comma between; empty for the whole drawing."""
    words: str
    met: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All constraints of a scene."""

    checks: tuple[Check, ...]

    @property
    def share(self) -> float:
        """Share of the constraints that are met, 0 to 1; 0 for a drawing that shows nothing of what was asked for."""
        return sum(check.met for check in self.checks) / len(self.checks)

    @property
    def all_met(self) -> bool:
        """Whether the drawing is right."""
        return all(check.met for check in self.checks)

    @property
    def unmet(self) -> tuple[Check, ...]:
        """The constraints that are broken."""
        return tuple(check for check in self.checks if not check.met)


@dataclass(frozen=True, slots=True)
class _Match:
    thing: Thing
    figure: Figure
    """As the shape asked for where it is one, else as seen."""
    shape_met: bool
    color_met: bool


@dataclass(frozen=True, slots=True)
class _Matches:
    of: dict[str, list[_Match]]
    """By group id; more than asked for where there are too many of the very kind."""
    extra: list[Thing]


def verify(pixels: npt.NDArray[np.uint8], scene: Scene) -> Verdict:
    """Which constraints of ``scene`` a rendering meets; ``pixels`` is ``(h, w, 3) uint8``, RGB, on white."""
    things = with_pieces_joined(find_things(segment(pixels)), scene)
    matches = _matches(things, scene)
    checks = [check for group in scene.groups for check in _group_checks(group, matches.of[group.id])]
    checks += [_statement_check(statement, scene, things, matches) for statement in scene.statements]
    return Verdict((*checks, *_whole_checks(scene, things, matches)))


# --- who is who ----------------------------------------------------------------------------------------------------


def _matches(things: Things, scene: Scene) -> _Matches:
    """Things to groups, with as few wrong shapes and colours as can be."""
    slots = [group for group in scene.groups for _ in range(group.count)]
    cost = np.full((len(slots), len(things.things) + len(slots)), _UNMATCHED)
    for row, group in enumerate(slots):
        if row and slots[row - 1] is group:
            cost[row] = cost[row - 1]
            continue
        for column, thing in enumerate(things.things):
            wrong_color = thing.color != group.color
            # A whole shape of the wrong colour is what it looks like; completing it could only invent a second fault.
            as_seen = wrong_color and thing.whole
            wrong_shape = thing.figure.shape != group.shape if as_seen else thing.as_shape(group.shape) is None
            cost[row, column] = (0.0, _ONE_WRONG, _NOT_AT_ALL)[wrong_color + wrong_shape]
            if wrong_color + wrong_shape == 1:  # the larger of two equally wrong things is the likelier one
                cost[row, column] += 0.01 * column / (1 + len(things.things))
    matches = _Matches({group.id: [] for group in scene.groups}, [])
    taken = set()
    # Imported here: it takes as long as many drawings, and a run should be asking its model by then.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if column < len(things.things):
            thing = things.things[column]
            taken.add(thing.index)
            matches.of[slots[row].id].append(_match(thing, slots[row]))
    for thing in things.things:
        if thing.index in taken:
            continue
        if _is_bit_of(thing, scene, things, matches) or things.is_highlight(thing):
            continue
        kind = next((group for group in scene.groups if _is_of(thing, group)), None)
        if kind is None:
            matches.extra.append(thing)
        else:
            matches.of[kind.id].append(_match(thing, kind))
    return _without_chance(matches, len(slots))


def _without_chance(matches: _Matches, asked: int) -> _Matches:
    """Takes half-right matches back where more other things are drawn than were asked for: among many things (letters, a
    scribble) something always has a shape or a colour that was asked for.
    """
    if len(matches.extra) <= asked:
        return matches
    right = {group: [m for m in found if m.shape_met and m.color_met] for group, found in matches.of.items()}
    others = [m.thing for found in matches.of.values() for m in found if not (m.shape_met and m.color_met)]
    return _Matches(right, [*matches.extra, *others])


def _is_bit_of(thing: Thing, scene: Scene, things: Things, matches: _Matches) -> bool:
    """Whether a thing is what shows of a partly hidden one on the other side of what covers it."""
    return any(
        match.thing.color == thing.color
        and (whole := match.thing.continued_as(group.shape)) is not None
        and things.share_within(thing, whole.outline) >= _BIT
        for group in scene.groups
        for match in matches.of[group.id]
    )


def _is_of(thing: Thing, group: Group) -> bool:
    return thing.color == group.color and thing.as_shape(group.shape) is not None


def _match(thing: Thing, group: Group) -> _Match:
    figure = thing.as_shape(group.shape)
    return _Match(thing, figure or thing.figure, figure is not None, thing.color == group.color)


# --- constraints ---------------------------------------------------------------------------------------------------


def _group_checks(group: Group, matches: Sequence[_Match]) -> list[Check]:
    seen = ", ".join(f"{m.thing.color} {group.shape if m.shape_met else m.thing.figure.shape}" for m in matches)
    seen = seen or "nothing like it"
    found = bool(matches)
    number = f"{len(matches)} seen" if found else seen
    return [
        Check("count", group.id, f"exactly {group.words}", len(matches) == group.count, number),
        Check("shape", group.id, f"{group.words}: shape", found and all(m.shape_met for m in matches), seen),
        Check("color", group.id, f"{group.words}: colour", found and all(m.color_met for m in matches), seen),
    ]


def _statement_check(statement: Statement, scene: Scene, things: Things, matches: _Matches) -> Check:
    subjects = matches.of[statement.subject]
    subject = scene.group(statement.subject)
    if statement.kind == "equal":
        words = f"{subject.words}: equally tall"
        if len(subjects) < 2:
            return Check("equal", subject.id, words, False, "fewer than two to compare")
        heights = [_height(match.figure) for match in subjects]
        return Check("equal", subject.id, words, max(heights) <= _EQUAL * min(heights), _numbers("heights", heights))
    other = scene.group(statement.object or "")
    others = matches.of[other.id]
    words = f"{subject.words} {_WORDS[statement.kind]} {other.words}"
    about = f"{subject.id},{other.id}"
    if not subjects or not others:
        return Check(statement.kind, about, words, False, "nothing to compare")
    met, seen = _DECIDERS[statement.kind](things, subjects, others)
    return Check(statement.kind, about, words, met, seen)


def _beside(axis: int, sign: int) -> Callable[[Things, Sequence[_Match], Sequence[_Match]], tuple[bool, str]]:
    """Decides left (axis 0) and above (axis 1), or with sign -1 right and below: boxes that do not reach over."""

    def decide(things: Things, subjects: Sequence[_Match], others: Sequence[_Match]) -> tuple[bool, str]:
        gaps = []
        for subject in subjects:
            for other in others:
                first, second = (subject, other) if sign > 0 else (other, subject)
                a, b = first.figure.box, second.figure.box
                narrower = min(a[axis + 2] - a[axis], b[axis + 2] - b[axis])
                gaps.append((b[axis] - a[axis + 2]) / max(narrower, 1.0))
        return min(gaps) >= -_BESIDE, f"gap of {min(gaps):+.2f} of the narrower one's extent"

    return decide


def _taller(things: Things, subjects: Sequence[_Match], others: Sequence[_Match]) -> tuple[bool, str]:
    ratio = min(_height(m.figure) for m in subjects) / max(_height(m.figure) for m in others)
    return ratio >= _TALLER, f"{ratio:.2f} times as tall"


def _inside(things: Things, subjects: Sequence[_Match], others: Sequence[_Match]) -> tuple[bool, str]:
    share = min(max(things.share_within(s.thing, o.figure.outline) for o in others) for s in subjects)
    return share >= _WITHIN, f"{share:.0%} within"


def _overlap(things: Things, subjects: Sequence[_Match], others: Sequence[_Match]) -> tuple[bool, str]:
    one, other = subjects[0], others[0]
    if not things.touch(one.thing, other.thing):
        return False, "they do not overlap"
    within = things.share_within(one.thing, other.figure.outline), things.share_within(other.thing, one.figure.outline)
    if max(within) >= _CONTAINED:
        return False, "one is inside the other"
    return True, "they overlap"


def _height(figure: Figure) -> float:
    return figure.box[3] - figure.box[1] + 1


def _numbers(what: str, values: Sequence[float]) -> str:
    return f"{what} {', '.join(f'{value:.0f}' for value in sorted(values))}"


_WORDS = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "below": "below",
    "inside": "inside",
    "overlap": "overlapping",
    "taller": "at least twice as tall as",
}
_DECIDERS = {
    "left": _beside(0, 1),
    "right": _beside(0, -1),
    "above": _beside(1, 1),
    "below": _beside(1, -1),
    "taller": _taller,
    "inside": _inside,
    "overlap": _overlap,
}


def _whole_checks(scene: Scene, things: Things, matches: _Matches) -> list[Check]:
    """What holds of the drawing as a whole; met only where something that was asked for is there."""
    found = any(matches.of.values())
    extra = ", ".join(f"{thing.color} {thing.figure.shape}" for thing in matches.extra[:6])
    background = things.canvas.background
    checks = []
    if sum(group.count for group in scene.groups) > 1:
        checks.append(_apart_check(scene, things, matches))
    checks.append(Check("only", "", "nothing else is drawn", found and not matches.extra, extra or "nothing else"))
    checks.append(Check("background", "", "a plain white background", found and background == "white", background))
    return checks


def _apart_check(scene: Scene, things: Things, matches: _Matches) -> Check:
    meant = {
        frozenset((statement.subject, statement.object))
        for statement in scene.statements
        if statement.kind in ("inside", "overlap")
    }
    placed = [(group_id, match.thing) for group_id, found in matches.of.items() for match in found]
    touching = [
        f"{a.color} {a.figure.shape} and {b.color} {b.figure.shape}"
        for index, (one, a) in enumerate(placed)
        for other, b in placed[index + 1 :]
        if things.touch(a, b) and frozenset((one, other)) not in meant
    ]
    words = "no shapes touch or overlap" + (" but those that are meant to" if meant else "")
    return Check("apart", "", words, len(placed) > 1 and not touching, "; ".join(touching) or "apart")
