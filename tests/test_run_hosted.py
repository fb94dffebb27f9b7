"""Whole runs against a hosted model that misbehaves: nothing lost, nothing paid twice, no outage scored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import caller
from server import Behaviour, serving

from sgpbench.run.store import RunView

KEY = "sk-canary-5f2b8e"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="4" height="4" fill="red"/></svg>'


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def words(url: str, *more: str, limit: int = 12) -> list[str]:
    arguments = ["run", "--model", "openai/test-model", "--task", "shapes", "--limit", str(limit), "--json"]
    return [*arguments, "--model-arg", f"base_url={url}/v1", "--metrics", "validity", *more]


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str, str]]:
    sgpbench = caller(monkeypatch, capsys)

    def run(arguments: list[str]) -> tuple[int, str, str]:
        done = sgpbench(*arguments)
        return done.code, done.out, done.err

    return run


Call = Callable[[list[str]], tuple[int, str, str]]


def test_faults_are_retried_until_every_sample_is_there_once(call: Call) -> None:
    faults = {3: "500", 5: "reset", 7: "malformed", 9: "empty", 11: "503", 13: "cut"}
    with serving(Behaviour(fault=lambda number, _: faults.get(number, "ok"))) as server:
        code, out, _ = call(words(server.url, "--max-connections", "4"))
    (run,) = json.loads(out)["runs"]
    assert code == 0
    assert run["samples"] == 12
    assert set(server.answered.values()) == {1}
    assert len(server.received) == 12 + len(faults)


def test_an_outage_is_incomplete_and_scores_nothing_until_it_is_over(call: Call) -> None:
    down: set[str] = set()

    def fault(number: int, prompt: str) -> str:
        if number < 3:
            down.add(prompt)
        return "500" if prompt in down else "ok"

    behaviour = Behaviour(fault=fault)
    with serving(behaviour) as server:
        code, out, _ = call(words(server.url, "--patience", "0", "--max-connections", "1"))
        (broken,) = json.loads(out)["runs"]
        assert code == 3
        assert broken["status"] == "incomplete"
        assert broken["outcomes"]["api_error"] == 3
        assert "validity" not in broken["metrics"], "three answers are still to come"
        assert broken["unfinished"]["validity"]["settled"] == 9
        behaviour.fault = lambda _number, _prompt: "ok"
        code, out, _ = call(words(server.url, "--patience", "0", "--max-connections", "1"))
    (healed,) = json.loads(out)["runs"]
    assert code == 0
    assert "api_error" not in healed["outcomes"]
    assert healed["metrics"]["validity"]["n"] == 12
    assert set(server.answered.values()) == {1}


def test_a_rejected_key_stops_at_once_with_the_providers_words(call: Call) -> None:
    behaviour = Behaviour(fault=lambda _number, _prompt: "401", error_message="your account is closed")
    with serving(behaviour) as server:
        code, _, err = call(words(server.url))
        asked = len(server.received)
    assert code == 1
    assert "your account is closed" in err
    assert "Traceback" not in err
    assert asked <= 20


def test_a_refusal_is_the_models_outcome(call: Call) -> None:
    def refuse(path: str, body: object) -> dict[str, object]:
        message = {"role": "assistant", "content": "", "refusal": "no"}
        choice = {"index": 0, "message": message, "finish_reason": "content_filter"}
        usage = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}
        return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}

    with serving(Behaviour(reply=refuse)) as server:
        code, out, _ = call(words(server.url, limit=3))
    (run,) = json.loads(out)["runs"]
    assert code == 0
    assert run["outcomes"] == {"refused": 3}
    assert run["metrics"]["validity"]["mean"] == 0


def test_the_key_is_nowhere(call: Call, tmp_path: Path) -> None:
    behaviour = Behaviour(fault=lambda number, _: "500" if number % 3 == 0 else "ok", error_message=f"bad key {KEY}")
    with serving(behaviour) as server:
        code, out, err = call(words(server.url, "--patience", "0.2", limit=8))
        (run,) = json.loads(out)["runs"]
        _, exported, more = call(["export", run["path"], "--json"])
    assert code in {0, 3}
    texts = [out, err, exported, more]
    assert not any(KEY in text for text in texts)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


COUNTING = f"{Path(__file__).with_name('counting_model.py')}:open_counting/"


def counting(*more: str, names: str = "m", limit: int = 120) -> list[str]:
    models = ",".join(COUNTING + name for name in names.split(","))
    return [
        "run",
        "--model",
        models,
        "--task",
        "shapes",
        "--limit",
        str(limit),
        "--stages",
        "generate",
        "--json",
        *more,
    ]


def stored(out: str) -> list[int]:
    counts = []
    for run in json.loads(out)["runs"]:
        view = RunView(Path(run["path"]))
        counts.append(len(view.answered()))
        view.close()
    return counts


def test_a_budget_stops_before_it_is_crossed_and_a_larger_one_goes_on(call: Call) -> None:
    budget = 0.05
    code, out, err = call(counting("--budget", str(budget)))
    (run,) = json.loads(out)["runs"]
    assert code == 3
    assert "budget" in err.lower()
    assert 0 < run["usage"]["cost_usd"] <= budget
    assert 0 < stored(out)[0] < 120
    code, out, _ = call(counting("--budget", "5"))
    assert stored(out) == [120]
    assert json.loads(out)["runs"][0]["usage"]["cost_usd"] == pytest.approx(120 * 0.0002)


def test_a_budget_without_a_price_is_an_error(call: Call) -> None:
    code, _, err = call(["run", "--model", "openai/unpriced", "--task", "shapes", "--limit", "1", "--budget", "1"])
    assert code == 1
    assert "price" in err
    assert not Path("runs").exists() or not list(Path("runs").rglob("run.db"))


def test_models_at_different_endpoints_run_side_by_side(call: Call) -> None:
    arguments = ("--model-arg", "log=asked.log", "--model-arg", "delay_ms=30")
    code, out, _ = call(counting(*arguments, names="a,b", limit=60))
    assert code == 3  # only generated
    assert stored(out) == [60, 60]
    asked = [line.split()[0] for line in Path("asked.log").read_text().splitlines()]
    assert len(set(asked[:60])) < 60, "the second model waited for the first"


@pytest.mark.slow
def test_after_a_kill_each_prompt_was_charged_once_except_those_in_flight(tmp_path: Path) -> None:
    with serving(Behaviour(latency_s=0.15)) as server:
        command = [sys.executable, "-m", "sgpbench", *words(server.url, "--max-connections", "10", limit=150)]
        environment = os.environ | {"OPENAI_API_KEY": KEY}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 60
        while len(server.received) < 60 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        twice = [prompt for prompt, count in server.answered.items() if count > 1]
        assert json.loads(done.stdout)["runs"][0]["samples"] == 150
    assert len(server.answered) == 150
    assert len(twice) <= 10
