"""Reads published results for the site: each with the digest of its evidence, broken ones named and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sgpbench.errors import ResultError
from sgpbench.leaderboard.costs import Cost, cost_of
from sgpbench.leaderboard.digest import Digest, digest_of
from sgpbench.leaderboard.naming import slug
from sgpbench.protocol import canonical_hash
from sgpbench.records import Outcome
from sgpbench.results.schema import Metric, Result, read_result, unrankable_reasons
from sgpbench.results.validate import result_files

__all__ = ["Entry", "preferred", "read_entries"]

BASELINE = "baseline"


@dataclass(frozen=True, eq=False)
class Entry:
    """One published result."""

    path: str
    """Below the folder of results, with ``/``."""
    file: Path
    result: Result
    digest: Digest | None
    problem: str | None
    """Why there is no digest, and therefore neither rank nor drawings."""

    @cached_property
    def row_key(self) -> str:
        """Equal for the results of one model with the same arguments."""
        identity = self.result.identity
        return canonical_hash([identity.model, identity.model_args], 32)

    @property
    def slug(self) -> str:
        """Names the result's files on the site."""
        return slug(self.path.removesuffix(".json"))

    @property
    def is_baseline(self) -> bool:
        """Whether this is one of ours that shows what no model at all reaches."""
        return self.result.identity.adapter == BASELINE

    @property
    def validity(self) -> Metric | None:
        """Share of samples that gave a drawing."""
        return self.result.metrics.get("validity")

    @property
    def endpoint(self) -> str | None:
        """Who served the model, where that was not its provider."""
        place = self.result.identity.model_identity.get("endpoint")
        return place if isinstance(place, str) and place else None

    @property
    def other_names(self) -> list[str]:
        """Names that the answers bear and that are not the model's that was asked for."""
        names = (self.result.execution.model_extra or {}).get("served_by_others")
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    @property
    def commands(self) -> list[str]:
        """All commands that made the run, in their order; of older results the one that is known."""
        execution = self.result.execution
        commands = (execution.model_extra or {}).get("commands")
        known = [text for text in commands if isinstance(text, str)] if isinstance(commands, list) else []
        return known or ([execution.command] if execution.command else [])

    @property
    def answered(self) -> int:
        """Samples that the model answered."""
        return self.result.samples - self.result.outcomes.get(Outcome.API_ERROR, 0)

    @property
    def prompts_answered(self) -> float:
        """The same in prompts, of which an unfinished run may have answered a part."""
        return self.answered / self.result.identity.samples

    @property
    def cost(self) -> Cost | None:
        """What 1,000 prompts that were answered cost; ``None`` where no price of the model is known."""
        return cost_of([self.result.execution], self.prompts_answered, asks=[self.asks_answerers])

    @property
    def asks_answerers(self) -> bool:
        """Whether a model judged or answered for one of its scores."""
        return any(scoring.answerer is not None for scoring in self.result.scoring.values())

    @property
    def tokens_per_drawing(self) -> float | None:
        """Output tokens per sample, reasoning included; ``None`` where the provider does not say."""
        tokens = self.result.tokens.output_tokens
        return None if tokens is None or not self.answered or self.is_baseline else tokens / self.answered

    @property
    def date(self) -> str:
        """The day the run ended (or began), or an empty text."""
        execution = self.result.execution
        return (execution.finished or execution.started or "")[:10]

    def unranked(self) -> list[str]:
        """Why it takes no part in any ranking, in plain words; empty where it may."""
        reasons = unrankable_reasons(self.result)
        if self.is_baseline:
            reasons.insert(0, "a baseline of ours, shown for reference")
        elif self.result.verification.status != "verified":
            reasons.append("self-reported: nobody else has verified it")
        if self.problem:
            reasons.append(self.problem)
        return reasons


def read_entries(folder: Path, cache: Path) -> tuple[list[Entry], list[str]]:
    """All results below a folder, sorted by path, and a line for each that is broken or lacks its evidence.

    Raises:
        UsageError: the folder does not exist.
    """
    entries: list[Entry] = []
    warnings: list[str] = []
    for file in result_files([folder]):
        path = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
        try:
            result = read_result(file)
        except ResultError as error:
            warnings.append(f"left out: {error}")
            continue
        try:
            digest, problem = digest_of(file, result, cache), None
        except ResultError as error:
            digest, problem = None, _short(error)
            warnings.append(f"not ranked, no drawings: {error}")
        entries.append(Entry(path, file, result, digest, problem))
    return entries, warnings


def _short(error: ResultError) -> str:
    return (
        "its evidence is not the file it was made with" if "not the file" in str(error) else "its evidence is not here"
    )


def preferred(entries: Sequence[Entry]) -> Entry | None:
    """Of several results of one row and column the one to show: ranked before not, complete, most prompts, first seed."""
    if not entries:
        return None
    return min(
        entries,
        key=lambda e: (len(e.unranked()), e.result.status, -e.result.prompts, e.result.identity.seed, e.path),
    )
