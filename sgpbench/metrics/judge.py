"""The judge metric: a model that sees scores each drawing by the rubrics of the protocol, 0..100.

Source: arXiv 2509.05208, SGP-CompBench; the rubrics, the order of a message, the picture's format, how a reply is read
and how numeracy is put together are fields of the protocol (``scoring.judge``).

Every rubric part of a drawing is one request, all of them in flight at once within the judge's limits. A reply is kept
the moment it arrives, so that a part is paid for once even if another part of the same drawing fails. What is ours to
answer for (no reply after all patience; under ``v1`` a reply without a score) is a ``judge_error``, never a 0.

Evidence, under the metric's name, is a list with one entry per part and repeat: ``{"id", "repeat", "request", "reply",
"score"}``, where ``request`` is the hash of what was sent; ``unclear`` holds earlier replies without a score, and
``unreadable`` stands where ``paper`` found no score and counts 0.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgpbench.data.store import DataStore
from sgpbench.data.templates import fill, resolve
from sgpbench.errors import MetricUnavailable, TransientError, UsageError
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.metrics.judge_parts import NUMERACY, combine, mean_over_repeats, zeros
from sgpbench.metrics.judge_reading import read_reply
from sgpbench.metrics.judge_request import CLARIFY, TooLarge, derived_seed, judge_request, picture, request_hash
from sgpbench.metrics.replies import ReplyKeeper
from sgpbench.paths import data_dirs
from sgpbench.protocol import JudgeRule, canonical_hash
from sgpbench.records import Column, Drawing, Failure, ImagePart, Json, Outcome, Prompt, RubricPart, Score

__all__ = ["Judge", "open_judge"]

_LOG = logging.getLogger(__name__)
_VERSION = "1"
_BATCH_SIZE = 64


class _Unreadable(Exception):
    """A reply holds no score, and the protocol calls that an error of ours."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One part, judged once."""

    score: int
    evidence: dict[str, Json]


def open_judge(context: MetricContext) -> Metric:
    """The judge of a run: the argument in brackets, else ``--judge``, else the protocol's.

    Raises:
        MetricUnavailable: it may not be asked here, or does not see; the message holds the remedy.
        ModelUnavailable: it cannot be used (no key, no server).
        DataError: the protocol's rubrics are upstream words that are not here.
    """
    rule = context.protocol.scoring.judge
    name = context.argument or context.judge or rule.model
    if context.open_caller is None:
        raise MetricUnavailable(
            f"judge[{name}] asks a model, and this command asks none.", remedy="Use `sgpbench score`."
        )
    if context.judge_repeats < 1:
        raise UsageError(
            f"A judge cannot judge {context.judge_repeats} times.", remedy="Give --judge-repeats 1 or more."
        )
    data = context.data or DataStore(data_dirs())
    rubrics: dict[str, str] = {kind: resolve(template, data) for kind, template in rule.rubrics.items()}
    caller = context.open_caller(name)
    if not caller.model.sees:
        raise MetricUnavailable(
            f"The model '{name}' does not see pictures, so it cannot judge drawings.",
            remedy="Name one that does with --judge (`sgpbench models list --sees`), or, if it does see and the catalog does "
            "not know it, add --judge-arg sees=true.",
        )
    keeper = ReplyKeeper(caller, context.replies)
    return Judge(name, rule, rubrics, keeper, repeats=context.judge_repeats, seed=context.seed)


