"""BLIP as an answerer (Li et al., 2022): free-form answers, run in the process of the encoders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sgpbench.metrics.embedder import acquire_embedder, release_embedder
from sgpbench.metrics.encoder_metric import encoder_spec, failure
from sgpbench.metrics.encoding import Answered, AskAboutImages, EncoderError, ImageItem, Unreadable
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.vqa_interface import Answerer, Answers, Asked
from sgpbench.metrics.weights import Weights, require
from sgpbench.protocol import VqaRule
from sgpbench.records import Failure, Json

__all__ = ["BLIP_NAMES", "BlipAnswerer", "open_blip_answerer"]

BLIP_NAMES = ("blip-large", "blip-base")
_VERSION = "1"


class BlipAnswerer:
    """See the module. Each picture is looked at once, for all its questions."""

    version = _VERSION
    free_text = True
    batch_size = 64

    def __init__(self, name: str, weights: Weights, context: MetricContext) -> None:
        self.name = name
        self._spec = encoder_spec(weights)
        self._context = context
        self._embedder = acquire_embedder(context)
        self._tokens = context.protocol.scoring.vqa.answer_tokens
        usual = VqaRule.model_fields["answer_tokens"].default
        more: Mapping[str, Json] = {} if self._tokens == usual else {"answer_tokens": self._tokens}
        self.identity: Mapping[str, Json] = {"answerer": "blip", "version": _VERSION, **weights.identity, **more}

    async def answer(self, batch: Sequence[Asked]) -> Sequence[Answers | Failure]:
        """One answer per picture, in their order."""
        request = AskAboutImages(
            self._spec,
            tuple(ImageItem(asked.image) for asked in batch),
            tuple(tuple(question.text for question in asked.questions) for asked in batch),
            self._tokens,
        )
        try:
            reply = await asyncio.to_thread(self._embedder.call, request)
        except EncoderError as error:
            return [failure(str(error)) for _ in batch]
        if not isinstance(reply, Answered):
            raise TypeError(f"asked for answers, got {type(reply).__name__}")
        return [failure(one.message) if isinstance(one, Unreadable) else Answers(one) for one in reply.answers]

    async def aclose(self) -> None:
        """Gives the encoders back."""
        await asyncio.to_thread(release_embedder, self._context)


def open_blip_answerer(name: str, context: MetricContext) -> Answerer:
    """The answerer of that name (``BLIP_NAMES``).

    Raises:
        MetricUnavailable: packages or weights are missing.
    """
    (weights,) = require(f"vqa[{name}]", [name], context.cache_dir)
    return BlipAnswerer(name, weights, context)
