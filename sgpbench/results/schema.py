"""The published result: one JSON file per model, task and protocol, as pydantic models and as a JSON Schema file.

A result is checked against these models when it is written and when it is read; ``results/schema/result-v1.json`` is the
same as a JSON Schema for others. A reader accepts every older version: ``_MIGRATIONS`` lifts a document from one version
to the next until it is current. What may differ between two equal runs stands under ``execution`` and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from sgpbench.errors import ResultError
from sgpbench.protocol import canonical_hash
from sgpbench.records import HARNESS_OUTCOMES, Flag, Outcome

__all__ = [
    "SCHEMA_VERSION",
    "Evidence",
    "Execution",
    "Identity",
    "Metric",
    "Number",
    "Result",
    "ScoringColumn",
    "Verification",
    "canonical_json",
    "column_key",
    "json_schema",
    "parse_result",
    "rankable",
    "read_result",
    "unrankable_reasons",
]

SCHEMA_VERSION = 1
Hash: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Line: TypeAlias = Annotated[str, Field(min_length=1, max_length=10_000)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Identity(_Frozen):
    """What the result is of: everything that decides the model's answers, and how they were scored."""

    model: Line
    """The catalog name, or adapter/model-id."""
    adapter: Line
    model_args: dict[str, JsonValue]
    """Every argument the user set that changes the model's answers."""
    model_identity: dict[str, JsonValue] = {}
    """All that decides the model's answers as its adapter states it (weights, quantisation, chat template ...)."""
    task: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    task_version: Annotated[int, Field(ge=1)]
    split: Line
    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    generation_hash: Hash
    scoring_hash: Hash
    seed: int
    samples: Annotated[int, Field(ge=1)]
    """Samples per prompt."""
    protocol_samples: Annotated[int, Field(ge=1)]
    """Samples per prompt that the protocol asks for."""


class ScoringColumn(_Frozen):
    """How one column of numbers was made."""

    metric: Line
    """The metric's name with its answerer: ``judge[gpt-4o-mini]``."""
    version: Line
    answerer: str | None = None
    """The model that judged or answered."""
    published_weights: bool
    """Whether all weights are the published ones; a column made with others is never ranked."""
    identity: dict[str, JsonValue]
    """The metric's own statement of everything that decides its values."""
    description: str
    higher_is_better: bool | None
    low: Finite | None = None
    high: Finite | None = None
    invalid: Literal["zero", "omit"]
    """What a sample without a valid drawing counts as, column and protocol taken together."""
    samples: Literal["all", "last-valid"] = "all"
    """Whether all samples of a prompt count or only its last valid one."""
    prompts: Literal["all", "last-of-cluster"] = "all"
    """Whether all prompts of a cluster count or only the last one that has a value."""


class ValidOnly(_Frozen):
    """The same mean over valid drawings alone."""

    mean: Finite
    n: Count


class Number(_Frozen):
    """A weighted mean over prompts."""

    mean: Finite
    ci95: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None
    """Lower and upper end of the 95 % interval; null where a single cluster has a value."""
    n: Annotated[int, Field(ge=1)]
    """Prompts that have a value."""
    clusters: Annotated[int, Field(ge=1)]
    valid_only: ValidOnly | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Number:
        if self.ci95 is not None and not self.ci95[0] <= self.mean <= self.ci95[1]:
            raise ValueError(f"the mean {self.mean} is outside its interval {self.ci95}")
        if self.clusters > self.n:
            raise ValueError(f"{self.clusters} clusters cannot hold {self.n} prompts")
        return self


class Metric(Number):
    """A column's overall number, and the same by category and in variants."""

    higher_is_better: bool | None
    categories: dict[str, Number] = {}
    variants: dict[str, Number] = {}
    """Other weightings, such as ``distinct texts``: each text counted once."""


class Unfinished(_Frozen):
    """A column of which some samples still wait: it has no number yet."""

    settled: Count
    """Samples that need nothing more."""
    of: Annotated[int, Field(ge=1)]
    """Samples that the number needs."""
    bounds: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None
    """The lowest and the highest mean that the samples still to come allow; neither is an estimate."""

    @model_validator(mode="after")
    def _waits(self) -> Unfinished:
        if self.settled >= self.of:
            raise ValueError(f"{self.settled} of {self.of} samples are settled: then it is finished")
        if self.bounds is not None and self.bounds[0] > self.bounds[1]:
            raise ValueError(f"the bounds {self.bounds} are not in order")
        return self


