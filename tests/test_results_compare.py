from __future__ import annotations

import json
from pathlib import Path

import pytest
from results_support import evidence_rows, result, samples
from typer.testing import CliRunner

from sgpbench.cli.compare import app
from sgpbench.errors import ResultError, UsageError
from sgpbench.results.compare import compare, load_scores
from sgpbench.results.export import export

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of unequal ability on 200 prompts, and one that was asked only 20 of them."""
    out = tmp_path_factory.mktemp("results")
    for model, seed, ability, prompts in (
        ("lab/good", 1, 0.9, 200),
        ("lab/poor", 2, 0.2, 200),
        ("lab/other", 3, 0.9, 20),
    ):
        table = samples(prompts, 1, seed, ability)
        whole = result(table, model=model, samples=1, protocol_samples=1)
        export(whole, evidence_rows(table), out)
    return out


def test_the_better_model_wins_overall_and_by_category(results: Path) -> None:
    (one,) = compare(load_scores("lab/good", results), load_scores("lab/poor", results))
    assert (one.task, one.column) == ("comp", "judge[robot]")
    assert [part.name for part in one.slices] == ["overall", "binding", "binding/color", "counting", "distinct texts"]
    overall = one.slices[0]
    assert overall.comparison.difference == pytest.approx(overall.first_mean - overall.second_mean)
    assert 0 < overall.comparison.low < overall.comparison.difference < overall.comparison.high
    assert overall.comparison.p_value < 0.001
    assert overall.comparison.n == 200
    assert overall.comparison.clusters == 198
    sides = [
        (part.comparison.wins, part.comparison.ties, part.comparison.losses, part.comparison.n) for part in one.slices
    ]
    assert all(wins + ties + losses == n for wins, ties, losses, n in sides)
    assert overall.comparison.wins > overall.comparison.losses
    assert overall.comparison.prompts_needed is not None
    assert overall.comparison.prompts_needed < 200


def test_swapping_the_models_mirrors_the_comparison(results: Path) -> None:
    good, poor = load_scores("lab/good", results), load_scores("lab/poor", results)
    one, other = compare(good, poor)[0].slices[0].comparison, compare(poor, good)[0].slices[0].comparison
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert (one.wins, one.losses) == (other.losses, other.wins)
    assert one.low == pytest.approx(-other.high, abs=1.0)


def test_only_common_prompts_are_compared_and_it_says_so(results: Path) -> None:
    (one,) = compare(load_scores("lab/good", results), load_scores("lab/other", results))
    assert one.slices[0].comparison.n == 20
    assert one.notes == ("Only 20 of 200 prompts of lab/good are common to both.",)
    assert one.slices[0].comparison.p_value > 0.05


def test_columns_scored_in_different_ways_are_not_compared(results: Path, tmp_path: Path) -> None:
    table = samples(20, 1, 4)
    path, _ = export(
        result(table, model="lab/elsewhere", samples=1, protocol_samples=1, scoring_hash="0" * 16),
        evidence_rows(table),
        tmp_path,
    )
    with pytest.raises(UsageError, match="scored in different ways"):
        compare(load_scores("lab/good", results), load_scores(str(path), results))


def test_what_does_not_exist_is_a_usage_error(results: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean lab/good"):
        load_scores("lab/goof", results)
    with pytest.raises(UsageError, match="no result on the task 'scene'"):
        load_scores("lab/good", results, "scene")
    with pytest.raises(UsageError, match="no column 'clip'"):
        compare(load_scores("lab/good", results), load_scores("lab/poor", results), columns=["clip"])


def test_missing_evidence_says_where_it_can_be_had(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "comp@v1.json"
    copy.write_bytes((results / "lab" / "good" / "comp@v1.json").read_bytes())
    with pytest.raises(ResultError, match="Export the run again"):
        load_scores(str(copy), results)


def test_the_table_fits_80_columns_and_ends_in_words(results: Path) -> None:
    done = RUNNER.invoke(app, ["lab/good", "lab/poor", "--results", str(results)], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "A is better (p <.001)." in done.stdout
    assert "…\n" not in done.stdout
    for word in ("overall", "color", "W/T/L", "distinct"):
        assert word in done.stdout
    undecided = RUNNER.invoke(app, ["lab/good", "lab/other", "--results", str(results)], env={"COLUMNS": "80"})
    assert "do not tell the two apart" in undecided.stdout


def test_json_holds_every_slice(results: Path) -> None:
    args = ["lab/good", "lab/poor", "--json", "--results", str(results), "--column", "validity"]
    document = json.loads(RUNNER.invoke(app, args).stdout)
    (one,) = document["comparisons"]
    assert one["column"] == "validity"
    assert {part["name"] for part in one["slices"]} >= {"overall", "counting"}
    assert one["slices"][0].keys() >= {"difference", "ci95", "p_value", "wins", "ties", "losses", "prompts_needed"}
