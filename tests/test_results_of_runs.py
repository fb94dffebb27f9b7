from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sgpbench.cli.app import app
from sgpbench.results.from_run import export_run, model_arguments
from sgpbench.results.schema import read_result, unrankable_reasons
from sgpbench.results.scores import scores_of_result, scores_of_run

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two baselines on the same twelve generated prompts."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for model in ("baseline/procedural", "baseline/blank"):
        args = ["run", "--model", model, "--task", "shapes", "--limit", "12", "--json", "--runs-dir", str(folder)]
        done = RUNNER.invoke(app, args)
        assert done.exit_code == 0, done.output
        found[model] = Path(json.loads(done.stdout)["runs"][0]["path"])
    return found


@pytest.mark.slow
def test_a_run_is_exported_validated_and_compared(runs: dict[str, Path], tmp_path: Path) -> None:
    for path in runs.values():
        result = read_result(export_run(path, tmp_path)[0])
        assert unrankable_reasons(result) == ["the run is partial"]
    checked = RUNNER.invoke(app, ["validate", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    args = ["compare", str(runs["baseline/procedural"]), "baseline/blank", "--results", str(tmp_path), "--json"]
    (one,) = json.loads(RUNNER.invoke(app, args).stdout)["comparisons"]
    assert (one["task"], one["column"]) == ("shapes", "shapes")
    assert one["slices"][0]["difference"] == 1.0
    assert one["slices"][0]["wins"] == 12


@pytest.mark.slow
def test_a_run_and_its_result_hold_the_same_scores(runs: dict[str, Path], tmp_path: Path) -> None:
    path = export_run(runs["baseline/procedural"], tmp_path)[0]
    run, result = scores_of_run(runs["baseline/procedural"]), scores_of_result(path)
    assert run.prompts.equals(result.prompts)
    assert run.scoring.keys() == result.scoring.keys()
    for name, values in run.values.items():
        assert values == pytest.approx(result.values[name], nan_ok=True)


def test_arguments_are_what_the_user_set() -> None:
    stated = {
        "adapter": "openai",
        "model": "m",
        "api": "chat",
        "sampling": {"temperature": 0.2},
        "body": {"chat_template_kwargs": {"enable_thinking": False, "something": "x" * 40}},
        "weights_sha256": "a" * 64,
        "reasoning_effort": "low",
    }
    found = model_arguments("openai/m", stated)
    assert found.keys() == {"temperature", "body", "reasoning_effort"}