class Tokens(_Frozen):
    """Tokens of all samples; null where the provider did not say."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None


class Evidence(_Frozen):
    """The Parquet file that holds every sample. Up to 5 MB it lies beside the result, else at ``address``."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+\.samples\.parquet$")]
    sha256: Sha256
    bytes: Count
    rows: Count
    address: Annotated[str, Field(pattern=r"^https://")] | None = None


class Verification(_Frozen):
    """Who vouches for the numbers."""

    status: Literal["self-reported", "verified"] = "self-reported"
    by: str | None = None
    what: str | None = None
    """What was done: ``rendered and scored again from the evidence``."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None

    @model_validator(mode="after")
    def _says_who(self) -> Verification:
        if self.status == "verified" and not (self.by and self.what and self.date):
            raise ValueError("a verified result says by whom, what and when (by, what, date)")
        return self


class Execution(BaseModel):
    """All that may differ between two equal runs. Further keys are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    started: str | None = None
    """ISO 8601, UTC."""
    finished: str | None = None
    host: dict[str, JsonValue] | None = None
    versions: dict[str, str] | None = None
    """Packages and their versions."""
    commit: str | None = None
    """Git commit of sgpbench, with ``+changes`` where the tree was not clean."""
    command: str | None = None
    cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    judge_cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    price_date: str | None = None
    latency_s: dict[str, float] | None = None
    """Quantiles of seconds per completion: ``p50``, ``p95``."""
    seconds: float | None = None
    sandbox: Literal["full", "partial"] | None = None
    served_by: list[str] | None = None
    """The model's own names for itself in its answers."""
    dropped: list[str] | None = None
    """Sampling values of the protocol that the model fixes or refuses."""


class Result(_Frozen):
    """A published result of sgpbench."""

    schema_version: Literal[1] = 1
    identity: Identity
    status: Literal["complete", "incomplete", "partial"]
    prompts: Count
    split_prompts: Count
    """Prompts of the whole split."""
    clusters: Count
    samples: Count
    """Samples that have an outcome."""
    outcomes: dict[Outcome, Count]
    flags: dict[Flag, Count]
    headline: str | None = None
    """The metric by which the task ranks models."""
    scoring: dict[str, ScoringColumn]
    """Column → how it was made."""
    metrics: dict[str, Metric]
    """Column → its numbers; descriptive columns included."""
    unfinished: dict[str, Unfinished] = {}
    """Column that has no number yet → how far it has come; left out of the file where there is none."""
    skipped: dict[str, str]
    """Metric or column → why it is missing."""
    tokens: Tokens
    model_info: dict[str, JsonValue] = {}
    """What the catalog says of the model: provider, open weights, parameters, licence, release date."""
    evidence: Evidence | None = None
    verification: Verification = Verification()
    execution: Execution = Execution()

    @model_validator(mode="after")
    def _adds_up(self) -> Result:
        if (total := sum(self.outcomes.values())) != self.samples:
            raise ValueError(f"the outcomes add up to {total}, but there are {self.samples} samples")
        if self.prompts > self.split_prompts:
            raise ValueError(f"{self.prompts} prompts in a split of {self.split_prompts}")
        if self.samples > self.prompts * self.identity.samples:
            raise ValueError(f"{self.samples} samples of {self.prompts} prompts × {self.identity.samples}")
        ours = [outcome for outcome, number in self.outcomes.items() if outcome in HARNESS_OUTCOMES and number]
        if self.status == "complete":
            if ours:
                raise ValueError(f"a complete run has no {', '.join(ours)}")
            if self.prompts != self.split_prompts or self.samples != self.prompts * self.identity.samples:
                raise ValueError("a complete run has all samples of all prompts of its split")
        if strange := set(self.metrics) - set(self.scoring):
            raise ValueError(f"numbers of columns that 'scoring' does not describe: {', '.join(sorted(strange))}")
        if strange := (set(self.unfinished) - set(self.scoring)) | (set(self.unfinished) & set(self.metrics)):
            raise ValueError(
                f"unfinished columns that are not described, or have numbers: {', '.join(sorted(strange))}"
            )
        if self.unfinished and self.status != "incomplete":
            raise ValueError(f"a {self.status} run has no unfinished columns: {', '.join(sorted(self.unfinished))}")
        return self


