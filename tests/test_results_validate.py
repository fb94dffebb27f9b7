from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from results_support import evidence_rows, result, samples
from typer.testing import CliRunner

from sgpbench.cli.validate import app
from sgpbench.errors import UsageError
from sgpbench.results.evidence import evidence_of
from sgpbench.results.export import export
from sgpbench.results.schema import canonical_json, parse_result
from sgpbench.results.validate import result_files, validate, validate_result

# v1 asks for one sample of each comp prompt.
ONE = {"samples": 1, "protocol_samples": 1}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    table = samples(prompts=30, per_prompt=1)
    return export(result(table, **ONE), evidence_rows(table), tmp_path / "results")[0]


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(canonical_json(parse_result(json.dumps(document), path.name)))


def problems(path: Path) -> str:
    return "\n".join(validate_result(path)[0])


def test_what_export_writes_is_valid(published: Path) -> None:
    assert validate_result(published) == ([], [])
    assert validate([published.parents[1]]).problems == ()


def test_a_number_that_the_evidence_does_not_give_is_found(published: Path) -> None:
    def flatter(document: dict[str, Any]) -> None:
        for number in ("mean", "ci95"):
            value = document["metrics"]["judge[robot]"][number]
            document["metrics"]["judge[robot]"][number] = [v + 5 for v in value] if number == "ci95" else value + 5

    edit(published, flatter)
    assert "column judge[robot]: mean is" in problems(published)
    assert "ci95[0]" in problems(published)


def test_a_category_and_a_valid_only_mean_are_recomputed_too(published: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        category = document["metrics"]["judge[robot]"]["categories"]["counting"]
        category["ci95"] = [category["ci95"][0], 100.0]
        document["metrics"]["judge[robot]"]["valid_only"]["mean"] = 99.0

    edit(published, change)
    assert "column judge[robot], counting: ci95[1] is 100.0" in problems(published)
    assert "valid_only is 99.0" in problems(published)


def test_a_changed_evidence_file_is_found(published: Path) -> None:
    evidence = published.with_name("comp@v1.samples.parquet")
    evidence.write_bytes(evidence.read_bytes() + b" ")
    assert "not the file it was made with" in problems(published)
    evidence.unlink()
    assert "is missing" in problems(published)


def test_forged_evidence_with_a_right_hash_is_found(published: Path) -> None:
    evidence = published.with_name("comp@v1.samples.parquet")
    table = pq.read_table(evidence).to_pandas()
    table.loc[table["outcome"] == "ok", "score.judge[robot]"] = 400.0
    table.loc[0, "outcome"] = "refused"
    table.to_parquet(evidence)

    def claim(document: dict[str, Any]) -> None:
        document["evidence"] = evidence_of(evidence, len(table), None).model_dump(mode="json")

    edit(published, claim)
    assert "column judge[robot] has scores outside 0.0 to 100.0" in problems(published)
    assert "its outcomes are" in problems(published)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("generation_hash", "0" * 16, "generation hash is not that of v1"),
        ("scoring_hash", "0" * 16, "scoring hash is not that of v1"),
        ("task_version", 7, "is of version 7 of the task comp"),
        ("task", "comq", "no task named 'comq'"),
        ("split", "sideways", "no split 'sideways'"),
        ("protocol", "v9", "the protocol 'v9' is not known"),
        ("model", "org/other", "by its identity it belongs at org/other/comp@v1.json"),
    ],
)
def test_an_identity_that_is_not_known_here_is_found(published: Path, place: str, value: object, words: str) -> None:
    edit(published, lambda document: document["identity"].__setitem__(place, value))
    assert words in problems(published)


def test_another_version_of_a_metric_is_found(published: Path) -> None:
    edit(published, lambda document: document["scoring"]["validity"].__setitem__("version", "2"))
    assert "column validity: version 2 of the metric; v1 pins 1" in problems(published)


def test_reordered_json_is_not_canonical(published: Path) -> None:
    published.write_text(json.dumps(json.loads(published.read_bytes())))
    assert problems(published) == "is not in canonical form; export it again"


def test_large_evidence_needs_an_address(published: Path) -> None:
    evidence = published.with_name("comp@v1.samples.parquet")
    edit(published, lambda document: document["evidence"].__setitem__("bytes", 6_000_000))
    assert "put it elsewhere" in problems(published)
    evidence.unlink()
    edit(published, lambda document: document["evidence"].__setitem__("address", "https://example.org/e.parquet"))
    assert "https://example.org/e.parquet and not here, so that the result is unchecked" in problems(published)


def test_numbers_from_papers_and_the_schema_are_not_results(tmp_path: Path, published: Path) -> None:
    root = published.parents[2]
    (root / "reported").mkdir()
    (root / "reported" / "notes.json").write_text("{}")
    assert result_files([root]) == [published]
    assert result_files([published.with_name("comp@v1.samples.parquet"), published]) == [published]
    with pytest.raises(UsageError, match="no file or folder"):
        result_files([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="no result"):
        validate([root / "reported"])


def test_the_command_prints_one_line_per_problem(published: Path) -> None:
    runner = CliRunner()
    fine = runner.invoke(app, [str(published)])
    assert fine.exit_code == 0
    assert "1 result checked, no problem." in fine.stderr
    shutil.move(published, published.with_name("comp@v2.json"))
    wrong = runner.invoke(app, [str(published.parents[1])])
    assert wrong.exit_code == 1
    lines = wrong.stdout.splitlines()
    assert any("belongs at org/model/comp@v1.json" in line for line in lines)
    assert any("evidence without a result" in line for line in lines)
    document = json.loads(runner.invoke(app, ["--json", str(published.parents[1])]).stdout)
    assert len(document["problems"]) == len(lines)
