"""The verdict on one repaired program: was everything asked for done, and everything else left as it was?"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sgpbench.metrics.edit import trees
from sgpbench.metrics.edit.tolerances import Match, Viewport, compare, compare_attribute, numbers_in
from sgpbench.metrics.edit.values import canonical, one_space
from sgpbench.records import Json

__all__ = ["Change", "Edit", "Verdict", "read_edit", "verdict"]

_SIZE_OF_SCALE_1: Final = 24
"""A task's ``size`` is the scale of an icon drawn in a box of 24 units."""
_NEARLY: Final = 0.80


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to be repaired: an attribute of a part (``exists``: the part itself), as it was and should become."""

    part: str
    attribute: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class Edit:
    """What a repair is held against: the intended program, the changes that lead to it, and the parts to be left alone."""

    target: str
    changes: tuple[Change, ...]
    preserve: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Three gates and what lies behind them. Shares and progress are in [0, 1]."""

    validity: bool
    repair: bool
    preservation: bool
    near: bool
    """All was left alone, at most one repair is missing, and progress is at least 0.8."""
    completion: float
    """Share of the changes made."""
    progress: float
    """How much of the way to each wanted value was gone, mean over changes."""
    kept: float
    """Share of the parts to be left alone that were."""
    changes: tuple[Match, ...]
    unexpected: tuple[str, ...]
    """Where the programs differ besides what was asked for, sorted."""

    @property
    def passed(self) -> bool:
        """Repair, preservation and validity together."""
        return self.validity and self.repair and self.preservation


def read_edit(metadata: Json) -> Edit:
    """The specification that a prompt carries in ``metadata["edit"]``.

    Raises:
        ValueError: it is not one; the message says what is missing or of the wrong kind.
    """
    if not isinstance(metadata, Mapping):
        raise ValueError("the prompt holds no edit")
    target, changes, preserve = (metadata.get(key) for key in ("target", "changes", "preserve"))
    if not isinstance(target, str) or not isinstance(changes, Sequence) or not isinstance(preserve, Sequence):
        raise ValueError("an edit needs a target (text), changes and preserve (lists)")
    known = []
    for change in changes:
        if not isinstance(change, Mapping) or not {"part", "attribute", "after"} <= change.keys():
            raise ValueError("a change needs part, attribute and after")
        known.append(Change(str(change["part"]), str(change["attribute"]), change.get("before"), change["after"]))
    return Edit(target, tuple(known), tuple(str(part) for part in preserve))


def verdict(program: str, edit: Edit) -> Verdict:
    """Holds a program against what was asked. Whatever the program is, this is its verdict, never an error."""
    produced, target = trees.parse(program), trees.parse(edit.target)
    valid = trees.is_valid(produced)
    viewport = _viewport(target)
    matches = tuple(_change(produced, target, change, viewport) for change in edit.changes)
    # An absent document has nothing to delete from, so that nothing in it counts as done.
    done = sum(valid and match.passed for match in matches)
    progress = sum(match.progress or 0.0 for match in matches) if valid else 0.0
    kept = {part: _is_kept(produced, target, part) for part in edit.preserve}
    ours, theirs = _without_requested(produced, target, edit.changes)
    preserved = (
        valid and trees.is_valid(target) and ours is not None and theirs is not None and trees.same(ours, theirs)
    )
    repaired = valid and done == len(matches)
    missing = len(matches) - done
    share_of_progress = progress / len(matches) if matches else 1.0
    unexpected = {*trees.differences(ours, theirs), *(part for part, same in kept.items() if not same)}
    return Verdict(
        validity=valid,
        repair=repaired,
        preservation=preserved,
        near=preserved and missing == 1 and share_of_progress >= _NEARLY,
        completion=done / len(matches) if matches else 1.0,
        progress=share_of_progress,
        kept=sum(kept[part] for part in edit.preserve) / len(edit.preserve) if edit.preserve else 1.0,
        changes=matches,
        unexpected=tuple(sorted(unexpected)),
    )


