"""What a command promises: a budget over all its starts, no request after Ctrl-C, no word that is overlooked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_support import Done, Sgpbench, caller
from server import Behaviour, HttpError, MisbehavingServer, serving

from sgpbench.cli.arguments import names
from sgpbench.run.store import RunStore, RunView

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'
SCORED = "REASONING: as asked.\nSCORE: 50"
UNREADABLE = "I would rather not say."
COUNTING = f"{Path(__file__).with_name('counting_model.py')}:open_counting/"
REPLY_USD = (4000 * 2.5 + 10 * 10.0) / 1e6
"""What one reply of ``gpt-4o`` costs that is reported as 4,000 tokens in and 10 out."""


def chat(text: str) -> dict[str, object]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 4000, "completion_tokens": 10, "total_tokens": 4010}
    return {"model": "m", "choices": [choice], "usage": usage}


def saying(text: str) -> Callable[[str, Mapping[str, object]], dict[str, object]]:
    return lambda _path, _body: chat(text)


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobodys")
    return caller(monkeypatch, capsys)


@dataclass(frozen=True)
class Bench:
    """A model without a price and a judge, each behind a server of its own."""

    sgpbench: Sgpbench
    models: MisbehavingServer
    judges: MisbehavingServer

    def run(self, *words: str, limit: int = 2, model: str = "openai/test") -> Done:
        task = ("--task", "comp", "--split", "generated", "--limit", str(limit), "--json")
        return self.sgpbench("run", "--model", model, *task, "--model-arg", f"base_url={self.models.url}/v1", *words)

    def score(self, path: str, *words: str) -> Done:
        return self.sgpbench("score", path, "--json", *words)

    def judge(self, name: str = "gpt-4o") -> list[str]:
        arguments = ["base_url=" + self.judges.url + "/v1", "max_tokens=100"]
        return ["--judge", name, *(word for pair in arguments for word in ("--judge-arg", pair))]

    @property
    def replies(self) -> int:
        """What the judges' provider charges for."""
        return sum(request.status == 200 for request in self.judges.received)


@pytest.fixture
def bench(sgpbench: Sgpbench) -> Iterator[Bench]:
    with serving(Behaviour(reply=saying(SVG))) as models, serving(Behaviour(reply=saying(SCORED))) as judges:
        yield Bench(sgpbench, models, judges)


def counting(sgpbench: Sgpbench, *words: str, model: str = COUNTING + "m") -> Done:
    task = ("--task", "comp", "--split", "generated", "--json")
    return sgpbench("run", "--model", model, "--model-arg", "log=asked.log", *task, *words)


def asked() -> int:
    log = Path("asked.log")
    return len(log.read_text().splitlines()) if log.exists() else 0


def stored_runs() -> list[Path]:
    return [path.parent for path in Path("runs").rglob("run.db")]


def judge_requests(done: Done) -> int:
    (estimate,) = json.loads(done.out)["estimates"]
    return int(estimate["judge_requests"])


# --- money ---------------------------------------------------------------------------------------------------------


def test_judging_keeps_its_budget_over_all_starts_whatever_the_model_of_the_run_costs(bench: Bench) -> None:
    path = bench.run("--metrics", "validity", limit=6).run["path"]
    words = (path, "--metrics", "judge", *bench.judge(), "--max-connections", "1", "--budget")
    first = bench.score(*words, "0.05")
    assert first.code == 3
    assert "budget" in first.err.lower()
    assert 0 < bench.replies * REPLY_USD <= 0.05
    assert first.run["usage"]["judge_cost_usd"] == pytest.approx(bench.replies * REPLY_USD)
    before = len(bench.judges.received)
    second = bench.score(*words, "0.05")
    assert second.code == 3
    assert len(bench.judges.received) == before
    third = bench.score(*words, "5")
    assert (third.code, third.run["status"]) == (0, "partial")
    assert third.run["usage"]["judge_cost_usd"] == pytest.approx(bench.replies * REPLY_USD)


def test_replies_without_a_score_are_asked_for_again_and_each_is_paid_for(bench: Bench) -> None:
    bench.judges.behaviour.reply = saying(UNREADABLE)
    words = ("--metrics", "judge", *bench.judge())
    costs = [bench.run(*words).run["usage"]["judge_cost_usd"]]
    once = bench.replies
    bench.run(*words)
    assert bench.replies == 2 * once
    bench.judges.behaviour.reply = saying(SCORED)
    healed = bench.run(*words)
    costs.append(healed.run["usage"]["judge_cost_usd"])
    assert healed.code == 0
    assert 2 * once < bench.replies < 3 * once, "a reply with a score needs no second question"
    assert costs == pytest.approx([once * REPLY_USD, bench.replies * REPLY_USD])
    assert bench.run(*words).code == 0
    assert costs[-1] == pytest.approx(bench.replies * REPLY_USD), "a stored score is not asked for again"


