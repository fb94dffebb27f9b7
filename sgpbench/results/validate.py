"""Checks of published results that a machine can make before a person looks."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sgpbench.errors import DataError, PluginError, ResultError, SgpbenchError, UsageError
from sgpbench.protocol import load_protocol, protocol_names
from sgpbench.records import HARNESS_OUTCOMES, Flag, Outcome, Prompt
from sgpbench.results.evidence import LARGEST_IN_GIT, counting_of_result
from sgpbench.results.moments import moment_of
from sgpbench.results.naming import EVIDENCE_SUFFIX, result_path
from sgpbench.results.schema import Metric, Number, Result, canonical_json, parse_result
from sgpbench.results.scores import counted_samples, light_evidence, slices_of
from sgpbench.results.summary import Layout, numbers

if TYPE_CHECKING:
    import pandas as pd

    from sgpbench.tasks.interface import DataFolders

__all__ = ["Checked", "Problem", "result_files", "validate", "validate_result"]

_NOT_RESULTS = {"reported", "schema"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of one file."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked, and what was found."""

    results: int
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    """What could not be checked here, and why."""


def result_files(paths: Iterable[Path]) -> list[Path]:
    """The result files that paths name: files as they are, folders with all below them, without repeats, sorted.

    ``reported/`` and ``schema/`` hold no results of ours.

    Raises:
        UsageError: a path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            below = (file for file in path.rglob("*.json") if file.is_file())
            found.update(f for f in below if not _NOT_RESULTS & {path.name, *f.relative_to(path).parts[:-1]})
        elif path.is_file():
            found.add(_result_of_evidence(path))
        else:
            raise UsageError(f"There is no file or folder {path}.")
    return sorted(found)


def _result_of_evidence(path: Path) -> Path:
    """A result's own path, given it or its evidence."""
    if path.name.endswith(EVIDENCE_SUFFIX):
        return path.with_name(path.name.removesuffix(EVIDENCE_SUFFIX) + ".json")
    return path


def validate(paths: Iterable[Path], *, data: DataFolders | None = None) -> Checked:
    """Checks all results under ``paths``. With ``data``, prompts are compared with the task's own.

    Raises:
        UsageError: a path does not exist, or there is no result under any.
    """
    given = list(paths)
    files = result_files(given)
    orphans = [
        Problem(evidence, "evidence without a result")
        for path in given
        if path.is_dir()
        for evidence in sorted(path.rglob(f"*{EVIDENCE_SUFFIX}"))
        if not _result_of_evidence(evidence).is_file()
    ]
    if not files and not orphans:
        raise UsageError(f"There is no result under {', '.join(map(str, given))}.")
    problems, notes = list(orphans), []
    for path in files:
        wrong, unchecked = validate_result(path, data=data)
        problems += [Problem(path, message) for message in wrong]
        notes += [Problem(path, message) for message in unchecked]
    return Checked(len(files), tuple(problems), tuple(notes))


def validate_result(path: Path, *, data: DataFolders | None = None) -> tuple[list[str], list[str]]:
    """What is wrong with a result, and what could not be checked."""
    if path.is_symlink():
        return ["is a symbolic link"], []
    try:
        text = path.read_bytes()
        result = parse_result(text, path.name)
    except OSError as error:
        return [f"cannot be read: {error.strerror}"], []
    except ResultError as error:
        return [str(error).removeprefix(f"{path.name}: ")], []
    problems = [*_name_problems(path, result, text), *_hash_problems(result)]
    wrong, notes = _evidence_problems(path, result, data)
    return problems + wrong, notes


def _name_problems(path: Path, result: Result, text: bytes) -> Iterator[str]:
    expected = result_path(result.identity)
    if path.resolve().parts[-len(expected.parts) :] != expected.parts:
        yield f"by its identity it belongs at {expected}"
    if canonical_json(result) != text:
        yield "is not in canonical form; export it again"
    for name, moment in (("started", result.execution.started), ("finished", result.execution.finished)):
        if moment is not None and moment_of(moment) is None:
            yield f"execution.{name} is no date of our time: {moment[:40]!r}"


