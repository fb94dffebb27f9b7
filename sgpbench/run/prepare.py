"""Everything about a run that can go wrong before a model is asked anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgpbench.data.store import DataStore
from sgpbench.data.templates import resolve as resolve_template
from sgpbench.errors import (
    MetricUnavailable,
    ModelUnavailable,
    ProtocolError,
    SgpbenchError,
    UsageError,
    unknown_name,
)
from sgpbench.metrics.interface import Metric, MetricContext, ReplyStore
from sgpbench.metrics.registry import open_metric
from sgpbench.metrics.shared import Shared
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency, Model, Price, ServedElsewhere
from sgpbench.models.registry import open_model, resolve
from sgpbench.paths import cache_dir, data_dirs
from sgpbench.protocol import Protocol, load_protocol
from sgpbench.records import Completion, Prompt, Request
from sgpbench.run.generate import Asking
from sgpbench.run.identity import RunIdentity, read_identity, read_sources, run_folder
from sgpbench.run.options import RunOptions
from sgpbench.run.score import missing_reference
from sgpbench.run.store import RunView
from sgpbench.tasks.interface import Task
from sgpbench.tasks.registry import load_task
from sgpbench.tasks.selection import select

__all__ = ["Planned", "TaskPlan", "choose_metrics", "plan_runs", "plan_stored_run", "plan_task"]


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task under a protocol: its prompts, those chosen among them, and how they are put to a model."""

    task: Task
    protocol: Protocol
    split: str
    seed: int
    asking: Asking
    prompts: Mapping[str, Prompt]
    """All prompts of the split by id, in the published order."""
    chosen: tuple[tuple[int, Prompt], ...]
    """Those asked for, each with its place in that order."""
    samples: int
    data: DataStore
    source: str
    """The task as it was asked for: a name, or a path."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One model × task, ready to be run."""

    plan: TaskPlan
    model: Model
    identity: RunIdentity
    folder: Path
    options: RunOptions

    @property
    def label(self) -> str:
        """``model × task`` for people."""
        return f"{self.identity.model} × {self.identity.task}"


def plan_task(name: str, options: RunOptions) -> TaskPlan:
    """Loads a task's data and chooses prompts.

    Raises:
        UsageError, DataError, PluginError, ProtocolError: with the remedy.
    """
    protocol = load_protocol(options.protocol)
    task = load_task(name)
    split = options.split or task.splits[0]
    if split not in task.splits:
        raise UsageError(f"The task '{task.name}' has no split '{split}'.", remedy=f"It has {', '.join(task.splits)}.")
    data = DataStore(data_dirs(options.data_dir))
    prompts = {prompt.id: prompt for prompt in task.prompts(data, split, options.seed)}
    rule = protocol.generation.rule(task.name)
    asking = Asking(
        rule=rule,
        template=resolve_template(rule.template, data),
        chat_template=resolve_template(rule.chat.template, data) if rule.chat else None,
        seed=options.seed,
    )
    place = {prompt_id: position for position, prompt_id in enumerate(prompts)}
    picked = _pick(prompts, options, task.name)
    chosen = tuple(sorted(((place[prompt.id], prompt) for prompt in picked), key=lambda pair: pair[0]))
    asking.check(picked)
    samples = options.samples or rule.samples
    return TaskPlan(task, protocol, split, options.seed, asking, prompts, chosen, samples, data, name)


def _pick(prompts: Mapping[str, Prompt], options: RunOptions, task: str) -> list[Prompt]:
    candidates = list(prompts.values())
    if options.prompt_ids is not None:
        for prompt_id in options.prompt_ids:
            if prompt_id not in prompts:
                raise unknown_name("prompt", prompt_id, prompts, listing=f"sgpbench tasks show {task}")
        wanted = set(options.prompt_ids)
        candidates = [prompt for prompt in candidates if prompt.id in wanted]
    if options.limit is not None:
        candidates = select(candidates, options.limit, options.seed)
    return candidates


def plan_runs(name: str, plans: Sequence[TaskPlan], options: RunOptions) -> list[Planned]:
    """One run per plan, of a model that is opened once; no request is made yet.

    Raises:
        UsageError, ModelUnavailable: unknown, or not usable here.
    """
    spec = resolve(name, options.model_args)
    if options.max_connections is not None:
        spec = dataclasses.replace(spec, concurrency=options.max_connections)
    spec = dataclasses.replace(spec, data_dir=options.data_dir, looked_at=options.dry_run)
    model = open_model(spec)
    return [_planned(plan, model, options) for plan in plans]