def test_a_budget_holds_though_every_start_asks_again_for_replies_without_a_score(bench: Bench) -> None:
    bench.judges.behaviour.reply = saying(UNREADABLE)
    words = ("--metrics", "judge", *bench.judge(), "--model-arg", "max_tokens=500", "--max-connections", "2")
    budget = 0.25
    for _ in range(4):
        done = bench.run(*words, "--budget", str(budget), model="gpt-4o-mini")
        assert bench.replies * REPLY_USD <= budget
    assert done.code == 3
    assert "budget" in done.err.lower()


@pytest.mark.parametrize(("who", "least_usd"), [("model", 0.01), ("judge", 0.02)])
def test_money_of_answers_cut_in_the_middle_counts_at_every_later_start(
    bench: Bench, who: str, least_usd: float
) -> None:
    """``least_usd``: what one request sets aside at least, for 1,000 tokens out or for a picture in."""
    judging = who == "judge"
    server = bench.judges if judging else bench.models
    server.behaviour.fault = lambda _number, _prompt: "cut"
    words = ["--patience", "0", "--max-connections", "1", "--model-arg", "max_tokens=1000"]
    words += ["--metrics", "judge", *bench.judge()] if judging else ["--metrics", "validity"]
    budget = 3.5 * least_usd
    for _ in range(3):
        done = bench.run(*words, "--budget", str(budget), limit=4, model="gpt-4o-mini" if judging else "gpt-4o")
        assert done.code == 3
        assert 0 < len(server.received) * least_usd <= budget
    view = RunView(Path(done.run["path"]))
    lost = float(view.setting("lost_usd") or 0.0)
    view.close()
    assert len(server.received) * least_usd <= lost <= budget


def estimate(sgpbench: Sgpbench, *words: str, code: int = 0) -> dict[str, Any]:
    done = sgpbench("run", *words, "--dry-run", "--json")
    assert done.code == code, done.err
    return dict(json.loads(done.out)["estimates"][0]) if not code else {"said": done.err}


def test_a_dry_run_counts_whoever_is_asked(sgpbench: Sgpbench, upstream: Path) -> None:
    scene = ("--model", "gpt-5-mini", "--task", "scene", "--data-dir", str(upstream), "--limit", "5")
    asking = estimate(sgpbench, *scene, "--metrics", "vqa[gpt-4o-mini]")
    assert asking["judge_requests"] == asking["prompts"] * asking["samples"] == 20
    assert asking["judge_cost_usd"] > 0
    assert estimate(sgpbench, *scene, "--metrics", "vqa[blip-large]")["judge_requests"] == 0
    comp = ("--model", "gpt-5-mini", "--task", "comp", "--split", "generated", "--limit", "4")
    assert estimate(sgpbench, *comp)["judge_requests"] == 0
    assert estimate(sgpbench, *comp, "--metrics", "judge")["judge_requests"] >= 4


