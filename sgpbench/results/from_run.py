"""From a run's directory to the documents that are printed and published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from sgpbench.errors import ResultError
from sgpbench.metrics.agreement import judge_agreement
from sgpbench.models.endpoints import is_other_model
from sgpbench.models.registry import find_entry, known_models
from sgpbench.protocol import load_protocol
from sgpbench.records import Column, Json
from sgpbench.results.counting import Kept
from sgpbench.results.export import build_result, export, scoring_columns
from sgpbench.results.schema import Execution, Identity, ScoringColumn
from sgpbench.results.summary import RunHead, summarise
from sgpbench.run.identity import RunIdentity, read_identity, read_sources
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

__all__ = ["export_run", "model_arguments", "run_document", "run_evidence"]

_FACTS = {"adapter", "batched", "api", "model", "recorded", "sampling", "version"}
_GIVEN = {"body", "headers", "query"}
_LONGEST_ARGUMENT = 40


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
            kept=Kept.under(protocol.scoring, task.name),
        )
        used = view.usage()
        document["usage"] = {
            name: used[name] for name in ("input_tokens", "output_tokens", "cost_usd", "judge_cost_usd")
        }
        if others := _other_models(view, identity):
            document["served_by_others"] = others
        if agreement := _agreement(view, shown):
            document["agreement"] = agreement
        if status.status == "incomplete":
            document["pending"] = {
                "completions": status.pending_completions,
                "renderings": status.pending_renderings,
                "scores": dict(status.pending_scores),
                "failures": dict(status.failures),
                "last_failures": dict(status.last_failures),
            }
        return document
    finally:
        view.close()


def export_run(folder: Path, out: Path, *, address: str | None = None) -> list[Path]:
    """Writes a run's result and evidence under ``out``; returns their paths, the result first.

    Raises:
        StoreError: the folder holds no run. ResultError: it cannot be published as it is.
    """
    identity = read_identity(folder)
    task_source, protocol_source = read_sources(folder)
    task, protocol = load_task(task_source), load_protocol(protocol_source)
    document = run_document(folder)
    document["skipped"] = {
        name: str(reason).replace(str(folder), "RUN") for name, reason in _object(document["skipped"]).items()
    }
    view = RunView(folder)
    try:
        if (scored_under := view.setting("scoring_hash")) != protocol.scoring_hash:
            raise ResultError(
                f"{folder} was scored under another version of the protocol '{protocol.name}' ({scored_under}).",
                remedy=f"Score it again: `sgpbench score {folder}`.",
            )
        metrics = [metric for metric in scored_metrics(view) if metric.name not in document_skipped(document)]
        kept = Kept.under(protocol.scoring, task.name)
        scoring: dict[str, ScoringColumn] = {}
        for metric in metrics:
            described = scoring_columns(*(metric.name, metric.identity, metric.columns, protocol.scoring), kept=kept)
            scoring.update(described)
        status = run_status(view)
        result = build_result(
            document,
            identity=Identity(
                model=identity.model,
                adapter=str(identity.model_identity.get("adapter") or identity.model.partition("/")[0]),
                model_args=model_arguments(identity.model, _object(identity.model_identity)),
                model_identity=_object(identity.model_identity),
                task=identity.task,
                task_version=identity.task_version,
                split=identity.split,
                protocol=identity.protocol,
                generation_hash=identity.generation_hash,
                scoring_hash=protocol.scoring_hash,
                seed=identity.seed,
                samples=status.samples,
                protocol_samples=status.protocol_samples,
            ),
            split_prompts=status.split_prompts,
            scoring=scoring,
            execution=_execution(view, document),
            headline=task.headline,
            model_info=_model_info(identity),
        )
        rows = evidence_rows(view, metrics)
        return export(result, rows, out, applies=applicable_prompts(view, metrics), address=address)
    finally:
        view.close()


def document_skipped(document: Mapping[str, Json]) -> Mapping[str, Json]:
    """Why metrics are missing from a run's document, by name."""
    skipped = document["skipped"]
    return skipped if isinstance(skipped, Mapping) else {}


def _object(value: Json) -> dict[str, JsonValue]:
    """A JSON object of its own, with plain lists and dicts."""
    plain: dict[str, JsonValue] = json.loads(json.dumps(value))
    return plain


