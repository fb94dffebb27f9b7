"""How far a value may lie from the one that was wanted, by what kind of value it is.

The nearer the wanted value was to the broken one, the less is forgiven, and never so much that the broken value itself
would do. A shape is compared by where its outline runs, a colour by what an eye makes of the difference (CIE 1976).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from svg.path import parse_path

from sgpbench.metrics.edit.values import COLOR_ATTRIBUTES, MALFORMED, NUMBER, canonical, canonical_color
from sgpbench.records import Json

__all__ = ["Match", "Viewport", "compare", "compare_attribute", "numbers_in"]

Viewport: TypeAlias = tuple[float, float]
"""Width and height of what is seen, in user units, both positive."""

_X: Final = frozenset({"cx", "rx", "width", "x", "x1", "x2"})
_Y: Final = frozenset({"cy", "height", "ry", "y", "y1", "y2"})
_SAMPLES: Final = 129
"""Points taken along an outline."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Match:
    """One value held against the wanted one. Distances are in the ``comparison``'s own unit."""

    passed: bool
    comparison: str
    distance: float | None = None
    tolerance: float | None = None
    baseline: float | None = None
    """Distance of the broken value."""
    progress: float | None = None
    """1 − distance / baseline, within 0 and 1; ``None`` where there is nothing to measure it by."""
    detail: str | None = None


def compare(actual: Json, before: Json, wanted: Json, attribute: str, viewport: Viewport) -> Match:
    """Holds what a program says against the wanted value; ``before`` is the broken one.

    Values are as a task writes them: a bool is presence, numbers and lists of numbers are measured, text is a colour, an
    outline, or compared in canonical spelling.
    """
    if isinstance(wanted, bool):
        met = actual is wanted
        return Match(met, "existence", progress=float(met), detail=None if met else "required presence differs")
    if isinstance(wanted, int | float):
        return _number(actual, before, float(wanted), attribute, viewport)
    if isinstance(wanted, list):
        return _list(actual, before, wanted, attribute, viewport)
    if actual is None:
        return Match(wanted is None, "exact", detail="value is missing")
    old = None if before is None else _text(before)
    if attribute in COLOR_ATTRIBUTES:
        return _color(_text(actual), old, _text(wanted))
    if attribute == "d":
        return _outline(_text(actual), old, _text(wanted), viewport)
    return _spelling(_text(actual), _text(wanted), attribute)


def compare_attribute(actual: str, wanted: str, attribute: str, viewport: Viewport) -> Match:
    """Holds an attribute of an element that was to be added against the wanted one's."""
    if attribute in COLOR_ATTRIBUTES:
        return _color(actual, None, wanted)
    if attribute == "d":
        return _outline(actual, None, wanted, viewport)
    if attribute == "points":
        ours, theirs = numbers_in(actual), numbers_in(wanted)
        if ours is None or theirs is None:
            return Match(False, "points-rms", detail="points could not be parsed")
        return _many(ours, None, theirs, attribute, viewport)
    if re.fullmatch(NUMBER, wanted.strip()):
        return _number(actual, None, float(wanted), attribute, viewport)
    return _spelling(actual, wanted, attribute)


def numbers_in(text: str) -> list[float] | None:
    """The numbers of a text that holds nothing else but commas and spaces; ``None`` otherwise."""
    found = re.findall(NUMBER, text)
    rest = re.sub(NUMBER, "", text)
    return [float(number) for number in found] if found and re.fullmatch(r"[\s,]*", rest) else None


def _text(value: Json) -> str:
    return str(value)


def _spelling(actual: str, wanted: str, attribute: str) -> Match:
    met = canonical(attribute, actual) == canonical(attribute, wanted)
    return Match(met, "canonical", progress=float(met), detail=None if met else "canonical values differ")


