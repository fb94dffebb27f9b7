"""What a judge is asked about a comp prompt, and under which category a prompt counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpbench.records import RubricPart

__all__ = ["category", "numeracy_rubric", "single_rubric"]


def category(major: str, minor: str) -> str:
    """``binding/color`` and so on; numeracy has a single minor type and needs no second level."""
    return major if major == "numeracy" else f"{major}/{minor}"


def single_rubric(kind: Literal["binding", "relation"], caption: str) -> tuple[RubricPart, ...]:
    """One question about the whole caption."""
    return (RubricPart(id=kind, rubric=kind, values={"prompt": caption}),)


def numeracy_rubric(total: int, counts: Sequence[tuple[str, int]]) -> tuple[RubricPart, ...]:
    """The total, the kinds of thing, and the count of each kind, in the order the kinds are listed in.

    ``noun_list`` joins the nouns as they stand (singular, with repeats) by comma and space, as the released code does.
    """
    values: Mapping[str, str | int] = {"total_count": total}
    parts = [RubricPart(id="total", rubric="total", values=values)]
    parts.append(RubricPart(id="items", rubric="items", values={"noun_list": ", ".join(noun for noun, _ in counts)}))
    parts += [
        RubricPart(id=f"count.{k}", rubric="count", values={"count": count, "noun": noun})
        for k, (noun, count) in enumerate(counts, start=1)
    ]
    return tuple(parts)