def _viewport(root: ET.Element | None) -> Viewport:
    """Size of the view box, else of the drawing, else 100 × 100."""
    if root is None:
        return 100.0, 100.0
    box = numbers_in(root.get("viewBox", ""))
    if box is not None and len(box) == 4 and box[2] > 0 and box[3] > 0:
        return box[2], box[3]
    try:
        return max(float(root.get("width", 100)), 1.0), max(float(root.get("height", 100)), 1.0)
    except ValueError:
        return 100.0, 100.0


def _is_kept(produced: ET.Element | None, target: ET.Element | None, part: str) -> bool:
    ours, theirs = trees.corresponding(produced, target, part), trees.find(target, part)
    if produced is None or target is None or ours is None or theirs is None:
        return False
    return trees.same(ours, theirs, trees.align(produced, target))


def _change(produced: ET.Element | None, target: ET.Element | None, change: Change, viewport: Viewport) -> Match:
    # What was to be deleted is looked for by its id alone: at its place something else may now stand.
    deleted = change.attribute == "exists" and change.after is False
    element = trees.find(produced, change.part) if deleted else trees.corresponding(produced, target, change.part)
    value: Json = element is not None if change.attribute == "exists" else _value(element, change.attribute)
    match = compare(value, change.before, change.after, change.attribute, viewport)
    wanted = trees.find(target, change.part)
    if change.attribute == "exists" and change.after is True and match.passed and element is not None:
        return _added(element, wanted, viewport)
    return match


# --- what a program says -----------------------------------------------------------------------------------------


def _value(element: ET.Element | None, attribute: str) -> Json:
    """The value of a part's attribute: a number where it is one, lists for points and boxes, ``None`` where missing."""
    if element is None:
        return None
    transform = element.get("transform", "")
    match attribute:
        case "viewBox":
            return (
                _numbers(re.split(r"[\s,]+", element.get("viewBox", "").strip()))
                if "viewBox" in element.attrib
                else None
            )
        case "size":
            scale = re.search(r"scale\(([-+]?[0-9]*\.?[0-9]+)\)", transform)
            return round(float(scale.group(1)) * _SIZE_OF_SCALE_1, 4) if scale else None
        case "points":
            return _points(element.get("points"))
        case "x" | "y" if attribute not in element.attrib:
            moved = re.search(r"translate\(\s*([-+]?[0-9]*\.?[0-9]+)(?:[\s,]+([-+]?[0-9]*\.?[0-9]+))?\s*\)", transform)
            if moved:
                return float(moved.group(1 if attribute == "x" else 2) or 0)
    styled = next((value for name, value in _declarations(element) if name == attribute), None)
    for written in (styled, element.get(attribute), element.get(_camel_case(attribute))):
        if written is not None:
            return _number_or_text(written)
    return None


def _numbers(words: Sequence[str]) -> list[Json] | None:
    try:
        return [float(word) for word in words if word]
    except ValueError:
        return None


def _points(text: str | None) -> list[Json] | None:
    pairs = [_numbers(pair.split(",")) for pair in (text or "").split()]
    if text is None or any(pair is None for pair in pairs):
        return None
    return [pair for pair in pairs if pair]


def _number_or_text(written: str) -> Json:
    text = one_space(written)
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _declarations(element: ET.Element) -> list[tuple[str, str]]:
    """Name and value of everything in the style attribute that has a colon, as written."""
    parted = (chunk.partition(":") for chunk in element.get("style", "").split(";") if ":" in chunk)
    return [(name.strip(), value.strip()) for name, _, value in parted]


def _camel_case(attribute: str) -> str:
    first, *rest = attribute.split("-")
    return first + "".join(word.title() for word in rest)


# --- additions ---------------------------------------------------------------------------------------------------


