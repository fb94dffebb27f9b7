"""Which prompts a limited run asks: a sample that keeps the shares of the categories and only grows with the limit."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from sgpbench.records import Prompt

__all__ = ["order_prompts", "select"]


def order_prompts(prompts: Iterable[Prompt], seed: int) -> list[Prompt]:
    """All prompts, ordered so that every beginning of the list is a fair sample.

    Each category is put in an order of its own that depends on ``seed`` and the prompt ids alone. Then the categories
    are interleaved, each at its own pace: the k-th of n prompts stands at (k - 1/2) / n. Any first m prompts therefore
    hold every category in proportion to its size, give or take one prompt, and estimate the means of the whole.
    """
    categories: dict[str, list[tuple[str, Prompt]]] = defaultdict(list)
    for prompt in prompts:
        categories[prompt.category].append((_shuffle_key(seed, prompt.id), prompt))
    placed: list[tuple[float, str, Prompt]] = []
    for keyed in categories.values():
        keyed.sort(key=lambda pair: (pair[0], pair[1].id))
        placed.extend(((k + 0.5) / len(keyed), key, prompt) for k, (key, prompt) in enumerate(keyed))
    placed.sort(key=lambda item: (item[0], item[1], item[2].id))
    return [prompt for _, _, prompt in placed]


def select(prompts: Iterable[Prompt], limit: int | None, seed: int) -> list[Prompt]:
    """The first ``limit`` prompts of ``order_prompts`` (all for ``None``), so that limits are nested."""
    ordered = order_prompts(prompts, seed)
    return ordered if limit is None else ordered[:limit]


def _shuffle_key(seed: int, prompt_id: str) -> str:
    return hashlib.sha256(f"{seed}\0{prompt_id}".encode()).hexdigest()
