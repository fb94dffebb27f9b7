"""How a run's end is told: the cause first and alone, what the numbers are over, and what all of it has cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli_support import Sgpbench, caller
from server import Behaviour, HttpError, serving

HOSTILE = f"{Path(__file__).with_name('hostile_model.py')}:open_hostile/m"
COUNTING = f"{Path(__file__).with_name('counting_model.py')}:open_counting/m"
FATAL = {
    "wrong key": (401, {"message": "Incorrect API key provided", "code": "invalid_api_key"}),
    "quota": (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
    "no such model": (404, {"message": "The model does not exist", "code": "model_not_found"}),
}


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("case", FATAL)
def test_a_fatal_error_comes_first_and_alone(sgpbench: Sgpbench, case: str) -> None:
    status, error = FATAL[case]

    def refuse(_path: str, _body: Mapping[str, object]) -> dict[str, object]:
        raise HttpError(status, error)

    with serving(Behaviour(reply=refuse)) as server:
        words = ["run", "--model", "openai/gpt-x", "--task", "shapes", "--limit", "4"]
        done = sgpbench(*words, "--model-arg", f"base_url={server.url}/v1")
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert error["message"] in line
    assert "again to continue" not in line


def test_after_a_fatal_error_one_line_says_what_is_kept(sgpbench: Sgpbench) -> None:
    done = sgpbench("run", "--model", HOSTILE, "--task", "shapes", "--limit", "6", "--model-arg", "fails=at-third")
    assert done.code == 1
    assert done.out == ""
    cause, kept = done.err.splitlines()
    assert "The quota of" in cause
    assert "2 of 6 answers are stored in " in kept


def test_beside_a_model_that_cannot_be_asked_the_other_has_its_table(sgpbench: Sgpbench) -> None:
    models = f"{HOSTILE},baseline/procedural"
    done = sgpbench("run", "--model", models, "--task", "shapes", "--limit", "3", "--model-arg", "fails=fatal")
    assert done.code != 0
    assert "baseline/procedural" in done.err + done.out


def test_what_keeps_a_run_unfinished_is_said_before_what_to_do(sgpbench: Sgpbench) -> None:
    words = ["run", "--model", HOSTILE, "--task", "shapes", "--limit", "4", "--patience", "0"]
    done = sgpbench(*words, "--model-arg", "fails=now-and-then")
    assert done.code == 3
    assert done.out.index("Bad gateway") < done.out.index("Run it again to continue.")


def test_a_reached_budget_is_no_reason_to_run_the_same_again(sgpbench: Sgpbench) -> None:
    done = sgpbench("run", "--model", COUNTING, "--task", "shapes", "--limit", "12", "--budget", "0.0000001")
    assert done.code == 3
    assert "larger --budget" in done.err
    assert "Run it again" not in done.out


def test_a_smaller_limit_on_a_larger_run_says_what_its_numbers_are_over(sgpbench: Sgpbench) -> None:
    words = ["run", "--model", "baseline/procedural", "--task", "shapes", "--limit"]
    assert "over all" not in sgpbench(*words, "8").out
    assert "over all 8 prompts of this run; this command chose 3 of them" in sgpbench(*words, "3").out
    document = sgpbench(*words, "3", "--json").run
    assert (document["prompts"], document["chosen"]) == (8, 3)


def test_a_cost_holds_what_judging_cost() -> None:
    from sgpbench.cli.output import cost_in_words
    from sgpbench.records import Completion, FinishReason, Usage
    from sgpbench.run.progress import RunProgress

    said = cost_in_words({"cost_usd": 0.25, "judge_cost_usd": 1.5})
    assert said == "cost $1.7500 (generation $0.2500, judging $1.5000)"
    assert cost_in_words({"cost_usd": 0.25, "judge_cost_usd": None}) == "cost $0.2500"
    assert cost_in_words({"cost_usd": None, "judge_cost_usd": None}) == ""
    progress = RunProgress("m × comp", 1)
    progress.judged(Completion("4", FinishReason.STOP, Usage(10, 1), 0.1, 0.5, "judge"))
    assert (progress.cost_usd, progress.priced) == (0.5, True)


def test_what_only_the_end_needs_is_not_loaded_before_anything_is_asked(tmp_path: Path) -> None:
    code = """
import sys
sys.argv = ["sgpbench", "run", "--model", "baseline/procedural", "--task", "shapes", "--limit", "1", "--dry-run"]
from sgpbench.cli import main
try:
    main()
except SystemExit:
    pass
print("loaded:", *sorted({"pandas", "scipy", "pyarrow"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "loaded:"
