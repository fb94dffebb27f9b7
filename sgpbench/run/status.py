"""How far a run has come, and whether its numbers are final."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

from sgpbench.records import Outcome
from sgpbench.run.store import RunView, group_key
from sgpbench.run.table import scored_metrics

__all__ = ["RunStatus", "finished_metrics", "run_status"]

Status = Literal["complete", "incomplete", "partial"]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """``complete``: all prompts of the split, all samples, all chosen metrics. ``partial``: the same for some prompts or
    fewer samples than the protocol wants. ``incomplete``: something is still pending or failed through no fault of the model.
    """

    status: Status
    prompts: int
    split_prompts: int
    samples: int
    protocol_samples: int
    pending_completions: int
    pending_renderings: int
    pending_scores: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    """Outcome of ours → how many samples wait because of it."""
    last_failures: dict[str, str] = field(default_factory=dict)
    """The same outcomes → what was said the last time."""


def run_status(view: RunView) -> RunStatus:
    """The status of a run as it is stored."""
    samples = int(view.setting("samples") or 1)
    protocol_samples = int(view.setting("protocol_samples") or 1)
    split_prompts = int(view.setting("split_prompts") or 0)
    renderer = view.setting("renderer") or ""
    prompts = sum(1 for _ in view.prompts())
    answered = rendering = 0
    for row in view.light_rows(renderer):
        answered += 1
        if Outcome(row["extracted"]) is not Outcome.OK:
            continue
        if row["rendered"] is None or Outcome(row["rendered"]).is_ours:
            rendering += 1
    pending_scores = _pending_scores(view, renderer)
    current = _wanted(view)
    failed = [row for row in view.failures() if row["stage"] != "score" or row["metric"] in current.values()]
    failures = Counter(row["outcome"] for row in failed)
    last = {row["outcome"]: row["message"] for row in sorted(failed, key=itemgetter("last_at"))}
    missing = prompts * samples - answered
    unfinished = missing or rendering or any(pending_scores.values()) or failures
    status: Status = "incomplete" if unfinished else "complete"
    if status == "complete" and (prompts < split_prompts or samples < protocol_samples):
        status = "partial"
    return RunStatus(
        *(
            status,
            prompts,
            split_prompts,
            samples,
            protocol_samples,
            missing,
            rendering,
            pending_scores,
            dict(failures),
            last,
        )
    )


def finished_metrics(view: RunView, renderer: str) -> dict[str, str]:
    """Of the metrics a run has asked for, those that have scored all that is drawn: name → hash."""
    pending = _pending_scores(view, renderer)
    failed = {row["metric"] for row in view.failures("score")}
    return {name: digest for name, digest in _wanted(view).items() if name not in pending and digest not in failed}


def _wanted(view: RunView) -> dict[str, str]:
    """The metrics that the run's numbers are to have: name → hash."""
    names = set(json.loads(view.setting("wanted_metrics") or "[]"))
    hashes: dict[str, str] = json.loads(view.setting("metrics") or "{}")
    return {name: digest for name, digest in hashes.items() if name in names}


def _pending_scores(view: RunView, renderer: str) -> dict[str, int]:
    wanted = _wanted(view)
    pending = {}
    for metric in scored_metrics(view):
        if metric.name not in wanted:
            continue
        if metric.unit == "prompt":
            count = sum(
                not view.is_scored(metric.hash, prompt, group_key(keys))
                for prompt, keys in view.drawn(renderer).items()
            )
        else:
            count = view.unscored(metric.hash, renderer)
        if count:
            pending[metric.name] = count
    return pending
