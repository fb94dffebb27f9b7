"""Elements of two programs side by side: which corresponds to which, when they mean the same, where they differ."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from sgpbench.metrics.edit.values import canonical, is_well_formed, local_name, one_space, style_pairs

__all__ = [
    "DOCUMENT",
    "ROOT",
    "Aliases",
    "align",
    "corresponding",
    "differences",
    "find",
    "is_valid",
    "meaning",
    "parse",
    "same",
]

ROOT = "__svg"
"""How a task names the root element."""
DOCUMENT = "__document__"
"""Stands in a list of differences where a whole document is missing or another."""

_REFERENCE = re.compile(r"url\(\s*(?P<quote>['\"]?)#(?P<id>[^\s)'\"]+)(?P=quote)\s*\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Aliases:
    """For each of two programs: id → a token that is equal where the elements stand at the same place.

    So a program that renames ``#a`` to ``#b`` everywhere still means the same.
    """

    produced: Mapping[str, str]
    target: Mapping[str, str]


def parse(program: str) -> ET.Element | None:
    """The root element, or ``None`` where the text is no well-formed XML."""
    try:
        return ET.fromstring(program)
    except (ET.ParseError, ValueError):
        return None


def is_valid(root: ET.Element | None) -> bool:
    """An ``svg`` whose ids are unique, whose values follow their syntax, and whose local references exist."""
    if root is None or local_name(root.tag) != "svg":
        return False
    ids: set[str] = set()
    for element in root.iter():
        name = element.get("id")
        if name is not None:
            if not name or name in ids:
                return False
            ids.add(name)
        if not all(is_well_formed(key, value) for key, value in element.items()):
            return False
    return all(_refers_to(ids, element) for element in root.iter())


def find(root: ET.Element | None, part: str) -> ET.Element | None:
    """The first element with that id (``__svg``: the root)."""
    if root is None or part == ROOT:
        return root
    return next((element for element in root.iter() if element.get("id") == part), None)


def corresponding(produced: ET.Element | None, target: ET.Element | None, part: str) -> ET.Element | None:
    """What stands for ``part`` in ``produced``: the element of that id, else the one at its place in ``target``.

    A place counts only while both documents have the same number of siblings, of the same tags, all the way down.
    """
    direct = find(produced, part)
    if direct is not None or produced is None or target is None:
        return direct
    wanted = find(target, part)
    path = None if wanted is None else _path(target, wanted)
    if path is None:
        return None
    ours, theirs = produced, target
    for index in path:
        if len(ours) != len(theirs):
            return None
        ours, theirs = ours[index], theirs[index]
        if ours.tag != theirs.tag:
            return None
    return ours if ours.tag == theirs.tag else None


def align(produced: ET.Element, target: ET.Element) -> Aliases:
    """Aliases of all ids, as far down as tags and numbers of children agree."""
    ours: dict[str, str] = {}
    theirs: dict[str, str] = {}
    pending = [(produced, target, "@")]
    # In document order, since of an id that comes twice the last one counts.
    while pending:
        left, right, place = pending.pop()
        if left.tag != right.tag:
            continue
        if left.get("id"):
            ours[left.attrib["id"]] = place
        if right.get("id"):
            theirs[right.attrib["id"]] = place
        if len(left) == len(right):
            pairs = enumerate(zip(left, right, strict=True))
            pending.extend(reversed([(a, b, f"{place}/{index}") for index, (a, b) in pairs]))
    return Aliases(ours, theirs)


def meaning(element: ET.Element, aliases: Mapping[str, str]) -> dict[str, str]:
    """An element's attributes and style declarations as one mapping, in canonical spelling.

    Ids, and ``aria-`` attributes, which describe and do not draw, are left out; a style that is broken stays whole.
    """
    values = {
        local_name(key): value
        for key, value in element.items()
        if local_name(key) not in {"id", "style"} and not local_name(key).startswith("aria-")
    }
    style = element.get("style", "")
    pairs = style_pairs(style)
    values |= {"style": style} if pairs is None else dict(pairs)
    # A broken style is kept as it is written, references too.
    return {
        name: canonical(name, value) if name == "style" else _renamed(name, canonical(name, value), aliases)
        for name, value in values.items()
    }


def same(produced: ET.Element, target: ET.Element, aliases: Aliases | None = None) -> bool:
    """Whether two elements draw the same: tag, meaning, text, and all that is in them, in the same order."""
    known = aliases or align(produced, target)
    pending = [(produced, target)]
    while pending:
        left, right = pending.pop()
        if left.tag != right.tag or _own_differences(left, right, known) or len(left) != len(right):
            return False
        pending.extend(zip(left, right, strict=True))
    return True


def differences(produced: ET.Element | None, target: ET.Element | None) -> list[str]:
    """Names of the elements that differ: an id, ``+id`` added, ``-id`` gone, or a place such as ``group/rect[2]``."""
    if produced is None or target is None:
        return [DOCUMENT]
    known = align(produced, target)
    found: list[str] = []
    pending = [(produced, target, DOCUMENT)]
    while pending:
        left, right, place = pending.pop()
        label = right.get("id") or left.get("id") or (ROOT if local_name(right.tag) == "svg" else place)
        if left.tag != right.tag:
            found.append(label)
            continue
        own = _own_differences(left, right, known)
        found.extend([label] * own)
        if len(left) == len(right):
            places = [f"{label}/{local_name(child.tag)}[{index}]" for index, child in enumerate(right)]
            pending.extend(reversed(list(zip(left, right, places, strict=True))))
            continue
        ours, theirs = (({child.attrib["id"] for child in side if "id" in child.attrib}) for side in (left, right))
        listed = [f"+{name}" for name in sorted(ours - theirs)] + [f"-{name}" for name in sorted(theirs - ours)]
        found.extend(listed or ([] if own else [label]))
    return found


def _refers_to(ids: set[str], element: ET.Element) -> bool:
    """Whether every local reference of an element, and of a style sheet's text, names an element that exists."""
    texts = list(element.attrib.values())
    if local_name(element.tag) == "style":
        texts.append(element.text or "")
    direct = [
        value.strip()[1:] for key, value in element.items() if local_name(key) == "href" and value.strip()[:1] == "#"
    ]
    named = [match["id"] for text in texts for match in _REFERENCE.finditer(text)]
    return ids.issuperset(direct) and ids.issuperset(named)


