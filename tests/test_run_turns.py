"""All tasks of a model on a GPU: loaded once, asked in turn, gone before anything is scored."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sgpbench.errors import MetricUnavailable
from sgpbench.run.execute import execute
from sgpbench.run.options import RunOptions
from sgpbench.run.prepare import TaskPlan, plan_runs, plan_task
from sgpbench.run.status import run_status
from sgpbench.run.store import RunView
from sgpbench.run.turns import NO_TURN, turns_on_device

PLUGINS = """
from sgpbench.errors import MetricUnavailable, ModelUnavailable
from sgpbench.metrics.validity import Validity
from sgpbench.models.interface import Concurrency
from sgpbench.records import Completion, FinishReason, Usage

LOG = {log!r}

def note(word):
    with open(LOG, "a") as log:
        log.write(word + "\\n")

class OnGpu:
    accepts = frozenset({{"messages"}})
    sees, max_n, seeds, price, device, endpoint = False, 1, True, None, "gpu", "a gpu"
    concurrency = Concurrency(4, 4)

    def __init__(self, spec):
        self.name = spec.name
        self.identity = {{"adapter": "test"}}
        self.loaded = False
        note("open")

    async def generate(self, request):
        if request.prompt_id == {refused!r}:
            raise ModelUnavailable("out of memory")
        if not self.loaded:
            self.loaded = True
            note("load")
        note(request.prompt_id)
        svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
        return [Completion(svg, FinishReason.STOP, Usage(1, 1), 0.0, 0.0, self.name) for _ in request.seeds]

    async def aclose(self):
        if self.loaded:
            note("unload")
        self.loaded = False

class Noting(Validity):
    name = "noting"

    async def score(self, batch):
        note("score")
        return await super().score(batch)

def open_model(spec):
    return OnGpu(spec)

def open_metric(context):
    return Noting()

def open_missing(context):
    raise MetricUnavailable("no weights")
"""


def run_two_splits(folder: Path, *, metric: str = "open_metric", refused: str = "") -> list[str]:
    log, plugins = folder / "events.log", folder / "plugins.py"
    plugins.write_text(PLUGINS.format(log=str(log), refused=refused))
    options = RunOptions(limit=4, metrics=(f"{plugins}:{metric}",), runs_dir=folder / "runs")
    plans = [plan_task("shapes", options), SECOND]
    planned = plan_runs(f"{plugins}:open_model/m", plans, options)
    finished, _ = asyncio.run(execute(planned, options))
    assert [one.error is not None for one in finished] == [refused in ids(plan) for plan in plans]
    return log.read_text().split()


def ids(plan: TaskPlan) -> list[str]:
    return sorted(prompt.id for _, prompt in plan.chosen)


FIRST = plan_task("shapes", RunOptions(limit=4))
SECOND = plan_task("shapes", RunOptions(limit=3, split="generated"))


def test_a_model_is_loaded_once_asked_in_turn_and_gone_before_scoring(tmp_path: Path) -> None:
    events = run_two_splits(tmp_path)
    assert events[:2] == ["open", "load"]
    assert (sorted(events[2:6]), sorted(events[6:9])) == (ids(FIRST), ids(SECOND))
    assert events[9] == "unload"
    assert set(events[10:]) == {"score"}
    views = [RunView(folder.parent) for folder in (tmp_path / "runs").rglob("run.db")]
    assert [(run_status(view).status, run_status(view).pending_scores) for view in views] == [("partial", {})] * 2


def test_a_run_that_fails_gives_its_turn_away(tmp_path: Path) -> None:
    (refused,) = set(ids(FIRST)) - set(ids(SECOND))
    events = run_two_splits(tmp_path, refused=refused)
    unloaded = events.index("unload")
    assert sorted(events[unloaded - 3 : unloaded]) == ids(SECOND)
    assert "score" in events[unloaded:]


def test_a_metric_that_is_missing_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(MetricUnavailable, match="no weights"):
        run_two_splits(tmp_path, metric="open_missing")
    assert (tmp_path / "events.log").read_text().split() == ["open"]


def test_turns_are_given_in_order_and_ended_once() -> None:
    class Model:
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1

    async def play() -> list[str]:
        model, said = Model(), []
        first, second = turns_on_device(model, 2)  # type: ignore[arg-type]

        async def later() -> None:
            await second.begin()
            said.append("second")
            await second.end()

        waiting = asyncio.create_task(later())
        await asyncio.sleep(0)
        await first.begin()
        said.append("first")
        await first.end()
        await first.end()
        await first.free()
        await waiting
        assert model.closed == 1
        await NO_TURN.begin()
        await NO_TURN.free()
        return said

    assert asyncio.run(play()) == ["first", "second"]
