"""The third stage: renderings to scores, in batches per metric, side by side with the stages before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sgpbench.errors import (
    BudgetReached,
    MetricUnavailable,
    ModelUnavailable,
    PluginError,
    SgpbenchError,
    Stopped,
    UnsupportedParameter,
)
from sgpbench.metrics.answers import checked_answers
from sgpbench.metrics.interface import Metric
from sgpbench.protocol import canonical_hash
from sgpbench.records import Drawing, Failure, Outcome, Prompt, Score
from sgpbench.run.feed import Feed
from sgpbench.run.pictures import pictures_hold
from sgpbench.run.store import RunStore, RunView, StoredSample, group_key, render_path, score_key, text_free_path

__all__ = ["Scorer", "applies", "metric_hash", "missing_reference"]

_LOG = logging.getLogger(__name__)
_IN_FLIGHT = 3
_NOT_APPLICABLE = Score({})


def metric_hash(metric: Metric) -> str:
    """Identity of all that decides a metric's values. 16 hex digits."""
    return canonical_hash([metric.name, metric.version, metric.identity])


def applies(metric: Metric, prompt: Prompt) -> bool:
    """Whether a prompt carries what the metric needs."""
    return metric.needs - {"invalid"} <= prompt.traits


def missing_reference(metric: Metric, prompts: Sequence[Prompt]) -> str | None:
    """The data set that a metric's references are to come from, if some of them are not here."""
    if "reference" not in metric.needs:
        return None
    return next((p.reference.missing for p in prompts if p.reference is not None and p.reference.missing), None)


@dataclass
class _Cursor:
    """How far a metric has come, and what it has under way."""

    row: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)