def _measured(
    comparison: str, distance: float, baseline: float | None, tolerance: float, detail: str | None = None
) -> Match:
    return Match(
        distance <= tolerance + _ROUNDING,
        comparison,
        round(distance, 6),
        round(tolerance, 6),
        None if baseline is None else round(baseline, 6),
        _progress(distance, baseline),
        detail,
    )


def _progress(distance: float, baseline: float | None) -> float | None:
    if baseline is None or baseline <= _ROUNDING:
        return 1.0 if distance <= _ROUNDING else None if baseline is None else 0.0
    return round(max(0.0, min(1.0, 1.0 - distance / baseline)), 6)


def _tolerance(baseline: float | None, *, ratio: float, cap: float, floor: float) -> float:
    """``ratio`` of the damage, at least ``floor`` and at most ``cap``, and always under 90 % of the damage."""
    if baseline is None:
        return cap
    if baseline <= 0:
        return min(cap, floor)
    return min(cap, max(floor, baseline * ratio), baseline * 0.90)


def _as_float(value: Json) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]  # whatever is no number raises, which is the question
    except (TypeError, ValueError):
        return None


def _number(actual: Json, before: Json, wanted: float, attribute: str, viewport: Viewport) -> Match:
    comparison = {"opacity": "opacity-delta", "stroke-width": "line-weight-delta"}.get(attribute, "numeric-delta")
    number, old = _as_float(actual), _as_float(before)
    if number is None:
        return Match(False, comparison, detail="produced value is not numeric")
    baseline = None if old is None else abs(old - wanted)
    width, height = viewport
    if attribute == "opacity":
        cap, floor = 0.12, 0.03
    elif attribute == "stroke-width":
        cap, floor = max(1.0, abs(wanted) * 0.40), 0.25
    elif attribute in _X:
        cap, floor = max(0.75, width * 0.025), 0.75
    elif attribute in _Y:
        cap, floor = max(0.75, height * 0.025), 0.75
    else:
        cap, floor = max(0.75, min(width, height) * 0.02), 0.75
    return _measured(comparison, abs(number - wanted), baseline, _tolerance(baseline, ratio=0.50, cap=cap, floor=floor))


def _list(actual: Json, before: Json, wanted: Json, attribute: str, viewport: Viewport) -> Match:
    ours, theirs, old = _flat(actual), _flat(wanted), _flat(before)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return Match(False, _list_comparison(attribute), detail="numeric shape differs")
    return _many(ours, old if old is not None and len(old) == len(theirs) else None, theirs, attribute, viewport)


def _many(
    actual: Sequence[float], before: Sequence[float] | None, wanted: Sequence[float], attribute: str, viewport: Viewport
) -> Match:
    baseline = None if before is None else _rms(before, wanted)
    tolerance = _tolerance(baseline, ratio=0.55, cap=max(0.75, min(viewport) * 0.03), floor=0.75)
    return _measured(_list_comparison(attribute), _rms(actual, wanted), baseline, tolerance)


def _list_comparison(attribute: str) -> str:
    return "points-rms" if attribute == "points" else "list-rms"


def _flat(value: Json) -> list[float] | None:
    """The numbers of nested lists in their order; ``None`` where something is no number."""
    if not isinstance(value, list):
        return None
    numbers: list[float] = []
    for item in value:
        inner = _flat(item) if isinstance(item, list) else _as_float(item)
        if inner is None:
            return None
        numbers.extend(inner if isinstance(inner, list) else [inner])
    return numbers


def _rms(left: Sequence[float], right: Sequence[float]) -> float:
    """Root mean square of the differences, over the shorter of the two."""
    pairs = list(zip(left, right, strict=False))
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs) / len(pairs)) if pairs else 0.0


def _color(actual: str, before: str | None, wanted: str) -> Match:
    ours, theirs = _lab(actual), _lab(wanted)
    if ours is None or theirs is None:
        detail = "unsupported color syntax; canonical comparison used"
        return Match(canonical_color(actual) == canonical_color(wanted), "canonical-color", detail=detail)
    old = None if before is None else _lab(before)
    baseline = None if old is None else math.dist(old, theirs)
    return _measured(
        "color-lab", math.dist(ours, theirs), baseline, _tolerance(baseline, ratio=0.45, cap=18.0, floor=4.0)
    )