def unrankable_reasons(result: Result) -> list[str]:
    """Why a result takes no part in the ranking, in plain words; empty where it does.

    Ranked are complete runs of the official split with the protocol's own number of samples and nothing of ours among the
    outcomes. ``rankable`` asks for published weights of one column besides.
    """
    reasons = []
    if result.status != "complete":
        reasons.append(f"the run is {result.status}")
    if result.identity.split != "official":
        reasons.append(f"the split is {result.identity.split}, not official")
    if result.identity.samples != result.identity.protocol_samples:
        reasons.append(
            f"{result.identity.samples} samples per prompt where the protocol asks for {result.identity.protocol_samples}"
        )
    if any(result.outcomes.get(outcome) for outcome in HARNESS_OUTCOMES):
        reasons.append("some samples failed through no fault of the model")
    return reasons


def rankable(result: Result, column: str) -> bool:
    """Whether a result takes part in the ranking by ``column``."""
    scoring = result.scoring.get(column)
    return not unrankable_reasons(result) and column in result.metrics and bool(scoring and scoring.published_weights)


def column_key(result: Result, column: str) -> str:
    """16 hex digits that two results share exactly where their columns may be ranked together.

    Equal are: task and version, split, both protocol hashes, the column's name, and everything that decides its values.
    """
    scoring = result.scoring[column]
    identity = result.identity
    return canonical_hash(
        {
            "task": [identity.task, identity.task_version, identity.split],
            "hashes": [identity.generation_hash, identity.scoring_hash],
            "column": column,
            "scoring": scoring.model_dump(mode="json", exclude={"description"}),
        }
    )


def canonical_json(result: Result) -> bytes:
    """A result's bytes: sorted keys, two spaces, UTF-8, final newline. Equal results have equal bytes."""
    document = result.model_dump(mode="json")
    if not result.unfinished:
        # A key that came later is written only where it says something: older files keep their bytes.
        del document["unfinished"]
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def json_schema() -> bytes:
    """The JSON Schema (2020-12) of the current version, in the same canonical form."""
    schema = Result.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"sgpbench result, version {SCHEMA_VERSION}"
    return (json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


_Document: TypeAlias = dict[str, JsonValue]
_LONGEST = 5_000_000
"""Bytes of a result."""
_LARGEST = 1e15
"""No measured number is larger; sums and differences of numbers up to it stay finite."""
_MIGRATIONS: Mapping[int, Callable[[_Document], _Document]] = {}
"""Version → the function that lifts a document of it to the next."""


def _once(pairs: list[tuple[str, JsonValue]]) -> _Document:
    """An object whose keys are all different: of two equal ones a reader and a reviewer might each see another."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"the number {digits[:12]}… is too large")
    return int(digits)


def _real(text: str) -> float:
    if not abs(value := float(text)) <= _LARGEST:
        raise ValueError(f"the number {text[:24]} is too large")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def parse_result(text: str | bytes, source: str) -> Result:
    """A result from JSON text of this or any older version.

    Raises:
        ResultError: not JSON, of a newer version, or against the schema; names ``source`` and the first fault.
    """
    if len(text) > _LONGEST:
        raise ResultError(f"{source} has {len(text) / 1e6:.1f} MB; a result has at most {_LONGEST / 1e6:.0f}.")
    try:
        document = json.loads(
            text, object_pairs_hook=_once, parse_int=_integer, parse_float=_real, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{source} is not JSON: {error}.") from None
    if not isinstance(document, dict) or not isinstance(document.get("schema_version"), int):
        raise ResultError(f"{source} is not a result: it has no schema_version.")
    version = document["schema_version"]
    if version > SCHEMA_VERSION:
        raise ResultError(
            f"{source} follows version {version} of the schema; this sgpbench reads up to {SCHEMA_VERSION}.",
            remedy="Install a newer sgpbench.",
        )
    while version in _MIGRATIONS:
        document = _MIGRATIONS[version](document)
        version += 1
    try:
        return Result.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultError(f"{source}: {where + ': ' if where else ''}{first['msg']}.") from None


def read_result(path: Path) -> Result:
    """The result in a file.

    Raises:
        ResultError: see ``parse_result``; or the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ResultError(f"{path} cannot be read: {error.strerror}.") from None
    return parse_result(data, str(path))


if __name__ == "__main__":
    import sys

    sys.stdout.buffer.write(json_schema())
