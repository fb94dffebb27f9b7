"""Single samples of a run, with all that is known of them, for people to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sgpbench.errors import StoreError, unknown_name
from sgpbench.records import Json
from sgpbench.run.pictures import pictures_hold
from sgpbench.run.store import RunView, render_path
from sgpbench.run.table import evidence_rows, scored_metrics

__all__ = ["ShownSample", "all_samples", "samples_of"]


@dataclass(frozen=True, slots=True)
class ShownSample:
    """One sample; ``rendering`` is ``None`` where there is no valid drawing, or its picture is damaged."""

    prompt_id: str
    sample: int
    caption: str
    outcome: str
    flags: tuple[str, ...]
    message: str | None
    completion: str
    program: str | None
    scores: Mapping[str, float]
    evidence: Mapping[str, Json]
    rendering: Path | None


def all_samples(folder: Path) -> Iterator[ShownSample]:
    """Every sample of a run that has come through rendering, sorted by prompt id and sample.

    Raises:
        StoreError: the folder holds no run.
    """
    view = RunView(folder)
    try:
        captions = {row["id"]: row["caption"] for row in view.prompts()}
        renderer = view.setting("renderer") or ""
        places = {(s.prompt_id, s.sample): (s.rendering, s.message) for s in view.samples(renderer)}
        for row in evidence_rows(view, scored_metrics(view)):
            prompt_id, sample = str(row["prompt_id"]), int(str(row["sample"]))
            key, message = places[prompt_id, sample]
            scores = {name[6:]: value for name, value in row.items() if name.startswith("score.") and value is not None}
            evidence = {name[9:]: value for name, value in row.items() if name.startswith("evidence.") and value}
            yield ShownSample(
                prompt_id=prompt_id,
                sample=sample,
                caption=captions[prompt_id],
                outcome=str(row["outcome"]),
                flags=tuple(row["flags"]) if isinstance(row["flags"], list) else (),
                message=message,
                completion=str(row["completion"]),
                program=str(row["program"]) if row["program"] else None,
                scores={name: float(str(value)) for name, value in scores.items()},
                evidence={name: json.loads(str(value)) for name, value in evidence.items()},
                rendering=render_path(folder, key)
                if key and row["outcome"] == "ok" and pictures_hold(view, key)
                else None,
            )
    finally:
        view.close()


def samples_of(folder: Path, prompt_id: str) -> list[ShownSample]:
    """The samples of one prompt.

    Raises:
        UsageError: the run has no such prompt. StoreError: it has, but no answer to it yet.
    """
    found = [sample for sample in all_samples(folder) if sample.prompt_id == prompt_id]
    if found:
        return found
    view = RunView(folder)
    known = [row["id"] for row in view.prompts()]
    view.close()
    if prompt_id not in known:
        raise unknown_name("prompt", prompt_id, known, listing="sgpbench show RUN")
    raise StoreError(f"{folder} has no drawing for '{prompt_id}' yet.", remedy="Continue the run.")
