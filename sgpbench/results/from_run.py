"""From a run's directory to the documents that are printed and published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from sgpbench.protocol import load_protocol
from sgpbench.records import Column, Json
from sgpbench.results.summary import RunHead, summarise
from sgpbench.run.identity import read_identity, read_sources
from sgpbench.run.status import run_status
from sgpbench.run.store import RunView
from sgpbench.run.table import (
    ScoredMetric,
    applicable_prompts,
    evidence_rows,
    prompt_table,
    sample_table,
    scored_metrics,
)
from sgpbench.tasks.registry import load_task

__all__ = ["run_document", "run_evidence"]


def run_document(folder: Path) -> dict[str, Json]:
    """What ``--json`` prints for a run.

    Raises:
        StoreError: the folder holds no run. PluginError, UsageError, ProtocolError: its task or protocol is gone.
    """
    identity = read_identity(folder)
    task_source, protocol_source = read_sources(folder)
    task, protocol = load_task(task_source), load_protocol(protocol_source)
    view = RunView(folder)
    try:
        status = run_status(view)
        metrics = scored_metrics(view)
        skipped = json.loads(view.setting("skipped") or "{}")
        shown = [metric for metric in metrics if metric.name not in skipped]
        document = summarise(
            sample_table(view, shown),
            task.aggregate(prompt_table(view)),
            _columns(shown),
            protocol.scoring.invalid,
            head=RunHead(
                *(identity.model, identity.task, identity.protocol, identity.split, status.status),
                path=str(folder),
                headline=task.headline,
            ),
            skipped={name: reason.replace("RUN", str(folder)) for name, reason in skipped.items()},
            applies=applicable_prompts(view, shown),
            last_valid=("vqa",) if protocol.scoring.vqa.samples == "last-valid" else (),
        )
        used = view.usage()
        document["usage"] = {
            name: used[name] for name in ("input_tokens", "output_tokens", "cost_usd", "judge_cost_usd")
        }
        if status.status == "incomplete":
            document["pending"] = {
                "completions": status.pending_completions,
                "renderings": status.pending_renderings,
                "scores": dict(status.pending_scores),
                "failures": dict(status.failures),
            }
        return document
    finally:
        view.close()


def _columns(metrics: list[ScoredMetric]) -> list[Column]:
    return [column for metric in metrics for column in metric.columns]


def run_evidence(folder: Path) -> Iterator[Mapping[str, object]]:
    """Evidence of a run, sample by sample, sorted by prompt id and sample."""
    view = RunView(folder)
    try:
        yield from evidence_rows(view, scored_metrics(view))
    finally:
        view.close()
