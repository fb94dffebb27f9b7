"""What a run will ask and may cost, before it asks; and what it has cost already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgpbench.errors import StoreError
from sgpbench.metrics.registry import parse
from sgpbench.metrics.vqa_blip import BLIP_NAMES
from sgpbench.metrics.vqa_vlm import MOST_QUESTIONS
from sgpbench.models.interface import Price
from sgpbench.models.money import Ledger, cost_usd
from sgpbench.models.registry import resolve
from sgpbench.records import TextPart, Usage
from sgpbench.run.generate import pending_work
from sgpbench.run.options import RunOptions
from sgpbench.run.prepare import Planned
from sgpbench.run.store import RunView

__all__ = ["RunEstimate", "Spent", "estimate_runs", "spent_before"]

_CHARACTERS_PER_TOKEN = 4.0
_TYPICAL_OUTPUT = 1200
"""Output tokens of one drawing where nothing is known of the model yet."""
_JUDGE_INPUT = 950
"""Tokens of a rubric or of some questions, and of a picture; gpt-4o-mini alone counts several times as many for one."""
_JUDGE_OUTPUT = 120


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Of one run: what is still to be asked, with costs in US dollars (``None`` where the price is not known)."""

    label: str
    path: str
    prompts: int
    samples: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    basis: str
    """Where the output length comes from: this run, the model's other runs, or a typical drawing."""
    judge_requests: int
    judge_cost_usd: float | None


def _cost(price: Price | None, input_tokens: float, output_tokens: float) -> float | None:
    return None if price is None else cost_usd(Usage(round(input_tokens), round(output_tokens)), price)


def _history(planned: Planned) -> tuple[set[tuple[str, int]], dict[tuple[str, int], int]]:
    """(answered, tries) of what is stored already."""
    if not (planned.folder / "run.db").exists():
        return set(), {}
    view = RunView(planned.folder)
    try:
        return view.answered(), view.attempts()
    finally:
        view.close()


def _output_per_sample(planned: Planned) -> tuple[float, str]:
    """(output tokens of a sample, where that is known from)."""
    beside = planned.folder.parent
    others = sorted(path.parent for path in beside.glob("*/run.db") if path.parent != planned.folder)
    for folders, basis in (([planned.folder], "this run's mean"), (others, "the mean of this model's other runs")):
        samples = tokens = 0
        for folder in folders:
            try:
                view = RunView(folder)
            except StoreError:
                continue
            used = view.usage()
            view.close()
            if used["output_tokens"]:
                samples += used["samples"]
                tokens += used["output_tokens"]
        if samples:
            return tokens / samples, basis
    return _TYPICAL_OUTPUT, f"{_TYPICAL_OUTPUT} tokens a drawing, a guess"


def estimate_runs(planned: Sequence[Planned], options: RunOptions) -> list[RunEstimate]:
    """One estimate per run. Input lengths are counted from the prompts at four characters a token.

    Raises:
        BudgetError: there is a budget, and a price is not known. UsageError: there is no such judge.
    """
    return [_estimate(one, options) for one in planned]


def _estimate(planned: Planned, options: RunOptions) -> RunEstimate:
    ledger = Ledger(options.budget_usd)
    ledger.require_price(planned.model.name, planned.model.price)
    answered, attempts = _history(planned)
    prompts = [prompt for _, prompt in planned.plan.chosen]
    samples = planned.plan.samples
    requests = input_tokens = wanted = 0
    for todo in pending_work(prompts, samples, answered, attempts, planned.model.max_n):
        request = planned.plan.asking.request(planned.model, todo.prompt, todo.samples, todo.attempt)
        texts = [part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)]
        requests += 1
        wanted += len(todo.samples)
        input_tokens += round(sum(map(len, [*texts, request.text or ""])) / _CHARACTERS_PER_TOKEN)
    per_sample, basis = _output_per_sample(planned)
    output_tokens = round(wanted * per_sample)
    judge_requests, judge_cost = _judging(planned, options, ledger)
    return RunEstimate(
        label=planned.label,
        path=str(planned.folder),
        prompts=len(prompts),
        samples=samples,
        requests=requests,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=_cost(planned.model.price, input_tokens, output_tokens),
        basis=basis,
        judge_requests=judge_requests,
        judge_cost_usd=judge_cost,
    )


def _seeing_models(planned: Planned, options: RunOptions) -> list[tuple[str, int]]:
    """(model, requests of one sample of all chosen prompts) for each model that judges or answers questions."""
    plan = planned.plan
    prompts = [prompt for _, prompt in plan.chosen]
    asked = []
    for name, argument in map(parse, options.metrics if options.metrics is not None else plan.task.metrics):
        if name == "judge" and (options.judge is not None or options.metrics is not None):
            parts = sum(len(prompt.rubric) for prompt in prompts)
            asked.append(
                (argument or options.judge or plan.protocol.scoring.judge.model, parts * options.judge_repeats)
            )
        elif name == "vqa":
            answerer = argument or plan.protocol.scoring.vqa.answerer
            if answerer not in BLIP_NAMES:
                sheets = sum(math.ceil(len(prompt.questions) / MOST_QUESTIONS) for prompt in prompts)
                asked.append((answerer.removeprefix("vlm:"), sheets))
    return asked if "score" in options.stages else []


def _judging(planned: Planned, options: RunOptions, ledger: Ledger) -> tuple[int, float | None]:
    """(requests, cost) of judging and answering, were every drawing valid and none of it done yet."""
    requests = 0
    costs: list[float | None] = []
    for model, calls in _seeing_models(planned, options):
        calls *= planned.plan.samples
        price = resolve(model, options.judge_args).price
        ledger.require_price(model, price)
        requests += calls
        costs.append(_cost(price, calls * _JUDGE_INPUT, calls * _JUDGE_OUTPUT))
    known = [cost for cost in costs if cost is not None]
    return requests, sum(known) if len(known) == len(costs) else None


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars: paid, and at most paid for answers that never arrived."""

    usd: float = 0.0
    lost_usd: float = 0.0


def spent_before(planned: Sequence[Planned], options: RunOptions) -> Spent:
    """What these runs have cost so far, judging included (alone, where nothing is generated); 0 without a budget."""
    if options.budget_usd is None:
        return Spent()
    total = lost = 0.0
    for one in planned:
        if (one.folder / "run.db").exists():
            try:
                view = RunView(one.folder)
            except StoreError:
                continue
            used = view.usage()
            total += used["judge_cost_usd"] or 0.0
            if "generate" in options.stages:
                total += used["cost_usd"] or 0.0
            lost += float(view.setting("lost_usd") or 0.0)
            view.close()
    return Spent(total, lost)
