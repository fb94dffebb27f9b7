"""New prompts of SGP-CompBench's kinds from a seed, so that memory of the published ones can be told from skill.

They have the published kinds, numbers, metadata and rubric, our own words, and the public names of COCO's categories.
No two of them are alike, and none has the content of a published prompt (see ``published.py``). They depend on the seed
alone: neither on the Python version nor on which data is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from sgpbench.records import Json, Prompt

from .published import Content, content_mark, published_marks, text_mark
from .rubric import category, numeracy_rubric, single_rubric
from .words import ANIMATE, COLORS, NOUNS, NUMBERS, RELATIONS, SHAPES, TEXTURES, article, plural

__all__ = ["PER_KIND", "PER_TOTAL", "TOTALS", "generated_prompts"]

PER_KIND = 400
"""Prompts of each binding and relation kind."""
PER_TOTAL = 100
"""Numeracy prompts of each total."""
TOTALS = range(3, 11)

_ATTRIBUTES = {"color": ("colors", COLORS), "shape": ("shapes", SHAPES), "texture": ("textures", TEXTURES)}
_Item = TypeVar("_Item")


class _Draw:
    """Choices from a seed, the same on every machine and Python: SHA-256 of the seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def below(self, n: int) -> int:
        """A number in ``[0, n)``; for n below a thousand the bias of the remainder is under 1e-16."""
        self._count += 1
        digest = hashlib.sha256(f"{self._seed}\0{self._count}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % n

    def pick(self, items: Sequence[_Item]) -> _Item:
        return items[self.below(len(items))]

    def two(self, items: Sequence[_Item]) -> tuple[_Item, _Item]:
        """Two different items, in random order."""
        first, second = self.below(len(items)), self.below(len(items) - 1)
        return items[first], items[second + (second >= first)]


_Maker: TypeAlias = Callable[[_Draw], tuple[Content, Prompt]]


def generated_prompts(seed: int) -> list[Prompt]:
    """3,200 prompts: 400 of each binding and relation kind, 100 numeracy prompts of each total from 3 to 10."""
    series: list[tuple[str, int, _Maker]] = [
        *((f"{minor}_binding", PER_KIND, partial(_binding, minor)) for minor in _ATTRIBUTES),
        *((f"{minor.removesuffix('_spatial')}_relation", PER_KIND, partial(_relation, minor)) for minor in RELATIONS),
        *((f"numeracy_{total}", PER_TOTAL, partial(_numeracy, total)) for total in TOTALS),
    ]
    taken = set(published_marks())
    return [prompt for name, wanted, make in series for prompt in _series(name, seed, wanted, taken, make)]


def _series(name: str, seed: int, wanted: int, taken: set[str], make: _Maker) -> list[Prompt]:
    """``wanted`` prompts whose text and content are not among ``taken``, which grows by them."""
    draw = _Draw(f"{seed}/{name}")
    prompts: list[Prompt] = []
    while len(prompts) < wanted:
        content, prompt = make(draw)
        marks = {content_mark(content), text_mark(prompt.caption)}
        if marks & taken:
            continue
        taken |= marks
        prompt_id = f"{name}_seed{seed}_{len(prompts) + 1}"
        prompts.append(replace(prompt, id=prompt_id, cluster=prompt_id))
    return prompts


def _binding(minor: str, draw: _Draw) -> tuple[Content, Prompt]:
    """Two different things with two different attributes, so that swapping them is a mistake."""
    key, words = _ATTRIBUTES[minor]
    attributes, nouns = draw.two(words), draw.two(NOUNS)
    things = [article(f"{attribute} {noun}") for attribute, noun in zip(attributes, nouns, strict=True)]
    caption = " and ".join(things)
    metadata: dict[str, Json] = {"gen_type": "generated", key: list(attributes), "nouns": list(nouns)}
    content: Content = (minor, *sorted(zip(attributes, nouns, strict=True)))
    return content, Prompt(
        "", caption, category("binding", minor), "", metadata, rubric=single_rubric("binding", caption)
    )


def _relation(minor: str, draw: _Draw) -> tuple[Content, Prompt]:
    """One thing in a relation to another; for the implicit ones the first is a living being."""
    relation = draw.pick(RELATIONS[minor])
    first, second = draw.two(NOUNS)
    if minor == "implicit":
        first = draw.pick([noun for noun in ANIMATE if noun != second])
    caption = f"{article(first)} {relation} {article(second)}"
    metadata: dict[str, Json] = {"gen_type": "generated", "relation": relation, "nouns": [first, second]}
    content: Content = (minor, *sorted((first, second)))
    return content, Prompt(
        "", caption, category("relation", minor), "", metadata, rubric=single_rubric("relation", caption)
    )


def _numeracy(total: int, draw: _Draw) -> tuple[Content, Prompt]:
    """Two or three kinds of thing, at least one of each, ``total`` in all."""
    kinds = 2 + draw.below(2)
    nouns: list[str] = []
    while len(nouns) < kinds:
        if (noun := draw.pick(NOUNS)) not in nouns:
            nouns.append(noun)
    numbers = [1] * kinds
    for _ in range(total - kinds):
        numbers[draw.below(kinds)] += 1
    counts = list(zip(nouns, numbers, strict=True))
    parts = [f"{NUMBERS[n]} {noun if n == 1 else plural(noun)}" for noun, n in counts]
    caption = f"{', '.join(parts[:-1])} and {parts[-1]}"
    metadata: dict[str, Json] = {
        "gen_type": "generated",
        "total_count": total,
        "object_counts": [{"noun": noun, "count": n} for noun, n in counts],
        "objects": nouns,
    }
    content: Content = ("numeracy", *sorted(counts))
    return content, Prompt("", caption, "numeracy", "", metadata, rubric=numeracy_rubric(total, counts))