class Judge:
    """Scores drawings of prompts that carry a rubric. Equal scores whatever the batch, for equal replies."""

    version = _VERSION
    needs: frozenset[Need] = frozenset({"rubric", "invalid"})
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = _BATCH_SIZE

    def __init__(
        self,
        judge: str,
        rule: JudgeRule,
        rubrics: Mapping[str, str],
        keeper: ReplyKeeper,
        *,
        repeats: int = 1,
        seed: int = 0,
    ) -> None:
        self.name = f"judge[{judge}]"
        self._rule = rule
        self._rubrics = rubrics
        self._keeper = keeper
        self._repeats = repeats
        self._seed = seed
        self._model = dict(keeper.caller.model.identity)
        self.columns = _columns(self.name, repeats)
        self.identity: Mapping[str, Json] = {
            "version": _VERSION,
            "judge": judge,
            "model": self._model,
            "rule": rule.model_dump(mode="json", exclude={"model", "rubrics"}),
            "rubric_hash": canonical_hash([dict(rubrics), rule.system, CLARIFY if rule.clarifying_retries else None]),
            "repeats": repeats,
            **({"seed": seed} if keeper.caller.model.seeds else {}),
        }

    async def score(self, batch: Sequence[Drawing]) -> list[Score | Failure]:
        """One answer per drawing.

        Raises:
            SgpbenchError: the judge cannot be used, or the budget is spent. What had been replied is kept.
        """
        answers = await asyncio.gather(*(self._one(drawing) for drawing in batch), return_exceptions=True)
        given: list[Score | Failure] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            given.append(answer)
        return given

    async def aclose(self) -> None:
        """Nothing to free: the judge's connections belong to whoever opened it."""

    async def _one(self, drawing: Drawing) -> Score | Failure:
        if drawing.outcome.is_ours:
            return Failure(Outcome.JUDGE_ERROR, f"{drawing.prompt.id} has no drawing yet: {drawing.outcome}.")
        if drawing.outcome is not Outcome.OK or drawing.rendering is None:
            return self._invalid(drawing)
        try:
            shown = await asyncio.to_thread(picture, drawing.rendering, self._rule.image)
        except TooLarge as error:
            _LOG.info("%s: %s; no judge can be shown it", drawing.prompt.id, error)
            return Score(self._named(zeros(drawing.prompt.rubric, with_parts=True)), {self.name: []})
        except OSError as error:
            return Failure(Outcome.SCORER_ERROR, f"{drawing.prompt.id}: {drawing.rendering} cannot be read: {error}.")
        return await self._judged(drawing.prompt, shown)

    def _invalid(self, drawing: Drawing) -> Score:
        """What a sample without a drawing counts as; it is never shown to the judge."""
        parsed = drawing.program is not None
        policy = self._rule.unrendered_parts if parsed else self._rule.unparsed_parts
        return Score(self._named(zeros(drawing.prompt.rubric, with_parts=policy == "zero")), {self.name: []})

    async def _judged(self, prompt: Prompt, shown: ImagePart) -> Score | Failure:
        asked = [(part, repeat) for repeat in range(self._repeats) for part in prompt.rubric]
        # Every part is waited for, also when one fails: what is in flight is paid for, and is kept.
        answers = await asyncio.gather(
            *(self._part(prompt, part, shown, repeat) for part, repeat in asked), return_exceptions=True
        )
        judged: list[_Judged] = []
        failed: list[Exception] = []
        for answer in answers:
            if isinstance(answer, _Judged):
                judged.append(answer)
            elif isinstance(answer, TransientError | _Unreadable):
                failed.append(answer)
            else:
                raise answer
        if failed:
            return Failure(Outcome.JUDGE_ERROR, f"{self.name} on {prompt.id}: {failed[0]}")
        return Score(self._values(prompt.rubric, judged), {self.name: [each.evidence for each in judged]})

    def _values(self, rubric: Sequence[RubricPart], judged: Sequence[_Judged]) -> dict[str, float]:
        rule, size = self._rule, len(rubric)
        repeats = []
        for start in range(0, len(judged), size):
            scores = {part.id: each.score for part, each in zip(rubric, judged[start : start + size], strict=True)}
            repeats.append(combine(rubric, scores, rule.numeracy_weights, rule.numeracy))
        values = mean_over_repeats(repeats)
        if self._repeats > 1:
            totals = [repeat[""] for repeat in repeats]
            values["range"] = max(totals) - min(totals)
        return self._named(values)

    def _named(self, values: Mapping[str, float]) -> dict[str, float]:
        return {f"{self.name}.{key}" if key else self.name: value for key, value in values.items()}

    async def _part(self, prompt: Prompt, part: RubricPart, shown: ImagePart, repeat: int) -> _Judged:
        """One part's score.

        Kept replies are read first. Where they hold no score although nothing is left to clarify, an earlier session
        gave up on them, and the whole conversation is held anew.
        """
        judged, all_found = await self._conversation(prompt, part, shown, repeat, anew=False)
        if judged is None and all_found:
            judged, _ = await self._conversation(prompt, part, shown, repeat, anew=True)
        if judged is None:
            raise _Unreadable(f"the reply about '{part.id}' holds no score.")
        return judged

    async def _conversation(
        self, prompt: Prompt, part: RubricPart, shown: ImagePart, repeat: int, *, anew: bool
    ) -> tuple[_Judged | None, bool]:
        """The score, or ``None`` where no reply held one; and whether all replies were found rather than paid for."""
        rule = self._rule
        words = fill(self._rubrics[part.rubric], part.values)
        seed = derived_seed(self._seed, prompt.id, part.id, repeat)
        replies: list[str] = []
        all_found = True
        for _ in range(rule.clarifying_retries + 1):
            request = judge_request(rule, words, shown, replies, seed=seed, prompt_id=prompt.id)
            digest = request_hash(request, self._model)
            kept = await self._keeper.reply(f"{prompt.id}/{part.id}/{repeat}/{digest}", request, anew=anew)
            all_found = all_found and kept.found
            score = read_reply(kept.text, rule.reading)
            if score is None and rule.unreadable == "error":
                replies.append(kept.text)
                continue
            evidence: dict[str, Json] = {
                "id": part.id,
                "repeat": repeat,
                "request": digest,
                "reply": kept.text,
                "score": score or 0,
                **({"unreadable": True} if score is None else {}),
                **({"unclear": list(replies)} if replies else {}),
            }
            return _Judged(score or 0, evidence), all_found
        return None, all_found


def _columns(name: str, repeats: int) -> tuple[Column, ...]:
    """The headline, the numeracy parts, and with repeats their range.

    The parts say nothing of binding and relation prompts, so samples without a drawing count in them only where the
    metric itself gives them a 0 (``omit``).
    """
    what = {
        "total": "numeracy: the total number of things is right",
        "items": "numeracy: all kinds of things are there",
        "count": "numeracy: each kind is there in the right number, mean over kinds",
    }
    columns = [Column(name, True, "a judge's score by rubric, 100/50/30/0 per part", 0.0, 100.0)]
    columns += [Column(f"{name}.{part}", True, what[part], 0.0, 100.0, "omit") for part in NUMERACY]
    if repeats > 1:
        words = f"highest minus lowest of {repeats} repeats"
        columns.append(Column(f"{name}.range", None, words, 0.0, 100.0, "omit"))
    return tuple(columns)
