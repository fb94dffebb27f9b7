"""Which drawings are shown, and their pictures and programs, result by result; kept in the user's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sgpbench.errors import RendererError, ResultError
from sgpbench.leaderboard.digest import Digest
from sgpbench.leaderboard.entries import Entry
from sgpbench.leaderboard.naming import plain, shortened
from sgpbench.leaderboard.thumbnails import Thumbnails
from sgpbench.protocol import canonical_hash
from sgpbench.records import Outcome, Prompt
from sgpbench.results.intervals import Floats
from sgpbench.tasks.selection import order_prompts

__all__ = ["Extreme", "Shelf", "extremes", "nested_prompts", "shelf_of"]

_VERSION = 2
_LONGEST_PROGRAM = 20_000


@dataclass(frozen=True, slots=True)
class Extreme:
    """A drawing worth looking at."""

    kind: Literal["best", "median", "worst"]
    prompt_id: str
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The drawings of one result that the site shows."""

    pictures: Mapping[str, str]
    """Prompt id → hash of the thumbnail; those that rendered."""
    programs: Mapping[str, str]
    """Prompt id → the program's text, cut where it is very long."""
    problem: str | None = None
    """Why there are no pictures."""


def nested_prompts(entries: Sequence[Entry], known: Mapping[str, Prompt], seed: int, number: int) -> list[Prompt]:
    """The prompts of a task's gallery: the first of those that a limited run with this seed would ask.

    ``known``: the task's own prompts where its data is here; else those that occur in the evidence.
    """
    prompts = dict(known)
    if not prompts:
        for entry in entries:
            if entry.digest is not None:
                rows = zip(entry.digest.ids.tolist(), entry.digest.categories.tolist(), strict=True)
                prompts.update({i: Prompt(i, "", category, i) for i, category in rows if i not in prompts})
    return order_prompts(prompts.values(), seed)[:number]


def extremes(digest: Digest, values: Floats, *, higher_is_better: bool) -> list[Extreme]:
    """The best, the median and the worst drawing by a column, of those that rendered; ties go to the first prompt id."""
    usable = np.flatnonzero((digest.outcomes == str(Outcome.OK)) & ~np.isnan(values))
    if not usable.size:
        return []
    order = usable[np.argsort(-values[usable] if higher_is_better else values[usable], kind="stable")]
    kinds: tuple[Literal["best", "median", "worst"], ...] = ("best", "median", "worst")
    picked = dict(zip(kinds, (order[0], order[order.size // 2], order[-1]), strict=True))
    return [Extreme(kind, str(digest.ids[place]), float(values[place])) for kind, place in picked.items()]


def shelf_of(entry: Entry, wanted: Collection[str], thumbnails: Thumbnails, cache: Path) -> Shelf:
    """Pictures and programs of the first sample of the wanted prompts."""
    if entry.digest is None:
        return Shelf({}, {}, entry.problem)
    identity = entry.result.identity
    problem = None
    try:
        renderer = thumbnails.identity(identity.protocol, identity.task)
    except RendererError as error:
        renderer, problem = "", str(error)
    kept = cache / f"{canonical_hash([_VERSION, entry.digest.key, renderer, sorted(wanted)], 32)}.json"
    if found := _load(kept, thumbnails):
        return found
    programs = _programs(entry, wanted)
    pictures = thumbnails.pictures(identity.protocol, identity.task, sorted(programs.items())) if renderer else {}
    shelf = Shelf(
        {prompt_id: picture for prompt_id, picture in pictures.items() if picture},
        {prompt_id: plain(shortened(program, _LONGEST_PROGRAM)) for prompt_id, program in programs.items()},
        problem,
    )
    _save(kept, shelf)
    return shelf


def _programs(entry: Entry, wanted: Collection[str]) -> dict[str, str]:
    """Prompt id → program of the first sample, where there is one and the drawing was valid."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from sgpbench.results.evidence import read_evidence

    assert entry.digest is not None
    try:
        table = read_evidence(entry.digest.evidence, ["prompt_id", "sample", "outcome", "program"])
    except ResultError:
        return {}
    table = table.filter(pc.is_in(table["prompt_id"], pa.array(sorted(wanted), pa.string())))
    programs: dict[str, str] = {}
    seen: set[str] = set()
    for row in table.sort_by([("prompt_id", "ascending"), ("sample", "ascending")]).to_pylist():
        if row["prompt_id"] in seen:
            continue
        seen.add(row["prompt_id"])
        if row["outcome"] == Outcome.OK and row["program"]:
            programs[row["prompt_id"]] = row["program"]
    return programs


def _load(kept: Path, thumbnails: Thumbnails) -> Shelf | None:
    """What was kept, unless a picture of it is gone."""
    try:
        stored = json.loads(kept.read_bytes())
        shelf = Shelf(stored["pictures"], stored["programs"], stored["problem"])
    except (OSError, ValueError, KeyError):
        return None
    return shelf if all(map(thumbnails.has, shelf.pictures.values())) else None


def _save(kept: Path, shelf: Shelf) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    document = {"pictures": shelf.pictures, "programs": shelf.programs, "problem": shelf.problem}
    temporary.write_text(json.dumps(document, sort_keys=True, ensure_ascii=False), "utf-8")
    temporary.replace(kept)
