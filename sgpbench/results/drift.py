"""What becomes of published drawings under the versions that are installed now, without asking their model again.

Every completion of a result's evidence goes through extraction, drawing and the metrics that need neither weights nor a
model, as in any run (``replay``); what comes out is held against what was published. Pixels are not published: they are
compared with those of an earlier report, made with the versions of then and kept in a folder.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sgpbench.errors import ResultError, UsageError
from sgpbench.metrics.registry import BUILT_IN, parse
from sgpbench.records import Json, Outcome
from sgpbench.results.evidence import read_evidence
from sgpbench.results.from_run import export_run
from sgpbench.results.schema import Result, read_result
from sgpbench.run.execute import execute
from sgpbench.run.options import RunOptions
from sgpbench.run.prepare import plan_runs, plan_task
from sgpbench.run.store import RunView, render_path

__all__ = ["ColumnDrift", "Drift", "PixelDrift", "drift"]

_SAME = 1e-6
"""Scores this near are equal: published ones are rounded to six decimals."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How far the scores of a column moved, sample by sample."""

    of: int
    """Samples that have a score then, now or both."""
    moved: int
    largest: float
    """Of the differences; infinite where a sample has a score only then or only now."""
    mean_by: float
    """The mean over samples now, less that of then."""


@dataclass(frozen=True, slots=True)
class PixelDrift:
    """How the drawings differ from those of an earlier report."""

    of: int
    """Samples that are drawn in both."""
    moved: int
    """Those of which any pixel differs."""
    share: float
    """Of the pixels of those, the mean share that differs, 0 to 1; another size counts as all."""
    largest: int
    """Difference of a channel, 0 to 255, among pictures of the same size."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of one result."""

    path: Path
    samples: int
    programs: int
    """Samples whose program is extracted differently now."""
    outcomes: Mapping[str, int]
    """``ok → render_error`` and the like → samples."""
    columns: Mapping[str, ColumnDrift]
    renderer: Mapping[str, Json] = field(default_factory=dict)
    """The renderer's identity now."""
    pixels: PixelDrift | None = None

    @property
    def moved(self) -> bool:
        """Whether anything did."""
        scores = any(column.moved for column in self.columns.values())
        return bool(self.programs or self.outcomes or scores or (self.pixels and self.pixels.moved))


def drift(path: Path, options: RunOptions, *, against: Path | None = None) -> Drift:
    """Draws and scores a result's stored completions again.

    Args:
        path: The result; its evidence lies beside it.
        options: Where data is found and where the drawings are kept (``runs_dir``); task, protocol and samples are the
            result's own.
        against: The ``runs_dir`` of an earlier report, to compare pixels with.

    Raises:
        ResultError: result or evidence is missing, or not every sample is in it. UsageError: ``against`` holds no drawings of
            this result. DataError, RendererError: the task's data or the renderer cannot be had here.
    """
    result = read_result(path)
    if result.evidence is None or not (evidence := path.with_name(result.evidence.file)).is_file():
        raise ResultError(f"The evidence of {path} is not here.", remedy="Put it beside the result.")
    if result.status == "incomplete":
        raise ResultError(f"{path} is incomplete: some of its samples have no completion.")
    identity = result.identity
    table = read_evidence(evidence, ["prompt_id"]).to_pydict()
    options = dataclasses.replace(
        options,
        protocol=identity.protocol,
        split=identity.split,
        seed=identity.seed,
        samples=identity.samples,
        prompt_ids=tuple(dict.fromkeys(table["prompt_id"])),
        metrics=_light_metrics(result),
        model_args={"name": f"drift/{identity.model}"},
    )
    (planned,) = plan_runs(f"replay/{evidence}", [plan_task(identity.task, options)], options)
    (finished,), interrupted = asyncio.run(execute([planned], options))
    if finished.error is not None:
        raise finished.error
    if interrupted:
        raise ResultError(f"{path} was not drawn to the end.")
    again = export_run(planned.folder, planned.folder / "exported")[1]
    earlier = None
    if against is not None:
        earlier = against / planned.folder.relative_to(options.runs_dir)
        if not (earlier / "run.db").is_file():
            raise UsageError(f"{against} holds no drawings of {path}.", remedy="Give the folder of an earlier --keep.")
    return _compared(path, result, evidence, again, planned.folder, earlier)


