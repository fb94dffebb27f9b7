"""VQA: the share of a prompt's questions about its drawing that are answered as expected (TIFA: Hu et al., 2023).

Who answers stands in brackets and is a column of its own: ``vqa[blip-large]``, ``vqa[gpt-4o-mini]``. Free-form answers
are mapped to choices as ``vqa_core`` says. Under ``samples = "all"`` every sample counts; under ``"last-valid"`` (the
released code) a prompt's score is that of its last valid drawing. An expected answer that the published choices lack is
offered with them, or can never be given: ``unlisted_answers``. With ``keyed_by`` the questions of all captions of a
photograph are asked of the drawing of its last caption alone (``metrics.keyed``).

Evidence, under the metric's name: ``{"questions": {id: {"said", "choice", "expected", "right"}}, ...}``.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgpbench.metrics.embedder import Embedder, acquire_embedder, release_embedder
from sgpbench.metrics.encoder_metric import encoder_spec, failure, rounded
from sgpbench.metrics.encoding import EncoderError
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.metrics.keyed import KeyedPrompts
from sgpbench.metrics.vqa_blip import BLIP_NAMES, open_blip_answerer
from sgpbench.metrics.vqa_core import KINDS, accuracy, accuracy_by_kind, as_published, choose, evidence
from sgpbench.metrics.vqa_interface import Answerer, Answers, Asked
from sgpbench.metrics.weights import Weights, locate, require
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Prompt, Question, Score

__all__ = ["Vqa", "open_vqa"]

_VERSION = "1"
_SENTENCES = "all-mpnet-base-v2"


@dataclass(frozen=True)
class _Sentences:
    """What maps free text to the nearest choice."""

    weights: Weights
    embedder: Embedder

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = self.embedder.texts((encoder_spec(self.weights),), texts)
        return np.stack([row[0] for row in rows])


class Vqa:
    """See the module."""

    needs: frozenset[Need] = frozenset({"questions"})
    version = _VERSION

    def __init__(self, answerer: Answerer, context: MetricContext, sentences: _Sentences | None) -> None:
        scoring = context.protocol.scoring
        self._answerer = answerer
        self._context = context
        self._sentences = sentences
        self._jpeg = scoring.renderer.jpeg.get("vqa")
        self._offered = scoring.vqa.unlisted_answers == "offered"
        self._exact = scoring.vqa.matching == "exact"
        self._keyed = KeyedPrompts(context.prompts, scoring.vqa.keyed_by)
        self.name = f"vqa[{answerer.name}]"
        self.unit: Literal["sample", "prompt"] = "prompt" if scoring.vqa.samples == "last-valid" else "sample"
        self.batch_size = answerer.batch_size
        words = "questions about the drawing answered as expected"
        self.columns = (
            Column(self.name, True, words, 0.0, 1.0, scoring.invalid.policy("vqa")),
            *(
                Column(f"{self.name}.{kind}", True, f"{words}, {kind} (valid drawings only)", 0.0, 1.0, "omit")
                for kind in KINDS
            ),
        )
        mapping: Json = sentences.weights.identity if sentences else None
        self.identity: Mapping[str, Json] = {
            "version": _VERSION,
            "published": answerer.identity.get("published", True) is True
            and (sentences is None or sentences.weights.published),
            "answers": scoring.vqa.answers,
            "samples": scoring.vqa.samples,
            "unlisted_answers": scoring.vqa.unlisted_answers,
            **({"matching": "exact"} if self._exact else {}),
            **({"keyed": self._keyed.identity} if self._keyed.identity else {}),
            "answerer": answerer.identity,
            "mapping": mapping,
            "jpeg": self._jpeg,
        }

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer per drawing, in their order; one in all where the last valid drawing of a prompt counts."""
        if self.unit == "prompt":
            batch = [max(batch, key=lambda drawing: drawing.sample)]
            if not self._keyed.counts(batch[0].prompt):
                return [Score({})]
        with tempfile.TemporaryDirectory(prefix="sgpbench-vqa-") as folder:
            prepared = await asyncio.to_thread(self._prepared, batch, Path(folder))
            asked = [one for one in prepared if isinstance(one, Asked)]
            answers = iter(await self._answerer.answer(asked) if asked else ())
        replies = [next(answers) if isinstance(one, Asked) else one for one in prepared]
        try:
            return await asyncio.to_thread(self._scores, batch, replies)
        except EncoderError as error:
            return [failure(str(error)) for _ in batch]

    async def aclose(self) -> None:
        """Closes the answerer and gives the encoders back."""
        await self._answerer.aclose()
        if self._sentences is not None:
            await asyncio.to_thread(release_embedder, self._context)

    def _prepared(self, batch: Sequence[Drawing], folder: Path) -> list[Asked | Failure]:
        return [self._one_prepared(drawing, folder / f"{number}.jpg") for number, drawing in enumerate(batch)]

    def _one_prepared(self, drawing: Drawing, file: Path) -> Asked | Failure:
        questions = self._questions(drawing.prompt)
        if drawing.rendering is None or not questions:
            return failure(f"{drawing.prompt.id}: there is no drawing, or no question about it")
        asked = Asked(drawing.rendering, questions, drawing.prompt.id, drawing.sample)
        if self._jpeg is None:
            return asked
        try:
            file.write_bytes(_as_jpeg(drawing.rendering, self._jpeg))
        except OSError as error:
            return failure(f"the picture {drawing.rendering} cannot be read: {error}")
        return replace(asked, image=file, media_type="image/jpeg")

    def _questions(self, prompt: Prompt) -> tuple[Question, ...]:
        questions = self._keyed.questions(prompt)
        return questions if self._offered else tuple(map(as_published, questions))

    def _scores(self, batch: Sequence[Drawing], replies: Sequence[Answers | Failure]) -> list[Score | Failure]:
        return [self._one(drawing, reply) for drawing, reply in zip(batch, replies, strict=True)]

    def _one(self, drawing: Drawing, reply: Answers | Failure) -> Score | Failure:
        if isinstance(reply, Failure):
            return reply
        questions = self._questions(drawing.prompt)
        if len(reply.texts) != len(questions):
            words = f"{self.name} gave {len(reply.texts)} answers to {len(questions)} questions"
            return Failure(Outcome.JUDGE_ERROR, words)
        try:
            marked = choose(questions, reply.texts, self._sentences or _no_free_text, exact=self._exact)
        except _NotAChoice as error:
            return Failure(Outcome.JUDGE_ERROR, f"{self.name}: {error}")
        values = {self.name: accuracy(marked)}
        values |= {f"{self.name}.{kind}": share for kind, share in accuracy_by_kind(marked).items()}
        return Score(rounded(values), {self.name: {"questions": evidence(marked), **reply.evidence}})


class _NotAChoice(Exception):
    """An answerer that must choose answered with something else."""


def _no_free_text(texts: Sequence[str]) -> NDArray[np.float32]:
    raise _NotAChoice(f"an answer is not one of the choices: {', '.join(texts)}")


def _as_jpeg(file: Path, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def open_vqa(context: MetricContext) -> Metric:
    """The metric; the argument is an answerer: ``blip-large``, ``blip-base``, or a model that sees, by its name.

    Raises:
        MetricUnavailable: packages, weights or the model are missing here.
    """
    name = context.argument or context.protocol.scoring.vqa.answerer
    if name in BLIP_NAMES:
        # Both kinds of weights are looked for before either is opened.
        locate(f"vqa[{name}]", [name, _SENTENCES])
        answerer = open_blip_answerer(name, context)
    else:
        from sgpbench.metrics.vqa_vlm import open_vlm_answerer

        answerer = open_vlm_answerer(name.removeprefix("vlm:"), context)
    if not answerer.free_text:
        return Vqa(answerer, context, None)
    (weights,) = require(f"vqa[{answerer.name}]", [_SENTENCES], context.cache_dir)
    return Vqa(answerer, context, _Sentences(weights, acquire_embedder(context)))