def test_a_dry_run_needs_no_key_but_a_price_where_there_is_a_budget(
    sgpbench: Sgpbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for model in ("gpt-5-mini", "claude-sonnet-5", "gemini-4-argon", "vllm/anything"):
        assert estimate(sgpbench, "--model", model, "--task", "shapes", "--limit", "3")["requests"] == 3
    unpriced = ("--model", "openai/unheard-of", "--task", "shapes", "--budget", "5")
    assert "openai/unheard-of" in estimate(sgpbench, *unpriced, code=1)["said"]


def test_an_estimate_learns_from_the_other_runs_of_the_model(bench: Bench) -> None:
    words = ("--model", "openai/test", "--task", "shapes", "--limit", "10")
    guess = estimate(bench.sgpbench, *words, "--model-arg", f"base_url={bench.models.url}/v1")
    bench.run("--metrics", "validity")
    learnt = estimate(bench.sgpbench, *words, "--model-arg", f"base_url={bench.models.url}/v1")
    assert guess["output_tokens"] > learnt["output_tokens"] == 10 * 10
    assert "other runs" in learnt["basis"]


# --- Ctrl-C --------------------------------------------------------------------------------------------------------


def interrupt_at(server: MisbehavingServer, number: int, fault: str = "ok") -> list[int]:
    """Presses Ctrl-C at that request; the list will hold how many there were by then."""
    counts: list[int] = []

    def decide(index: int, _prompt: str) -> str:
        if index == number:
            counts.append(len(server.received))
            os.kill(os.getpid(), signal.SIGINT)
        return fault

    server.behaviour.fault = decide
    return counts


def test_after_ctrl_c_no_judge_is_asked_and_no_reply_is_asked_for_twice(bench: Bench) -> None:
    words = ("--metrics", "judge", *bench.judge(), "--max-connections", "2")
    in_all = judge_requests(bench.run(*words, "--dry-run", limit=9))
    path = bench.run("--metrics", "validity", limit=9).run["path"]
    bench.judges.behaviour.latency_s = 0.05
    counts = interrupt_at(bench.judges, 3)
    stopped = bench.score(path, *words)
    assert stopped.code == 130
    assert len(bench.judges.received) <= counts[0] + 2 < in_all
    bench.judges.behaviour = Behaviour(reply=saying(SCORED))
    resumed = bench.score(path, *words)
    assert resumed.code == 0
    assert bench.replies == len(bench.judges.received) == in_all


def test_ctrl_c_does_not_wait_for_a_judge_that_is_down(bench: Bench) -> None:
    path = bench.run("--metrics", "validity", limit=4).run["path"]
    counts = interrupt_at(bench.judges, 5, "503")
    words = ("--metrics", "judge", *bench.judge(), "--max-connections", "2", "--patience", "6")
    stopped = bench.score(path, *words)
    assert stopped.code == 130
    assert len(bench.judges.received) <= counts[0] + 2
    assert "judge_error" not in stopped.run["outcomes"]


# --- what a command asks for, and no more --------------------------------------------------------------------------


def test_a_smaller_limit_after_a_larger_unfinished_run_asks_what_the_dry_run_says(bench: Bench) -> None:
    bench.models.behaviour.fault = lambda _number, _prompt: "500"
    larger = bench.run("--metrics", "validity", "--patience", "0", limit=12)
    assert larger.code == 3
    bench.models.behaviour.fault = lambda _number, _prompt: "ok"
    before = len(bench.models.received)
    (estimate,) = json.loads(bench.run("--metrics", "validity", "--dry-run", limit=5).out)["estimates"]
    smaller = bench.run("--metrics", "validity", limit=5)
    assert len(bench.models.received) - before == estimate["requests"] == 5
    assert smaller.run["path"] == larger.run["path"]
    assert bench.run("--metrics", "validity", limit=12).code == 0
    assert bench.models.answered.total() == 12


REFUSED = {
    "unknown metric": (["--metrics", "validity,nonsense"], 2, "nonsense"),
    "unknown judge": (["--judge", "gpt-4o-minni"], 2, "gpt-4o-minni"),
    "judge without a key": (["--judge", "gpt-4o-mini"], 1, "OPENAI_API_KEY"),
    "judge that cannot see": (["--judge", COUNTING + "blind"], 1, "does not see"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_asks_nothing_and_leaves_nothing_wanted(
    sgpbench: Sgpbench, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    words, code, hint = REFUSED[case]
    monkeypatch.delenv("OPENAI_API_KEY")
    refused = counting(sgpbench, "--limit", "4", *words)
    assert (refused.code, refused.out) == (code, "")
    assert hint in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert asked() == 0
    assert not stored_runs()
    path = counting(sgpbench, "--limit", "2", "--metrics", "validity").run["path"]
    assert counting(sgpbench, "--limit", "4", *words).code == code
    status = sgpbench("status", path, "--json")
    assert (status.code, status.run["prompts"], asked()) == (0, 2, 2)


@pytest.mark.parametrize("flag", ["--metrics", "--stages"])
@pytest.mark.parametrize("value", ["", " , "])
def test_a_flag_that_names_nothing_is_a_usage_error(sgpbench: Sgpbench, flag: str, value: str) -> None:
    done = counting(sgpbench, "--limit", "1", flag, value)
    assert (done.code, done.out) == (2, "")
    assert flag in done.err
    assert asked() == 0


def test_commas_in_brackets_belong_to_the_name() -> None:
    assert names("clip[fast,bf16]") == ["clip[fast,bf16]"]
    assert names(" validity , clip[a,b],judge[x/y] ,") == ["validity", "clip[a,b]", "judge[x/y]"]
    assert names("a,b") == ["a", "b"]


# --- judges that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", [("gpt-4o-mini",), ("gpt-4o", "--judge-repeats", "2")])
def test_a_judge_that_was_down_is_forgotten_once_another_has_judged(bench: Bench, then: tuple[str, ...]) -> None:
    bench.judges.behaviour.fault = lambda _number, _prompt: "503"
    words = ("--metrics", "validity,judge", "--patience", "0")
    failed = bench.run(*words, *bench.judge())
    assert (failed.code, failed.run["status"]) == (3, "incomplete")
    bench.judges.behaviour.fault = lambda _number, _prompt: "ok"
    name, *more = then
    judged = bench.run(*words, *bench.judge(name), *more)
    assert (judged.code, judged.run["status"]) == (0, "partial")
    assert "judge_error" not in judged.run["outcomes"]
    assert "pending" not in judged.run
    assert judged.run["metrics"][f"judge[{name}]"]["n"] == 2
    assert bench.sgpbench("status", judged.run["path"]).code == 0


def test_a_judge_argument_that_the_judge_refuses_is_an_error_that_names_it(bench: Bench) -> None:
    def refuse(_path: str, body: Mapping[str, object]) -> dict[str, object]:
        if "temperature" in body:
            raise HttpError(400, {"message": "temperature is not supported", "param": "temperature"})
        return chat(SCORED)

    bench.judges.behaviour.reply = refuse
    words = ("--metrics", "judge", *bench.judge())
    refused = bench.run(*words, "--judge-arg", "temperature=0.3")
    assert refused.code == 2
    assert "temperature=0.3" in refused.err
    assert "scorer_error" not in refused.run["outcomes"]
    assert bench.run(*words).code == 0


# --- several runs in one command -----------------------------------------------------------------------------------


def test_a_second_model_without_a_price_is_an_error_before_the_first_is_asked(bench: Bench) -> None:
    done = bench.run("--metrics", "validity", "--budget", "5", model="gpt-4o-mini,openai/unpriced")
    assert (done.code, done.out) == (1, "")
    assert "price" in done.err
    assert "openai/unpriced" in done.err
    assert not bench.models.received
    assert not stored_runs()


METRIC = """
from sgpbench.records import Column, Score

class Nearness:
    name, version, unit, batch_size = "nearness", "1", "sample", 8
    needs = frozenset({"reference"})
    columns = (Column("nearness", True, "how near the reference", 0.0, 1.0),)
    identity = {"version": "1"}
    async def score(self, batch):
        return [Score({"nearness": 0.5}) for _ in batch]
    async def aclose(self):
        pass

def open_nearness(context):
    return Nearness()
"""
TASK_TOML = """
name = "mine"
version = 1
title = "Mine"
description = "One prompt."
headline = "validity"
metrics = ["validity"]
splits = ["generated"]
licence = "Apache-2.0"
"""
TASK = """
from sgpbench.records import Prompt, Reference

class Mine:
    name, version, splits, metrics, headline = "mine", 1, ("generated",), ("validity",), "validity"
    def prompts(self, data, split, seed):
        return [Prompt(id="p", caption="a cat", category="c", cluster="p", reference=Reference(missing="cats"))]
    def aggregate(self, prompts):
        return []

TASK = Mine()
"""


def test_a_metric_that_lacks_references_of_the_second_task_is_an_error_before_the_first_is_asked(
    sgpbench: Sgpbench, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "task.toml").write_text(TASK_TOML)
    (folder / "__init__.py").write_text(TASK)
    (tmp_path / "nearness.py").write_text(METRIC)
    tasks = f"comp,{folder}"
    words = ("--model", COUNTING + "m", "--model-arg", "log=asked.log", "--limit", "2", "--task", tasks)
    done = sgpbench("run", *words, "--split", "generated", "--metrics", "./nearness.py:open_nearness", "--json")
    assert (done.code, done.out) == (1, "")
    assert "sgpbench data fetch cats" in done.err
    assert asked() == 0
    assert not stored_runs()


def test_a_run_that_another_process_holds_does_not_take_the_others_with_it(sgpbench: Sgpbench) -> None:
    words = ("--limit", "2", "--metrics", "validity")
    held = counting(sgpbench, *words, model=COUNTING + "held").run["path"]
    with contextlib.closing(RunStore(Path(held))):
        done = counting(sgpbench, *words, model=f"{COUNTING}held,{COUNTING}free")
    assert done.code == 1
    assert "is working on" in done.err
    free = [run for run in done.runs if run["path"] != held]
    assert [(run["samples"], run["status"]) for run in free] == [(2, "partial")]
    assert asked() == 4