def _light_metrics(result: Result) -> tuple[str, ...]:
    """The result's metrics that need neither weights nor a model."""
    names = dict.fromkeys(column.metric for column in result.scoring.values() if column.answerer is None)
    light = [name for name in names if (known := BUILT_IN.get(parse(name)[0])) is not None and not known.weights]
    if not light:
        raise ResultError(f"{result.identity.model} on {result.identity.task} has no score that needs no weights.")
    return tuple(light)


def _compared(path: Path, result: Result, then: Path, now: Path, run: Path, earlier: Path | None) -> Drift:
    head = ["prompt_id", "sample", "outcome", "program"]
    scored = {f"score.{name}" for name in result.scoring}
    columns = sorted(scored & set(read_evidence(now).column_names))
    old = _by_sample(read_evidence(then, [*head, *columns]).to_pylist())
    new = _by_sample(read_evidence(now, [*head, *columns]).to_pylist())
    outcomes = Counter(
        f"{old[key]['outcome']} → {new[key]['outcome']}" for key in old if old[key]["outcome"] != new[key]["outcome"]
    )
    view = RunView(run)
    try:
        identity: dict[str, Json] = json.loads(view.setting("renderer_identity") or "{}")
        pixels = None if earlier is None else _pixels(view, view.setting("renderer") or "", run, earlier)
    finally:
        view.close()
    return Drift(
        path=path,
        samples=len(old),
        programs=sum(old[key]["program"] != new[key]["program"] for key in old),
        outcomes=dict(sorted(outcomes.items())),
        columns={
            name.removeprefix("score."): _column([(old[key][name], new[key][name]) for key in old]) for name in columns
        },
        renderer=identity,
        pixels=pixels,
    )


def _by_sample(rows: Sequence[Mapping[str, object]]) -> dict[tuple[object, object], Mapping[str, object]]:
    return {(row["prompt_id"], row["sample"]): row for row in rows}


def _column(pairs: Sequence[tuple[object, object]]) -> ColumnDrift:
    known = [(_number(a), _number(b)) for a, b in pairs if a is not None or b is not None]
    away = [abs(a - b) if not math.isnan(a) and not math.isnan(b) else math.inf for a, b in known]
    old = [a for a, _ in known if not math.isnan(a)]
    new = [b for _, b in known if not math.isnan(b)]
    by = sum(new) / len(new) - sum(old) / len(old) if old and new else 0.0
    return ColumnDrift(len(known), sum(one > _SAME for one in away), max(away, default=0.0), by)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _pixels(view: RunView, renderer: str, run: Path, earlier: Path) -> PixelDrift:
    before = RunView(earlier)
    try:
        old = _drawings(before, before.setting("renderer") or "", earlier)
    finally:
        before.close()
    new = _drawings(view, renderer, run)
    both = sorted(old.keys() & new.keys())
    shares, largest = [], 0
    for key in both:
        share, step = _difference(old[key], new[key])
        largest = max(largest, step)
        if share:
            shares.append(share)
    return PixelDrift(len(both), len(shares), sum(shares) / len(shares) if shares else 0.0, largest)


def _drawings(view: RunView, renderer: str, run: Path) -> dict[tuple[str, int], Path]:
    return {
        (stored.prompt_id, stored.sample): render_path(run, stored.rendering)
        for stored in view.samples(renderer)
        if stored.outcome is Outcome.OK and stored.rendering
    }


def _difference(old: Path, new: Path) -> tuple[float, int]:
    """The share of pixels that differ, and by how much at most."""
    import numpy as np
    from PIL import Image

    with Image.open(old) as left, Image.open(new) as right:
        if left.size != right.size:
            return 1.0, 0
        steps = np.abs(np.asarray(left, int) - np.asarray(right, int)).max(axis=-1)
    return float((steps > 0).mean()), int(steps.max())