def model_arguments(name: str, model_identity: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Of all that decides a model's answers, what the user set: neither facts of the model nor what the catalog gives.

    Sampling values stand by their own names. Long values (hashes of weights, templates) are facts.
    """
    entry = find_entry(name)
    usual = entry.args if entry else {}
    sampling = model_identity.get("sampling")
    arguments = dict(sampling) if isinstance(sampling, dict) else {}
    for key, value in model_identity.items():
        is_fact = (
            key in _FACTS or key.endswith("_hash") or (key not in _GIVEN and len(json.dumps(value)) > _LONGEST_ARGUMENT)
        )
        if not is_fact and usual.get(key) != str(value):
            arguments[key] = value
    return arguments


def _model_info(identity: RunIdentity) -> dict[str, Json]:
    """What the catalog says of a model; empty for one that is not in it.

    Who provides it is said only where it was asked there: what stands at another address, nobody but its owner knows.
    """
    entry = next((entry for entry in known_models() if entry.name == identity.model), None)
    if entry is None:
        return {}
    wanted = {"provider", "family", "weights", "parameters_b", "licence", "released", "title", "homepage", "footnote"}
    if "endpoint" in identity.model_identity:
        wanted -= {"provider", "weights", "licence"}
    info: dict[str, Json] = json.loads(entry.model_dump_json(include=wanted, exclude_none=True))
    return info


def _execution(view: RunView, document: Mapping[str, Json]) -> Execution:
    """What may differ between equal runs: dates, machine, versions, speed, cost."""
    sessions = view.sessions()
    last = dict(sessions[-1]) if sessions else {}
    latencies = view.latencies()
    usage = document["usage"] if isinstance(document["usage"], Mapping) else {}
    quantiles: dict[str, Json] = {}
    if latencies:
        quantiles = {
            f"p{share}": latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 95)
        }
    fields: dict[str, Json] = {
        "started": sessions[0].get("started") if sessions else None,
        "finished": last.get("ended"),
        "host": {name: last.get(name) for name in ("platform", "python", "cpus")},
        "versions": {"sgpbench": last.get("sgpbench"), **_object(last.get("packages", {}))},
        "commit": last.get("git_commit"),
        "command": _asked_by(sessions),
        "cost_usd": usage.get("cost_usd"),
        "judge_cost_usd": usage.get("judge_cost_usd"),
        "latency_s": quantiles or None,
        "seconds": round(sum(float(str(session.get("seconds") or 0)) for session in sessions), 1),
        "sandbox": last.get("sandbox"),
        "served_by": view.distinct("served_by"),
        "commands": list(dict.fromkeys(str(session["command"]) for session in sessions if session.get("command"))),
        "dropped": sorted({name for names in view.distinct("dropped") for name in json.loads(names)}),
    }
    if others := document.get("served_by_others"):
        fields["served_by_others"] = others
    return Execution.model_validate_json(json.dumps(fields))


def _other_models(view: RunView, identity: RunIdentity) -> list[str]:
    """The names that answers bear and that are not the model's that was asked for."""
    if "model" not in identity.model_identity:
        return []
    asked = {identity.model, *(value.split()[0] for value in _texts(identity.model_identity) if value.split())}
    return [name for name in view.distinct("served_by") if is_other_model(name, asked)]


def _texts(values: Mapping[str, Json]) -> list[str]:
    return [value for value in values.values() if isinstance(value, str)]


def _asked_by(sessions: Sequence[Mapping[str, Json]]) -> Json:
    """The command that makes the run: the last ``run``, whatever was scored again after it."""
    commands = [session.get("command") for session in sessions]
    runs = [command for command in commands if str(command).startswith("sgpbench run ")]
    return (runs or commands or [None])[-1]


def _agreement(view: RunView, metrics: list[ScoredMetric]) -> dict[str, Json]:
    """Of each judge that judged several times: how far it agrees with itself (Krippendorff's alpha)."""
    found: dict[str, Json] = {}
    for metric in metrics:
        if not any(column.name.endswith(".range") for column in metric.columns):
            continue
        lists = [json.loads(row["evidence"]).get(metric.name, []) for row in view.scores(metric.hash)]
        agreement = judge_agreement(lists)
        found[metric.name] = {
            "krippendorff_alpha": agreement.alpha,
            "units": agreement.units,
            "repeats": agreement.repeats,
            "level": agreement.level,
        }
    return found


def _columns(metrics: list[ScoredMetric]) -> list[Column]:
    return [column for metric in metrics for column in metric.columns]


def run_evidence(folder: Path) -> Iterator[Mapping[str, object]]:
    """Evidence of a run, sample by sample, sorted by prompt id and sample."""
    view = RunView(folder)
    try:
        yield from evidence_rows(view, scored_metrics(view))
    finally:
        view.close()