def _hash_problems(result: Result) -> Iterator[str]:
    """Whether task, protocol and metric versions are those that this sgpbench knows."""
    from sgpbench.tasks.registry import load_task_info

    identity = result.identity
    try:
        task = load_task_info(identity.task)
    except (UsageError, PluginError) as error:
        yield str(error)
    else:
        if task.version != identity.task_version:
            yield f"is of version {identity.task_version} of the task {identity.task}; known is {task.version}"
        if identity.split not in task.splits:
            yield f"the task {identity.task} has no split '{identity.split}'"
        if result.headline != task.headline:
            yield f"the headline of {identity.task} is {task.headline}, not {result.headline}"
    if identity.protocol not in protocol_names():
        yield f"the protocol '{identity.protocol}' is not known"
        return
    protocol = load_protocol(identity.protocol)
    rule = protocol.generation.rule(identity.task)
    if identity.generation_hash != protocol.generation_hash(identity.task):
        yield f"its generation hash is not that of {protocol.name}"
    elif identity.protocol_samples != rule.samples:
        yield f"{protocol.name} asks for {rule.samples} samples per prompt, not {identity.protocol_samples}"
    if identity.scoring_hash != protocol.scoring_hash:
        yield f"its scoring hash is not that of {protocol.name}"
        return
    for name, column in result.scoring.items():
        pinned = protocol.scoring.metrics.get(column.metric.split("[")[0])
        if pinned is not None and pinned != column.version:
            yield f"column {name}: version {column.version} of the metric; {protocol.name} pins {pinned}"


def _evidence_problems(path: Path, result: Result, data: DataFolders | None) -> tuple[list[str], list[str]]:
    evidence = result.evidence
    if evidence is None:
        return ["has no evidence"], []
    file = path.with_name(evidence.file)
    expected = path.name.removesuffix(".json") + EVIDENCE_SUFFIX
    if evidence.file != expected:
        return [f"its evidence should be called {expected}"], []
    if evidence.bytes > LARGEST_IN_GIT and evidence.address is None:
        wrong = [f"its evidence has {evidence.bytes / 1e6:.1f} MB: put it elsewhere and export with its address"]
    else:
        wrong = []
    if file.is_symlink():
        return [*wrong, f"its evidence {file.name} is a symbolic link"], []
    if not file.is_file():
        if evidence.address is None:
            return [*wrong, f"its evidence {file.name} is missing"], []
        here = f"its evidence is at {evidence.address} and not here, so that the result is unchecked; put it beside"
        return [*wrong, here], []
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != evidence.sha256 or file.stat().st_size != evidence.bytes:
        return [*wrong, f"its evidence {file.name} is not the file it was made with (sha256 {digest})"], []
    try:
        table = light_evidence(path, result)
    except ResultError as error:
        return [*wrong, str(error)], []
    wrong += _table_problems(result, table)
    if wrong:
        return wrong, []
    wrong += _number_problems(result, table)
    missing, notes = _prompt_problems(result, table, data)
    return wrong + missing, notes


def _table_problems(result: Result, table: pd.DataFrame) -> Iterator[str]:
    """Order, counts and ranges of the samples in evidence."""
    places = list(zip(table["prompt_id"], table["sample"], strict=True))
    if any(after <= before for before, after in itertools.pairwise(places)):
        yield "its evidence is not sorted by prompt id and sample, or repeats one"
    if result.evidence is not None and len(table) != result.evidence.rows:
        yield f"its evidence has {len(table)} rows, not {result.evidence.rows}"
    if not table["sample"].between(0, result.identity.samples - 1).all():
        yield f"its evidence has samples outside 0 to {result.identity.samples - 1}"
    if (table.groupby("prompt_id")[["category", "cluster"]].nunique() > 1).any(axis=None):
        yield "its evidence puts one prompt into two categories or clusters"
    known = {str(outcome) for outcome in Outcome} - {str(outcome) for outcome in HARNESS_OUTCOMES}
    if strange := sorted(set(table["outcome"]) - known):
        yield f"its evidence has the outcome {', '.join(strange)}"
    yield from _count_problems("outcomes", result.outcomes, Counter(table["outcome"]))
    yield from _count_problems("flags", result.flags, Counter(flag for flags in table["flags"] for flag in flags))
    if result.status == "complete" and table["prompt_id"].nunique() != result.prompts:
        yield f"its evidence has {table['prompt_id'].nunique()} prompts, not {result.prompts}"
    for name, column in result.scoring.items():
        values = table[f"score.{name}"].to_numpy(float)
        values = values[~np.isnan(values)]
        slack = 1e-6 * max(1.0, abs(column.high or 0.0), abs(column.low or 0.0))
        below = column.low is not None and values.size and values.min() < column.low - slack
        above = column.high is not None and values.size and values.max() > column.high + slack
        if below or above or not np.isfinite(values).all():
            yield f"column {name} has scores outside {column.low} to {column.high}"


