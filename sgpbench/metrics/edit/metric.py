"""The metric around the verdict: programs in, columns and evidence out."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, cast

from sgpbench.errors import UsageError
from sgpbench.metrics.edit.child import READY
from sgpbench.metrics.edit.verdict import read_edit
from sgpbench.metrics.interface import Metric, MetricContext, Need
from sgpbench.records import Column, Drawing, Failure, Json, Outcome, Score

__all__ = ["Edit", "open_edit"]

_ROOT: Final = Path(__file__).resolve().parents[3]
_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from sgpbench.metrics.edit.child import main; main()"
)
_KEPT_EVIDENCE: Final = 40
"""At most so many names of unexpectedly changed parts are kept."""

_COLUMNS: tuple[Column, ...] = (
    Column("edit", True, "programs repaired as asked, valid, and otherwise untouched", 0, 1),
    Column("edit.repair", True, "programs with every repair done", 0, 1),
    Column("edit.preservation", True, "programs in which nothing else changed", 0, 1),
    Column("edit.validity", True, "programs that are valid SVG", 0, 1),
    Column("edit.near", True, "programs that lack one repair, nearly done, and are otherwise untouched", 0, 1),
    Column("edit.completion", True, "repairs done, mean over programs", 0, 1),
    Column("edit.progress", True, "way gone to each wanted value, mean over repairs and programs", 0, 1),
    Column("edit.kept", True, "parts to be left alone that were, mean over programs", 0, 1),
)


class Edit:
    """Exact verdicts for prompts that carry an edit; no weights, no model."""

    name = "edit"
    version = "1"
    needs: frozenset[Need] = frozenset({"edit", "invalid"})
    unit: Literal["sample", "prompt"] = "sample"
    batch_size = 64
    columns = _COLUMNS
    identity: Mapping[str, Json] = {"version": "1"}

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One verdict per drawing, in their order; a sample without a program has 0 everywhere."""
        return await asyncio.to_thread(_score_all, batch)

    async def aclose(self) -> None:
        """Frees nothing: its processes end with each batch."""


def open_edit(context: MetricContext) -> Metric:
    """The metric; it takes no argument.

    Raises:
        UsageError: an argument was given.
    """
    if context.argument is not None:
        raise UsageError(f"The metric edit takes no argument; got '{context.argument}'.")
    return Edit()


def _score_all(batch: Sequence[Drawing]) -> list[Score | Failure]:
    answers: list[Score | Failure] = []
    asked: list[tuple[int, str]] = []
    for place, drawing in enumerate(batch):
        edit = drawing.prompt.metadata.get("edit")
        try:
            read_edit(edit)
        except ValueError as error:
            answers.append(Failure(Outcome.SCORER_ERROR, f"{drawing.prompt.id}: {error}"))
            continue
        answers.append(_no_program("there is no program"))
        if drawing.program is not None:
            asked.append((place, json.dumps({"program": drawing.program, "edit": edit})))
    while asked:
        verdicts = _ask([line for _, line in asked])
        if isinstance(verdicts, Failure):
            for place, _ in asked:
                answers[place] = verdicts
            break
        for (place, _), found in zip(asked, verdicts, strict=False):
            answers[place] = _score(found)
        if not verdicts:
            answers[asked[0][0]] = _no_program("reading it took more time or memory than a program may")
        # Where a process ended early, what ended it is asked again, first in a new one.
        asked = asked[max(len(verdicts), 1) :]
    return answers


def _ask(lines: Sequence[str]) -> list[Mapping[str, Json]] | Failure:
    """The verdicts of a process of its own, in order; fewer than lines where a program ended it.

    A process that did not start, or that somebody else killed, is a fault of ours.
    """
    path = [entry for entry in sys.path if entry and Path(entry).is_absolute()]
    command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, json.dumps([*path, str(_ROOT)])]
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    # One thread: none can be started once the process is confined.
    environment = {**kept, "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        input="\n".join(lines).encode() + b"\n",
        capture_output=True,
        env=environment,
        cwd="/",
        start_new_session=True,
        check=False,
    )
    ready, *whole = done.stdout[: done.stdout.rfind(b"\n") + 1].splitlines() or [b""]
    if ready.decode() != READY or done.returncode == -signal.SIGKILL:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = words[-1] if words else f"it ended with {done.returncode}"
        return Failure(Outcome.SCORER_ERROR, f"the process that reads programs failed: {why}")
    return [cast("Mapping[str, Json]", json.loads(line)) for line in whole]


def _score(found: Mapping[str, Json]) -> Score:
    gates = {name: float(bool(found[name])) for name in ("repair", "preservation", "validity", "near")}
    shares = {name: float(cast("float", found[name])) for name in ("completion", "progress", "kept")}
    passed = gates["repair"] * gates["preservation"] * gates["validity"]
    unexpected = cast("list[Json]", found["unexpected"])
    return Score(
        {"edit": passed} | {f"edit.{name}": value for name, value in (gates | shares).items()},
        {"changes": found["changes"], "unexpected": unexpected[:_KEPT_EVIDENCE], "unexpected_count": len(unexpected)},
    )


def _no_program(why: str) -> Score:
    return Score({column.name: 0.0 for column in _COLUMNS}, {"no_verdict": why})
