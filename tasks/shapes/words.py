"""Scenes in English: the caption says all that is scored, and a canonical text names equal scenes alike."""

from __future__ import annotations

from .grammar import Group, Scene, Statement

__all__ = ["canonical_text", "caption"]

_NUMBERS = ("zero", "one", "two", "three", "four", "five")
_NOUNS = {"star": "five-pointed star"}
_SPATIAL = {
    "left": "entirely to the left of",
    "right": "entirely to the right of",
    "above": "entirely above",
    "below": "entirely below",
    "inside": "entirely inside",
    "taller": "at least twice as tall as",
}


def caption(scene: Scene) -> str:
    """The prompt's words: what is drawn, what holds of it, and what else counts."""
    sentences = [f"{_listing(scene)} on a plain white background."]
    sentences += [_sentence(scene, statement) for statement in scene.statements]
    if long := [name for name in ("rectangle", "ellipse") if any(g.shape == name for g in scene.groups)]:
        many = len(long) > 1 or sum(g.count for g in scene.groups if g.shape == long[0]) > 1
        sentences.append(
            f"{' and '.join(f'{name}s' for name in long).capitalize()} are at least 1.5 times as long as they are wide."
            if many
            else f"The {long[0]} is at least 1.5 times as long as it is wide."
        )
    sentences.append(_rules(scene))
    return " ".join(sentences)


def canonical_text(scene: Scene) -> str:
    """One text per meaning: groups and statements sorted, left/right and above/below said one way round."""
    names = {group.id: f"{group.count} {group.color} {group.shape}" for group in scene.groups}
    said = sorted(_canonical_statement(names, statement) for statement in scene.statements)
    return "; ".join([*sorted(names.values()), *said])


def _canonical_statement(names: dict[str, str], statement: Statement) -> str:
    subject, other = names[statement.subject], names[statement.object] if statement.object else ""
    kind = statement.kind
    if kind in ("right", "below"):
        kind, subject, other = {"right": "left", "below": "above"}[kind], other, subject
    if kind == "overlap":
        subject, other = sorted((subject, other))
    return f"{kind}({subject}, {other})" if other else f"{kind}({subject})"


def _listing(scene: Scene) -> str:
    """``One red circle, two blue squares and three green five-pointed stars``."""
    parts = [f"{_NUMBERS[g.count]} {g.color} {_noun(g)}" for g in scene.groups]
    text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return text[0].upper() + text[1:]


def _noun(group: Group) -> str:
    return _NOUNS.get(group.shape, group.shape) + ("s" if group.count > 1 else "")


def _reference(group: Group) -> str:
    """``the red circle``, ``both red circles``, ``all three red circles``."""
    lead = {1: "the", 2: "both"}.get(group.count) or f"all {_NUMBERS[group.count]}"
    return f"{lead} {group.color} {_noun(group)}"


def _each(group: Group) -> str:
    """``the red circle``, ``each of the two red circles``: for what is said of every single shape."""
    if group.count == 1:
        return _reference(group)
    return f"each of the {_NUMBERS[group.count]} {group.color} {_noun(group)}"


def _sentence(scene: Scene, statement: Statement) -> str:
    subject = scene.group(statement.subject)
    first = _reference(subject)
    first = first[0].upper() + first[1:]
    verb = "is" if subject.count == 1 else "are"
    if statement.kind == "equal":
        return f"{first} are equally tall."
    assert statement.object is not None
    second = _reference(scene.group(statement.object))
    if statement.kind == "taller":
        first, verb, second = _each(subject).capitalize(), "is", _each(scene.group(statement.object))
    if statement.kind == "overlap":
        return f"{first} and {second} partly overlap, with most of each in view."
    return f"{first} {verb} {_SPATIAL[statement.kind]} {second}."


def _rules(scene: Scene) -> str:
    if sum(group.count for group in scene.groups) == 1:
        return "The shape has one flat, opaque fill, and nothing else is drawn."
    kinds = {statement.kind for statement in scene.statements}
    apart = "apart from that, no" if kinds & {"inside", "overlap"} else "no"
    return f"Each shape has one flat, opaque fill, {apart} shapes touch or overlap, and nothing else is drawn."