def _added(element: ET.Element, wanted: ET.Element | None, viewport: Viewport) -> Match:
    """Whether what was added is what was wanted, every attribute within its own tolerance."""
    if wanted is None:
        return Match(False, "inserted-subtree", detail="requested element is missing")
    aliases = trees.align(element, wanted)
    worst, failure = 0.0, None
    pending = [(element, wanted)]
    while pending:
        left, right = pending.pop()
        ours, theirs = trees.meaning(left, aliases.produced), trees.meaning(right, aliases.target)
        exact = _exact_difference(left, right, ours, theirs)
        if exact is None:
            for name, value in theirs.items():
                if canonical(name, ours[name]) == canonical(name, value):
                    continue
                match = compare_attribute(ours[name], value, name, viewport)
                if match.distance is not None and match.tolerance:
                    worst = max(worst, match.distance / match.tolerance)
                elif not match.passed:
                    exact = f"inserted element {name} differs exactly"
                    break
                if not match.passed:
                    failure = failure or f"inserted element {name} is outside tolerance"
        if exact is None and one_space(left.text) != one_space(right.text):
            exact = "inserted element text differs"
        if exact is None and len(left) != len(right):
            exact = "inserted element child count differs"
        if exact is not None:
            return Match(False, "inserted-subtree", progress=0.0, detail=exact)
        pending.extend(reversed(list(zip(left, right, strict=True))))
    passed = failure is None
    return Match(passed, "inserted-subtree", round(worst, 6), 1.0, progress=float(passed), detail=failure)


def _exact_difference(
    left: ET.Element, right: ET.Element, ours: Mapping[str, str], theirs: Mapping[str, str]
) -> str | None:
    if left.tag != right.tag:
        return "inserted element type differs"
    return "inserted element attributes differ" if ours.keys() != theirs.keys() else None


# --- all that was not asked for ----------------------------------------------------------------------------------


def _without_requested(
    produced: ET.Element | None, target: ET.Element | None, changes: Sequence[Change]
) -> tuple[ET.Element | None, ET.Element | None]:
    """Copies of both, with what was asked for taken out or made equal, so that only the rest can differ."""
    if produced is None or target is None:
        return produced, target
    ours, theirs = copy.deepcopy(produced), copy.deepcopy(target)
    for change in changes:
        wanted = trees.find(theirs, change.part)
        if change.attribute == "exists" and wanted is None:
            _remove(ours, trees.find(ours, change.part))
            continue
        element = trees.corresponding(ours, theirs, change.part)
        if change.attribute == "exists":
            _remove(ours, element)
            _remove(theirs, wanted)
        elif element is not None and wanted is not None:
            _make_equal(element, wanted, "transform" if change.attribute == "size" else change.attribute)
    return ours, theirs


def _remove(root: ET.Element, element: ET.Element | None) -> None:
    if element is root:
        root.clear()
        return
    for parent in root.iter():
        if element in list(parent):
            parent.remove(element)
            return


def _make_equal(element: ET.Element, wanted: ET.Element, attribute: str) -> None:
    """Writes the wanted value of an attribute, wherever either of them keeps it: attribute, camel case, or style."""
    names = dict.fromkeys((attribute, _camel_case(attribute)))
    for name in names:
        element.attrib.pop(name, None)
    declared = dict(_declarations(element))
    if declared.pop(attribute, None) is not None:
        _write_style(element, declared)
    written = next((name for name in names if name in wanted.attrib), None)
    styled = next((value for name, value in _declarations(wanted) if name == attribute), None)
    if written is not None:
        element.set(written, wanted.attrib[written])
    elif styled is not None:
        _write_style(element, dict(_declarations(element)) | {attribute: styled})


def _write_style(element: ET.Element, declared: Mapping[str, str]) -> None:
    if declared:
        element.set("style", ";".join(f"{name}:{value}" for name, value in sorted(declared.items())))
    else:
        element.attrib.pop("style", None)