def _path(root: ET.Element, wanted: ET.Element) -> tuple[int, ...] | None:
    """The places of the children that lead from ``root`` to ``wanted``."""
    pending: list[tuple[ET.Element, tuple[int, ...]]] = [(root, ())]
    while pending:
        element, path = pending.pop()
        if element is wanted:
            return path
        pending.extend((child, (*path, index)) for index, child in enumerate(element))
    return None


def _own_differences(produced: ET.Element, target: ET.Element, aliases: Aliases) -> int:
    """How many of meaning, text and the text behind it differ between two elements, children aside."""
    return sum(
        (
            meaning(produced, aliases.produced) != meaning(target, aliases.target),
            _text(produced, aliases.produced) != _text(target, aliases.target),
            one_space(produced.tail) != one_space(target.tail),
        )
    )


def _renamed(name: str, value: str, aliases: Mapping[str, str]) -> str:
    value = _REFERENCE.sub(lambda match: f"url({aliases.get(match['id'], '#' + match['id'])})", value)
    if name == "href" and value.startswith("#"):
        return aliases.get(value[1:], value)
    return value


def _text(element: ET.Element, aliases: Mapping[str, str]) -> str:
    text = one_space(element.text)
    if local_name(element.tag) == "style":
        for name in sorted(aliases, key=len, reverse=True):
            text = text.replace(f"#{name}", aliases[name])
    return text
