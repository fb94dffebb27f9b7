"""Several runs in one command: side by side where they use different endpoints, in turn where they share one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from sgpbench.errors import SgpbenchError
from sgpbench.metrics.shared import Shared
from sgpbench.models.calls import Caller
from sgpbench.models.interface import KeepsLog
from sgpbench.models.limiter import Limiters
from sgpbench.models.money import Ledger
from sgpbench.models.registry import open_model, resolve
from sgpbench.protocol import Protocol, Repair
from sgpbench.run.estimate import Spent
from sgpbench.run.log import RunLog
from sgpbench.run.options import RunOptions
from sgpbench.run.pipeline import Finished, NoReplies, Pipeline
from sgpbench.run.prepare import Planned, choose_metrics
from sgpbench.run.progress import RunProgress, report
from sgpbench.run.turns import NO_TURN, Turn, turns_on_device
from sgpbench.svg.sandbox import Sandbox
from sgpbench.system import available_cores
from sgpbench.terminal import say

__all__ = ["execute"]


class _Shared:
    """What the runs of one command share: limiters, the budget, rendering workers, judges."""

    def __init__(self, options: RunOptions, spent: Spent) -> None:
        self.options = options
        self.active: set[Pipeline] = set()
        self.limiters = Limiters()
        self.encoders = Shared()
        self.ledger = Ledger(options.budget_usd, spent.usd, spent.lost_usd)
        self.workers = options.workers or available_cores()
        self._sandboxes: dict[tuple[str, Repair], Sandbox] = {}
        self._judges: dict[str, Caller] = {}

    def sandbox(self, protocol: Protocol, repair: Repair) -> Sandbox:
        key = (protocol.scoring_hash, repair)
        if key not in self._sandboxes:
            self._sandboxes[key] = Sandbox(protocol.scoring.renderer, repair, workers=self.workers)
        return self._sandboxes[key]

    def judge(self, name: str) -> Caller:
        """A caller for a judge, opened once."""
        if name not in self._judges:
            try:
                spec = resolve(name, self.options.judge_args)
                model = open_model(replace(spec, concurrency=self.options.judge_connections or spec.concurrency))
            except SgpbenchError as error:
                error.remedy = error.remedy and error.remedy.replace("--model-arg", "--judge-arg")
                raise
            limiter = self.limiters.limiter_for(model.endpoint, model.concurrency)
            self._judges[name] = Caller(
                *(model, limiter),
                ledger=self.ledger,
                kind="judge",
                patience_s=self.options.patience_s,
                on_lost=self._lost_by_a_judge,
            )
        return self._judges[name]

    def _lost_by_a_judge(self, usd: float) -> None:
        # Runs share a judge; any of them may remember the money, since a budget is for all of a command.
        for pipeline in self.active:
            pipeline.lost(usd)
            return

    def stop(self) -> None:
        """Asks judges nothing more, and models nothing but what is in flight."""
        for caller in self._judges.values():
            caller.stop()
        for pipeline in self.active:
            pipeline.stop()

    async def aclose(self) -> None:
        for caller in self._judges.values():
            await caller.aclose()
        for sandbox in self._sandboxes.values():
            sandbox.close()


class _Interrupts:
    """The first Ctrl-C stops asking and lets what is in flight arrive; the second stops at once."""

    def __init__(self, first: Callable[[], None], second: Callable[[], None]) -> None:
        self._actions = [first, second]
        self.count = 0

    def __enter__(self) -> _Interrupts:
        loop = asyncio.get_running_loop()
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self._before:
            loop.add_signal_handler(number, self._act)
        return self

    def _act(self) -> None:
        self.count += 1
        if self.count == 1:
            say("Stopping: waiting for what is in flight. Press Ctrl-C again to stop at once.", err=True)
        if self.count <= len(self._actions):
            self._actions[self.count - 1]()

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._before.items():
            loop.remove_signal_handler(number)
            if callable(handler) or isinstance(handler, signal.Handlers):
                signal.signal(number, handler)


async def execute(
    planned: Sequence[Planned], options: RunOptions, *, spent: Spent | None = None
) -> tuple[list[Finished], bool]:
    """Runs everything planned; returns how each ended, in their order, and whether the user interrupted.

    Runs whose models share an endpoint or local compute go one after the other; others side by side. Those of one model
    on a GPU generate one after the other and are scored together, once the model has left it. ``spent`` is
    what the same runs have cost before; it counts against the budget. Of several runs, one that fails does not end the
    others.

    Raises:
        SgpbenchError: nothing was asked: a price, a judge or a metric that the command names cannot be had. Or the
            only run failed.
    """
    shared = _Shared(options, spent or Spent())
    lanes: dict[str, list[int]] = {}
    for index, one in enumerate(planned):
        lanes.setdefault(one.model.device or one.model.endpoint, []).append(index)
    progress = [RunProgress(one.label, len(one.plan.chosen) * one.plan.samples) for one in planned]
    results: dict[int, Finished] = {}
    stopping = False

    async def run(index: int, turn: Turn) -> None:
        one = planned[index]
        try:
            if stopping:
                results[index] = Finished(one.folder, one.identity, interrupted=True)
                return
            if isinstance(one.model, KeepsLog):
                one.model.keep_log(one.folder)
            with RunLog(one.folder) as log:
                results[index] = await _run_one(one, shared, progress[index], log, turn)
        except SgpbenchError as error:
            if len(planned) == 1:
                raise
            results[index] = Finished(one.folder, one.identity, error=error)
        finally:
            await turn.end()

    async def lane(indices: list[int]) -> None:
        for _, group in groupby(indices, key=lambda index: id(planned[index].model)):
            runs = list(group)
            model = planned[runs[0]].model
            if model.device == "gpu":
                try:
                    async with asyncio.TaskGroup() as together:
                        for index, turn in zip(runs, turns_on_device(model, len(runs)), strict=True):
                            together.create_task(run(index, turn))
                except BaseExceptionGroup as several:
                    raise several.exceptions[0] from None
            else:
                for index in runs:
                    await run(index, NO_TURN)

    def stop() -> None:
        nonlocal stopping
        stopping = True
        shared.stop()

    reporting = asyncio.create_task(report(progress))
    try:
        await _check(planned, shared)
        running = asyncio.gather(*(lane(indices) for indices in lanes.values()))
        with _Interrupts(stop, lambda: _cancel(running)) as interrupts:
            try:
                await running
            except asyncio.CancelledError:
                if not interrupts.count:
                    raise
        for index, one in enumerate(planned):
            results.setdefault(index, Finished(one.folder, one.identity, interrupted=True))
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        for model in {id(one.model): one.model for one in planned}.values():
            await model.aclose()
        await shared.aclose()
    return [results[index] for index in range(len(planned))], interrupts.count > 0


async def _check(planned: Sequence[Planned], shared: _Shared) -> None:
    """Looks for what the command names, so that a word that cannot be kept is an error before anything is asked."""
    options = shared.options
    if "generate" in options.stages:
        for one in planned:
            shared.ledger.require_price(one.model.name, one.model.price)
    if "score" not in options.stages or (options.metrics is None and options.judge is None):
        return
    if options.judge is not None:
        shared.judge(options.judge)
    for plan in {id(one.plan): one.plan for one in planned}.values():
        metrics, _ = await choose_metrics(
            plan, options, open_caller=shared.judge, replies=NoReplies(), shared=shared.encoders
        )
        for metric in metrics:
            await metric.aclose()


def _cancel(running: asyncio.Future[list[None]]) -> None:
    running.cancel()


async def _run_one(planned: Planned, shared: _Shared, progress: RunProgress, log: RunLog, turn: Turn) -> Finished:
    model = planned.model
    limiter = shared.limiters.limiter_for(model.endpoint, model.concurrency)
    pipeline = Pipeline(
        *(planned, shared.sandbox(planned.plan.protocol, planned.plan.asking.rule.repair), progress),
        open_caller=shared.judge,
        shared=shared.encoders,
        turn=turn,
        in_flight=shared.workers * 4,
    )
    if "generate" in planned.options.stages:
        pipeline.asks(
            Caller(
                *(model, limiter),
                ledger=shared.ledger,
                on_event=log.call,
                on_lost=pipeline.lost,
                patience_s=shared.options.patience_s,
            )
        )
    shared.active.add(pipeline)
    try:
        return await pipeline.run()
    finally:
        shared.active.discard(pipeline)
