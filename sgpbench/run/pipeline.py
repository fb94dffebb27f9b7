"""One run, from its plan to its scores: three stages side by side over one store."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgpbench.errors import BudgetReached, ModelUnavailable, SgpbenchError, StoreError
from sgpbench.metrics.interface import Metric
from sgpbench.metrics.shared import Shared
from sgpbench.models.calls import Caller
from sgpbench.records import Completion, Failure, Outcome, Prompt
from sgpbench.run.feed import Feed
from sgpbench.run.generate import Generator, pending_work
from sgpbench.run.identity import RunIdentity, read_identity, write_identity
from sgpbench.run.prepare import Planned, choose_metrics
from sgpbench.run.progress import RunProgress
from sgpbench.run.render import render_pending, renderer_hash
from sgpbench.run.score import Scorer
from sgpbench.run.session import session_record, utc_now
from sgpbench.run.status import finished_metrics
from sgpbench.run.store import RunStore
from sgpbench.run.turns import Turn
from sgpbench.svg.sandbox import Sandbox

__all__ = ["Finished", "NoReplies", "Pipeline", "StoredReplies"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """How one run ended."""

    folder: Path
    identity: RunIdentity
    skipped: dict[str, str] = field(default_factory=dict)
    error: SgpbenchError | None = None
    """Why it ended before its time, if it did (budget, a model that cannot be used, a full disk)."""
    interrupted: bool = False


class StoredReplies:
    """Judges' replies in the run's store; ``arrived`` is told of each new one."""

    def __init__(self, store: RunStore, judge: str | None, arrived: Callable[[Completion], None] | None = None) -> None:
        self._store = store
        self._arrived = arrived
        self._judge = judge or ""
        self._view = store.view()
        self._fresh: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The text of the newest reply under that key."""
        return self._fresh.get(key) or self._view.reply(key)

    def put(self, key: str, completion: Completion) -> None:
        """Queues a reply for the store; it is committed within milliseconds."""
        self._fresh[key] = completion.text
        if self._arrived:
            self._arrived(completion)
        stored = self._store.add_reply(key, self._judge, completion)
        stored.add_done_callback(lambda done: done.exception() or self._fresh.pop(key, None))

    def close(self) -> None:
        """Ends the reading connection."""
        self._view.close()


class NoReplies:
    """Holds no reply and keeps none: for metrics that are opened only to see whether they can be."""

    def get(self, key: str) -> str | None:
        """``None``."""

    def put(self, key: str, completion: Completion) -> None:
        """Raises ``SgpbenchError``: nothing is asked yet."""
        raise SgpbenchError(f"A reply to {key} came before anything was asked.")