def _lab(color: str) -> tuple[float, float, float] | None:
    """CIELAB (D65) of an sRGB colour, or ``None`` where it is not one that ``canonical_color`` knows."""
    digits = re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", canonical_color(color))
    if digits is None:
        return None
    channels = [int(pair, 16) / 255 for pair in digits.groups()]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
        for t in (
            (red * 0.4124564 + green * 0.3575761 + blue * 0.1804375) / 0.95047,
            red * 0.2126729 + green * 0.7151522 + blue * 0.0721750,
            (red * 0.0193339 + green * 0.1191920 + blue * 0.9503041) / 1.08883,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _outline(actual: str, before: str | None, wanted: str, viewport: Viewport) -> Match:
    """By the distance of outlines; where that is too far, the same commands with nearly the same numbers will do too."""
    distance = _outline_distance(actual, wanted)
    if distance is None:
        return Match(False, "path-shape", detail="path geometry could not be sampled")
    baseline = None if before is None else _outline_distance(before, wanted)
    tolerance = _tolerance(baseline, ratio=0.70, cap=max(0.75, min(viewport) * 0.03), floor=0.75)
    if distance > tolerance + _ROUNDING:
        by_numbers = _same_commands(actual, before, wanted, viewport)
        if by_numbers is not None and by_numbers.passed:
            return by_numbers
    return _measured("path-shape", distance, baseline, tolerance, "outlines are compared, not commands")


def _same_commands(actual: str, before: str | None, wanted: str, viewport: Viewport) -> Match | None:
    ours, theirs = _commands(actual), _commands(wanted)
    if ours is None or theirs is None or ours[0] != theirs[0] or len(ours[1]) != len(theirs[1]):
        return None
    old = None if before is None else _commands(before)
    alike = old is not None and old[0] == theirs[0] and len(old[1]) == len(theirs[1])
    baseline = _rms(old[1], theirs[1]) if old is not None and alike else None
    tolerance = _tolerance(baseline, ratio=0.70, cap=max(0.5, min(viewport) * 0.025), floor=0.5)
    return _measured("path-coordinate-rms", _rms(ours[1], theirs[1]), baseline, tolerance)


def _commands(path: str) -> tuple[list[str], list[float]] | None:
    spelt = canonical("d", path)
    if spelt.startswith(MALFORMED):
        return None
    tokens = spelt.split()
    numeric = [re.fullmatch(NUMBER, token) is not None for token in tokens]
    letters = [token for token, is_number in zip(tokens, numeric, strict=True) if not is_number]
    return letters, [float(token) for token, is_number in zip(tokens, numeric, strict=True) if is_number]


def _outline_distance(left: str, right: str) -> float | None:
    """The larger of mean (root mean square) and 95th percentile of the distances to the other's nearest point.

    Taken both ways, so that neither direction, starting point nor number of segments matters.
    """
    ours, theirs = _outline_points(left), _outline_points(right)
    if ours is None or theirs is None:
        return None
    apart = np.abs(ours[:, None] - theirs[None, :])
    nearest = np.sort(np.concatenate([apart.min(axis=1), apart.min(axis=0)]))
    at_95 = float(nearest[math.ceil(0.95 * len(nearest)) - 1])
    return max(math.sqrt(float(np.mean(nearest**2))), at_95)


@lru_cache(maxsize=256)
def _outline_points(path: str) -> npt.NDArray[np.complex128] | None:
    """129 points, evenly spaced by length along the whole outline, as complex numbers; ``None`` where it is none."""
    try:
        outline = parse_path(path)
        return np.array([outline.point(index / (_SAMPLES - 1)) for index in range(_SAMPLES)], np.complex128)
    except (IndexError, TypeError, ValueError, ZeroDivisionError):
        return None