def _planned(plan: TaskPlan, model: Model, options: RunOptions) -> Planned:
    endpoint = model.other_endpoint if isinstance(model, ServedElsewhere) else None
    identity = RunIdentity(
        model=model.name,
        model_identity={**model.identity, **({"endpoint": endpoint} if endpoint else {})},
        task=plan.task.name,
        task_version=plan.task.version,
        split=plan.split,
        protocol=plan.protocol.name,
        generation_hash=plan.protocol.generation_hash(plan.task.name),
        seed=plan.seed,
    )
    return Planned(plan, model, identity, run_folder(options.runs_dir, identity), options)


class StoredModel:
    """Stands for the model of a run that is only scored again; it answers nothing."""

    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages"})
    sees = False
    max_n = 1
    seeds = False
    concurrency = Concurrency(1, 1)
    price: Price | None = None
    device: str | None = None

    def __init__(self, identity: RunIdentity) -> None:
        self.name = identity.model
        self.endpoint = f"stored {identity.model}"
        self.identity = identity.model_identity

    async def generate(self, request: Request) -> Sequence[Completion]:
        """Raises ``ModelUnavailable``."""
        raise ModelUnavailable(f"{self.name} is not asked when a run is scored.")

    async def aclose(self) -> None:
        """Nothing to end."""


def plan_stored_run(folder: Path, options: RunOptions) -> Planned:
    """An existing run, to be scored again.

    Raises:
        StoreError: there is no run in that folder. ProtocolError: its protocol has changed since. DataError, PluginError.
    """
    identity = read_identity(folder)
    task, protocol = read_sources(folder)
    options = dataclasses.replace(options, protocol=protocol, split=identity.split, seed=identity.seed)
    view = RunView(folder)
    asked = {row["id"] for row in view.prompts()}
    samples = int(view.setting("samples") or 1)
    view.close()
    plan = plan_task(task, dataclasses.replace(options, samples=samples))
    if plan.protocol.generation_hash(plan.task.name) != identity.generation_hash:
        raise ProtocolError(
            f"{folder} was made under another version of the protocol '{identity.protocol}' "
            f"(generation {identity.generation_hash}, now {plan.protocol.generation_hash(plan.task.name)}).",
            remedy="Score it with the sgpbench that made it, or run the model again.",
        )
    if plan.task.version != identity.task_version:
        raise ProtocolError(
            f"{folder} was made with version {identity.task_version} of '{identity.task}', now {plan.task.version}.",
            remedy="Score it with the sgpbench that made it, or run the model again.",
        )
    chosen = tuple(pair for pair in plan.chosen if pair[1].id in asked)
    return Planned(dataclasses.replace(plan, chosen=chosen), StoredModel(identity), identity, folder, options)


async def choose_metrics(
    plan: TaskPlan,
    options: RunOptions,
    *,
    open_caller: Callable[[str], Caller],
    replies: ReplyStore,
    shared: Shared,
) -> tuple[list[Metric], dict[str, str]]:
    """The metrics to score with, and of those under ``auto`` that cannot be had here, the reason and remedy.

    Raises:
        MetricUnavailable, UsageError, ProtocolError: a metric or judge that was asked for by name cannot be had.
    """
    context = MetricContext(
        argument=None,
        protocol=plan.protocol,
        cache_dir=cache_dir(),
        device=options.device,
        seed=options.seed,
        judge=options.judge,
        judge_repeats=options.judge_repeats,
        open_caller=open_caller,
        data=plan.data,
        replies=replies,
        prompts=tuple(plan.prompts.values()),
        shared=shared,
    )
    metrics: list[Metric] = []
    skipped: dict[str, str] = {}
    by_name = options.metrics is not None
    try:
        for name in options.metrics if options.metrics is not None else plan.task.metrics:
            if name == "judge" and options.judge is None and not by_name:
                skipped["judge"] = "Not judged. Judge it with `sgpbench score RUN --judge MODEL`."
                continue
            try:
                metric = open_metric(name, context)
                metrics.append(metric)
                if dataset := missing_reference(metric, [prompt for _, prompt in plan.chosen]):
                    metrics.pop()
                    await metric.aclose()
                    raise MetricUnavailable(
                        f"{name} compares with references that are not here.",
                        remedy=f"Run `sgpbench data fetch {dataset}`.",
                    )
            except MetricUnavailable as error:
                if by_name or (name == "judge" and options.judge is not None):
                    raise
                skipped[name] = str(error)
    except SgpbenchError:
        for metric in metrics:
            await metric.aclose()
        raise
    return metrics, skipped