class Scorer:
    """Scores all drawings of a run by one metric, as they become ready.

    ``scored`` is called with the number of samples done, ``failed`` for each that could not be scored. ``stopped_by``
    holds why it gave up early (a judge that cannot be used, a budget that is spent), if it did.
    """

    def __init__(
        self,
        store: RunStore,
        metric: Metric,
        prompts: Mapping[str, Prompt],
        renderer: str,
        *,
        scored: Callable[[str, int], None],
        failed: Callable[[str, Failure], None],
    ) -> None:
        self.metric = metric
        self.hash = metric_hash(metric)
        self.stopped_by: SgpbenchError | None = None
        self._store = store
        self._prompts = prompts
        self._renderer = renderer
        self._scored = scored
        self._failed = failed
        self._stopping = False

    def stop(self) -> None:
        """Starts no further batch."""
        self._stopping = True

    async def run(self, feed: Feed) -> None:
        """Works until ``feed`` has ended and nothing is left.

        Raises:
            StoreError: scores cannot be stored.
        """
        metric = self.metric
        await asyncio.wrap_future(self._store.add_metric(self.hash, metric))
        view = self._store.view()
        try:
            if metric.unit == "prompt":
                await self._run_prompts(feed, view)
            else:
                await self._run_samples(feed, view)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            view.close()

    async def _run_samples(self, feed: Feed, view: RunView) -> None:
        cursor = _Cursor()
        places = asyncio.Semaphore(_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                last = feed.ended
                taken, drawings = self._next_batch(view, cursor)
                if drawings:
                    await places.acquire()
                    group.create_task(self._score_and_release(drawings, places))
                elif not taken:
                    if last:
                        break
                    await feed.wait()

    async def _score_and_release(self, drawings: list[Drawing], places: asyncio.Semaphore) -> None:
        try:
            await self._score(drawings)
        finally:
            places.release()

    def _next_batch(self, view: RunView, cursor: _Cursor) -> tuple[int, list[Drawing]]:
        """(samples passed, drawings to score): moves on to the first sample that is not rendered yet."""
        drawings: list[Drawing] = []
        taken = 0
        skipped: list[tuple[str, int, str, Score]] = []
        for stored in view.samples(self._renderer, after=cursor.row, limit=max(self.metric.batch_size, 64)):
            if stored.outcome is None or len(drawings) >= self.metric.batch_size:
                break
            key = score_key(stored.rendering, stored.outcome, parsed=stored.program is not None)
            prompt = self._prompts.get(stored.prompt_id)
            if self._waits_for_its_picture(view, stored, key, cursor):
                break
            cursor.row = stored.row
            taken += 1
            if prompt is None or (stored.outcome is not Outcome.OK and "invalid" not in self.metric.needs):
                continue
            if (prompt.id, key) in cursor.seen or view.is_scored(self.hash, prompt.id, key):
                self._scored(self.metric.name, 1)
                continue
            cursor.seen.add((prompt.id, key))
            if applies(self.metric, prompt):
                drawings.append(self._drawing(prompt, stored))
            else:
                skipped.append((prompt.id, stored.sample, key, _NOT_APPLICABLE))
        if skipped:
            self._store.add_scores(self.hash, skipped)
        return taken, drawings

    def _waits_for_its_picture(self, view: RunView, stored: StoredSample, key: str, cursor: _Cursor) -> bool:
        """Whether a drawing that is to be scored is not on the disk as it was drawn; then it is drawn again first."""
        if stored.outcome is not Outcome.OK or (stored.prompt_id, key) in cursor.seen:
            return False
        return not view.is_scored(self.hash, stored.prompt_id, key) and not pictures_hold(view, key)

    async def _run_prompts(self, feed: Feed, view: RunView) -> None:
        """For metrics of whole prompts: waits for all samples, then scores prompt by prompt."""
        while not feed.ended:
            await feed.wait()
        groups: dict[str, list[StoredSample]] = {}
        for stored in view.samples(self._renderer):
            if stored.outcome is Outcome.OK and stored.prompt_id in self._prompts:
                groups.setdefault(stored.prompt_id, []).append(stored)
        for prompt_id, members in groups.items():
            if self._stopping:
                return
            members.sort(key=lambda stored: stored.sample)
            prompt = self._prompts[prompt_id]
            key = group_key(str(stored.rendering) for stored in members)
            if view.is_scored(self.hash, prompt_id, key):
                self._scored(self.metric.name, 1)
                continue
            if not all(pictures_hold(view, str(stored.rendering)) for stored in members):
                continue
            if not applies(self.metric, prompt):
                self._store.add_scores(self.hash, [(prompt_id, members[0].sample, key, _NOT_APPLICABLE)])
                continue
            await self._score([self._drawing(prompt, stored) for stored in members], group_key=key)

    def _drawing(self, prompt: Prompt, stored: StoredSample) -> Drawing:
        folder, key = self._store.folder, stored.rendering
        valid = stored.outcome is Outcome.OK and key is not None
        return Drawing(
            prompt=prompt,
            sample=stored.sample,
            outcome=stored.outcome or Outcome.SCORER_ERROR,
            program=stored.program,
            rendering=render_path(folder, key) if valid and key else None,
            rendering_hash=key if valid else None,
            flags=stored.flags,
            rendering_without_text=text_free_path(folder, key) if valid and key and stored.text_free else None,
            structure=stored.structure,
        )

    async def _score(self, drawings: list[Drawing], group_key: str | None = None) -> None:
        wanted = 1 if group_key else len(drawings)
        try:
            answers = checked_answers(self.metric, await self.metric.score(drawings), wanted)
        except Stopped:
            self.stop()
            return
        except (BudgetReached, ModelUnavailable, MetricUnavailable, UnsupportedParameter) as error:
            self.stopped_by = self.stopped_by or error
            self.stop()
            return
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not become a score nor end the run
            _LOG.warning("%s could not score a batch: %s: %s", self.metric.name, type(error).__name__, error)
            said = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            answers = [Failure(Outcome.SCORER_ERROR, said)] * wanted
        good: list[tuple[str, int, str, Score]] = []
        for drawing, answer in zip(drawings, answers, strict=False):
            parsed = drawing.program is not None
            key = group_key or score_key(drawing.rendering_hash, drawing.outcome, parsed=parsed)
            if isinstance(answer, Failure):
                stored = self._store.add_failure("score", self.hash, drawing.prompt.id, drawing.sample, answer)
                await asyncio.wrap_future(stored)
                self._failed(self.metric.name, answer)
            else:
                good.append((drawing.prompt.id, drawing.sample, key, answer))
        await asyncio.wrap_future(self._store.add_scores(self.hash, good))
        self._scored(self.metric.name, len(good))