class Pipeline:
    """Runs one planned run. ``open_caller`` opens a model by name for asking (a judge); ``turn`` says when ours may be."""

    def __init__(
        self,
        planned: Planned,
        sandbox: Sandbox,
        progress: RunProgress,
        *,
        open_caller: Callable[[str], Caller],
        shared: Shared,
        turn: Turn,
        in_flight: int,
    ) -> None:
        self._planned = planned
        self._caller: Caller | None = None
        self._sandbox = sandbox
        self._progress = progress
        self._open_caller = open_caller
        self._shared = shared
        self._turn = turn
        self._waited_s = 0.0
        self._in_flight = in_flight
        self._generator: Generator | None = None
        self._scorers: list[Scorer] = []
        self._stopping = False
        self._error: SgpbenchError | None = None
        self._store: RunStore | None = None
        self._lost_usd = 0.0

    def asks(self, caller: Caller) -> None:
        """Gives it the caller through which it generates; without one it only renders and scores."""
        self._caller = caller

    def lost(self, usd: float) -> None:
        """Remembers what an answer that never arrived may have cost, for the budget of a later start."""
        self._lost_usd += usd
        if self._store is not None:
            self._store.set("lost_usd", repr(self._lost_usd))

    def stop(self) -> None:
        """Asks nothing more; what is in flight is awaited and stored."""
        self._stopping = True
        if self._generator:
            self._generator.stop()
        for scorer in self._scorers:
            scorer.stop()

    async def run(self) -> Finished:
        """Does what is pending and returns how it ended.

        Raises:
            StoreError: the run's directory cannot be used at all.
            MetricUnavailable, UsageError: a metric asked for by name cannot be had.
        """
        planned = self._planned
        folder = planned.folder
        began = time.monotonic()
        store = RunStore(folder)
        metrics: list[Metric] = []
        skipped: dict[str, str] = {}
        replies = None
        try:
            self._claim(store)
            replies = StoredReplies(store, planned.options.judge, self._progress.judged)
            if "score" in planned.options.stages:
                metrics, skipped = await choose_metrics(
                    *(planned.plan, planned.options),
                    open_caller=self._open_caller,
                    replies=replies,
                    shared=self._shared,
                )
            store.add_prompts(planned.plan.chosen, planned.plan.samples).result()
            await self._record(store, metrics, skipped)
            await self._stages(store, metrics)
            seconds = round(time.monotonic() - began - self._waited_s, 1)
            store.end_session(self._session_number, self._session | {"ended": utc_now(), "seconds": seconds})
            for scorer in self._scorers:
                if scorer.stopped_by is not None:
                    self._error = self._error or scorer.stopped_by
        except (StoreError, ModelUnavailable, BudgetReached) as error:
            self._error = error
        finally:
            for metric in metrics:
                await metric.aclose()
            if replies:
                replies.close()
            self._store = None
            store.close()
            self._progress.finished = True
        return Finished(folder, planned.identity, skipped, self._error, self._stopping)

    def _claim(self, store: RunStore) -> None:
        """Checks that the folder holds this run."""
        planned = self._planned
        write_identity(store.folder, planned.identity, task=planned.plan.source, protocol=planned.options.protocol)
        stored = read_identity(store.folder)
        if stored.hash != planned.identity.hash:
            raise StoreError(
                f"{store.folder} holds another run ({stored.model} on {stored.task}, protocol {stored.protocol}).",
                remedy="Use another --runs-dir.",
            )
        view = store.view()
        self._lost_usd += float(view.setting("lost_usd") or 0.0)
        view.close()
        self._store = store

    async def _record(self, store: RunStore, metrics: Sequence[Metric], skipped: dict[str, str]) -> None:
        plan = self._planned.plan
        view = store.view()
        # What was asked for before and is not complete, such as a judge that was given up, is left out from now on.
        known = finished_metrics(view, renderer_hash(self._sandbox))
        view.close()
        self._scorers = [
            Scorer(
                *(store, metric, plan.prompts, renderer_hash(self._sandbox)),
                scored=lambda name, count: self._progress.scored.update({name: count}),
                failed=lambda name, _: self._progress.unscored.update({name: 1}),
            )
            for metric in metrics
        ]
        known.update({scorer.metric.name: scorer.hash for scorer in self._scorers})
        settings = {
            "renderer": renderer_hash(self._sandbox),
            "renderer_identity": json.dumps(self._sandbox.identity, sort_keys=True),
            "sandbox": self._sandbox.level,
            "split_prompts": str(len(plan.prompts)),
            "protocol_samples": str(plan.asking.rule.samples),
            "scoring_hash": plan.protocol.scoring_hash,
        }
        if self._scorers or skipped:
            settings |= {
                "metrics": json.dumps(known, sort_keys=True),
                "wanted_metrics": json.dumps(sorted(known)),
                "skipped": json.dumps(skipped, sort_keys=True),
            }
        for key, value in settings.items():
            store.set(key, value)
        self._session = session_record(self._planned.options, self._sandbox.level)
        self._session_number = store.add_session(self._session).result()

    async def _stages(self, store: RunStore, metrics: Sequence[Metric]) -> None:
        stages = self._planned.options.stages
        to_render, to_score = Feed(), [Feed() for _ in metrics]
        progress = self._progress

        def rendered_one(outcome: Outcome) -> None:
            progress.drawn(outcome)
            for feed in to_score:
                feed.more()

        async def generate() -> None:
            try:
                if "generate" in stages:
                    await self._wait(self._turn.begin())
                    await self._generate(store, to_render)
            finally:
                to_render.end()
                await self._turn.end()
            await self._wait(self._turn.free())

        async def render() -> None:
            try:
                if "render" in stages or "score" in stages:
                    await render_pending(
                        store, self._sandbox, to_render, in_flight=self._in_flight, rendered=rendered_one
                    )
            finally:
                for feed in to_score:
                    feed.end()

        async def score(scorer: Scorer, feed: Feed) -> None:
            await self._turn.free()
            await scorer.run(feed)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(generate())
                group.create_task(render())
                for scorer, feed in zip(self._scorers, to_score, strict=True):
                    group.create_task(score(scorer, feed))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _wait(self, turn: Awaitable[None]) -> None:
        """Waits for the other runs on the device; such time is none of this run's."""
        began = time.monotonic()
        await turn
        self._waited_s += time.monotonic() - began

    async def _generate(self, store: RunStore, to_render: Feed) -> None:
        planned, progress = self._planned, self._progress
        if self._caller is None or self._stopping:
            return
        prompts, samples = [prompt for _, prompt in planned.plan.chosen], planned.plan.samples
        view = store.view()
        answered, attempts = view.answered(), view.attempts()
        view.close()
        wanted = {(prompt.id, sample) for prompt in prompts for sample in range(samples)}
        progress.began(len(wanted), len(wanted & answered))

        def completed(completion: Completion, outcome: Outcome, final: bool) -> None:
            progress.completed(completion, outcome, final)
            if self._caller is not None:
                progress.retries = self._caller.stats.retries
            if final:
                to_render.more()

        def failed(_prompt: Prompt, _failure: Failure) -> None:
            progress.failed += 1

        self._generator = Generator(*(store, self._caller, planned.plan.asking), completed=completed, failed=failed)
        # Only what was chosen now, as --limit and --dry-run say; what an earlier start left waits for its own command.
        work = pending_work(prompts, samples, answered, attempts, self._caller.model.max_n)
        await self._generator.run(work)
        self._error = self._generator.budget_reached
