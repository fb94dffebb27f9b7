"""Prompts that are looked up by a key of their own, as the released scripts look up drawings and questions.

Those scripts map a caption to the photograph that it describes (a caption of two photographs to the last of them), keep
under that photograph the drawings of the last such caption in the published order, and under it too the questions of
all its captions. So of every photograph one prompt counts, the last, and it is asked about by all questions of that
photograph. A prompt without such a key in its metadata is looked up by its caption alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sgpbench.protocol import canonical_hash
from sgpbench.records import Json, Prompt, Question

__all__ = ["KeyedPrompts"]


class KeyedPrompts:
    """Which prompts count, and which questions each is asked, where prompts are looked up by key.

    A prompt that is not among those given counts by itself.

    Args:
        prompts: All of the split, in the published order.
        key: The name of the key in their metadata; ``None`` lets every prompt count, with its own questions.
    """

    def __init__(self, prompts: Sequence[Prompt], key: str | None) -> None:
        self._replaced = frozenset[str]()
        self._questions: dict[str, tuple[Question, ...]] = {}
        self.identity: Json = None
        """What decides it all besides a prompt itself: the key, and a hash of the prompts."""
        if key is None:
            return
        of_caption = {prompt.caption: str(prompt.metadata.get(key, prompt.caption)) for prompt in prompts}
        # A caption's questions are known once, however many prompts it has.
        asked: dict[str, dict[str, Prompt]] = {}
        last: dict[str, Prompt] = {}
        for prompt in prompts:
            found = of_caption[prompt.caption]
            asked.setdefault(found, {})[prompt.caption] = prompt
            last[found] = prompt
        for found, prompt in last.items():
            self._questions[prompt.id] = tuple(
                question if caption == prompt.caption else replace(question, id=f"{other.id}:{question.id}")
                for caption, other in asked[found].items()
                for question in other.questions
            )
        self._replaced = frozenset(prompt.id for prompt in prompts) - self._questions.keys()
        pool = [[prompt.id, of_caption[prompt.caption]] for prompt in prompts]
        self.identity = {"key": key, "prompts": canonical_hash(pool)}

    def counts(self, prompt: Prompt) -> bool:
        """Whether no later prompt has the same key."""
        return prompt.id not in self._replaced

    def questions(self, prompt: Prompt) -> tuple[Question, ...]:
        """What is asked about the drawings of a prompt that counts: the questions of all captions of its key."""
        return self._questions.get(prompt.id, prompt.questions)