def _count_problems(
    what: str, said: Mapping[Outcome, int] | Mapping[Flag, int], found: Mapping[str, int]
) -> Iterator[str]:
    ours = {str(outcome) for outcome in HARNESS_OUTCOMES}
    stated = {str(name): number for name, number in said.items() if number and str(name) not in ours}
    if stated != dict(found):
        yield f"its {what} are {_listed(stated)}, but those of its evidence {_listed(found)}"


def _listed(numbers_by_name: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(numbers_by_name.items())) or "none"


def _number_problems(result: Result, table: pd.DataFrame) -> list[str]:
    """Where the published numbers are not those that the evidence gives."""
    prompts = table.drop_duplicates("prompt_id")[["prompt_id", "category", "cluster"]]
    layout = Layout.of(table)
    scoring = {name: column for name, column in result.scoring.items() if name not in result.unfinished}
    countings = [counting_of_result(name, column) for name, column in scoring.items()]
    counted = counted_samples(table, scoring, layout)
    found = numbers(layout, slices_of(result.identity.task, prompts), countings, list(counted.values()))
    again = {name: Metric.model_validate(number) for name, number in found.items()}
    problems = []
    if missing := sorted(set(again) ^ set(result.metrics)):
        problems.append(f"numbers and evidence do not have the same columns: {', '.join(missing)}")
    for name in sorted(set(again) & set(result.metrics)):
        said, computed = result.metrics[name], again[name]
        problems += _differences(name, said, computed)
        for kind in ("categories", "variants"):
            ours, theirs = getattr(said, kind), getattr(computed, kind)
            if set(ours) != set(theirs):
                problems.append(f"column {name}: its {kind} are {sorted(ours)}, by the evidence {sorted(theirs)}")
            for part in sorted(set(ours) & set(theirs)):
                problems += _differences(f"{name}, {part}", ours[part], theirs[part])
    return problems


def _differences(what: str, said: Number, computed: Number) -> Iterator[str]:
    """Means must agree to 6 digits; interval ends to 2 % of its width, since the last bits of sums depend on machines."""
    pairs: list[tuple[str, float, float, float]] = [("mean", said.mean, computed.mean, 0.0)]
    if (said.ci95 is None) != (computed.ci95 is None):
        yield f"column {what}: ci95 is {said.ci95}, by the evidence {computed.ci95}"
    elif said.ci95 is not None and computed.ci95 is not None:
        slack = 0.02 * (computed.ci95[1] - computed.ci95[0])
        pairs += [(f"ci95[{end}]", said.ci95[end], computed.ci95[end], slack) for end in (0, 1)]
    if said.valid_only is not None and computed.valid_only is not None:
        pairs.append(("valid_only", said.valid_only.mean, computed.valid_only.mean, 0.0))
    for label, stated, found, slack in pairs:
        if not math.isclose(stated, found, rel_tol=1e-6, abs_tol=1e-9 + slack):
            yield f"column {what}: {label} is {stated}, by the evidence {found}"
    if (said.n, said.clusters) != (computed.n, computed.clusters):
        yield (
            f"column {what}: {said.n} prompts in {said.clusters} clusters, "
            f"by the evidence {computed.n} in {computed.clusters}"
        )


def _prompt_problems(result: Result, table: pd.DataFrame, data: DataFolders | None) -> tuple[list[str], list[str]]:
    """Whether the prompts are the task's, with their categories and clusters."""
    if data is None:
        return [], []
    from sgpbench.tasks.registry import load_task

    identity = result.identity
    try:
        known = {p.id: p for p in load_task(identity.task).prompts(data, identity.split, identity.seed)}
    except DataError as error:
        return [], [f"its prompts were not compared with the task's: {error}"]
    except SgpbenchError as error:
        return [str(error)], []
    problems = []
    if len(known) != result.split_prompts:
        problems.append(f"the split has {len(known)} prompts, not {result.split_prompts}")
    prompts = table.drop_duplicates("prompt_id")
    triples = zip(prompts["prompt_id"], prompts["category"], prompts["cluster"], strict=True)
    wrong = [i for i, category, cluster in triples if i not in known or _traits(known[i]) != (category, cluster)]
    if wrong:
        problems.append(f"{len(wrong)} prompts are not the task's own, {wrong[0]} among them")
    return problems, []


def _traits(prompt: Prompt) -> tuple[str, str]:
    return prompt.category, prompt.cluster
