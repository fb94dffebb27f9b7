"""From the scores of a drawing's rubric parts to its numbers. Pure functions.

A binding or relation prompt has one part, whose score is the drawing's. A numeracy prompt has ``total``, ``items`` and
one ``count`` per noun: ``0.2 total + 0.2 items + 0.6 mean(count)`` (arXiv 2509.05208, SGP-CompBench).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from statistics import fmean
from typing import Literal

from sgpbench.records import RubricPart

__all__ = ["NUMERACY", "combine", "mean_over_repeats", "numeracy_score", "zeros"]

NUMERACY = ("total", "items", "count")
"""The kinds of part that only numeracy prompts have; each is a column of its own."""


def numeracy_score(
    total: int,
    items: int,
    counts: Sequence[int],
    weights: tuple[float, float, float],
    way: Literal["exact", "truncated"],
) -> float:
    """The weighted score of a numeracy drawing, 0..100; the mean of no counts is 0.

    ``exact`` computes with fractions and rounds once. ``truncated`` adds floats from left to right and drops the
    decimals, as the released code does: for 50, 0 and (100, 100, 50) that gives 59, and exactly it is 60.
    """
    if way == "truncated":
        mean = sum(counts) / len(counts) if counts else 0.0
        return float(int(weights[0] * float(total) + weights[1] * float(items) + weights[2] * float(mean)))
    exact_mean = Fraction(sum(counts), len(counts)) if counts else Fraction(0)
    first, second, third = (Fraction(repr(weight)) for weight in weights)
    return float(first * total + second * items + third * exact_mean)


def combine(
    parts: Iterable[RubricPart],
    scores: Mapping[str, int],
    weights: tuple[float, float, float],
    way: Literal["exact", "truncated"],
) -> dict[str, float]:
    """The numbers of one drawing from the score of each part id: ``""`` is the drawing's, the others are its parts'.

    Raises:
        KeyError: a part has no score.
    """
    by_rubric: dict[str, list[int]] = {}
    for part in parts:
        by_rubric.setdefault(part.rubric, []).append(scores[part.id])
    if not any(kind in by_rubric for kind in NUMERACY):
        return {"": fmean(score for found in by_rubric.values() for score in found)}
    counts = by_rubric.get("count", [])
    total, items = by_rubric["total"][0], by_rubric["items"][0]
    return {
        "": numeracy_score(total, items, counts, weights, way),
        "total": float(total),
        "items": float(items),
        "count": sum(counts) / len(counts) if counts else 0.0,
    }


def zeros(parts: Iterable[RubricPart], *, with_parts: bool) -> dict[str, float]:
    """The numbers of a drawing that cannot be shown to a judge: 0, and 0 for its numeracy parts where wanted."""
    kinds = {part.rubric for part in parts}
    named = [kind for kind in NUMERACY if kind in kinds] if with_parts else []
    return dict.fromkeys(["", *named], 0.0)


def mean_over_repeats(repeats: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number over at least one repeat."""
    return {key: fmean(repeat[key] for repeat in repeats) for key in repeats[0]}
