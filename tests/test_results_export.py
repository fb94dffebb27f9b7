from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_support import evidence_rows, identity, result, samples

from sgpbench.errors import ResultError
from sgpbench.results.export import build_result, export
from sgpbench.results.naming import result_path
from sgpbench.results.schema import (
    Execution,
    Result,
    canonical_json,
    column_key,
    json_schema,
    parse_result,
    rankable,
    read_result,
    unrankable_reasons,
)

ROOT = Path(__file__).resolve().parents[1]


def document(**changes: Any) -> dict[str, Any]:
    """A valid result as JSON, with changes at dotted places."""
    value: dict[str, Any] = json.loads(canonical_json(result(samples())))
    for place, new in changes.items():
        *path, last = place.split("__")
        inner = value
        for key in path:
            inner = inner[key]
        inner[last] = new
    return value


def test_equal_runs_export_equal_bytes_but_for_execution(tmp_path: Path) -> None:
    table = samples()
    first = export(result(table, Execution(started="2026-01-01T00:00:00Z")), evidence_rows(table), tmp_path / "a")
    shuffled = table.sample(frac=1, random_state=1)
    second = export(result(shuffled, Execution(started="2026-01-02T00:00:00Z")), evidence_rows(table), tmp_path / "b")
    assert first[1].read_bytes() == second[1].read_bytes()
    left, right = (json.loads(paths[0].read_bytes()) for paths in (first, second))
    assert left.pop("execution") != right.pop("execution")
    assert left == right


def test_a_result_lies_under_its_model_task_and_protocol(tmp_path: Path) -> None:
    table = samples()
    path, evidence = export(result(table), evidence_rows(table), tmp_path)
    assert path == tmp_path / "org/model/comp@v1.json"
    assert evidence == tmp_path / "org/model/comp@v1.samples.parquet"
    read = read_result(path)
    assert read.evidence is not None
    assert read.evidence.sha256 == hashlib.sha256(evidence.read_bytes()).hexdigest()
    assert read.evidence.rows == len(table)
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, evidence.name}


def test_evidence_holds_what_scoring_again_needs(tmp_path: Path) -> None:
    table = samples()
    _, path = export(result(table), evidence_rows(table), tmp_path)
    rows = pq.read_table(path).to_pylist()
    assert [(row["prompt_id"], row["sample"]) for row in rows] == sorted((r["prompt_id"], r["sample"]) for r in rows)
    assert rows[0].keys() >= {"completion", "program", "finish_reason", "score.judge[robot]", "evidence.judge[robot]"}
    failed = next(row for row in rows if row["outcome"] == "truncated")
    assert failed["score.judge[robot]"] == 0.0
    assert failed["score.structure.elements"] is None
    assert b"pandas" not in path.read_bytes()


def test_unsorted_evidence_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    table = samples()
    with pytest.raises(ResultError, match="not sorted"):
        export(result(table), reversed(list(evidence_rows(table))), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_differently_set_up_model_of_the_same_name_is_not_overwritten(tmp_path: Path) -> None:
    table = samples()
    export(result(table), evidence_rows(table), tmp_path)
    with pytest.raises(ResultError, match="same name"):
        export(result(table, model_identity={"weights": "other"}), evidence_rows(table), tmp_path)
    export(result(samples(seed=1)), evidence_rows(samples(seed=1)), tmp_path)


def test_the_published_schema_is_current_and_accepts_results() -> None:
    published = (ROOT / "results" / "schema" / "result-v1.json").read_bytes()
    assert published == json_schema(), "run: python -m sgpbench.results.schema > results/schema/result-v1.json"
    jsonschema.Draft202012Validator(json.loads(published)).validate(document())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples": 23}, "add up"),
        ({"split_prompts": 3}, "12 prompts in a split of 3"),
        ({"metrics__validity__mean": 7.0}, "outside its interval"),
        ({"metrics__other": {"mean": 1.0, "ci95": None, "n": 1, "clusters": 1, "higher_is_better": True}}, "other"),
        ({"identity__scoring_hash": "12"}, "pattern"),
        ({"outcomes": {"ok": 23, "api_error": 1}}, "no api_error"),
        ({"outcomes": {"fine": 24}}, "api_error"),
        ({"verification": {"status": "verified"}}, "by whom"),
        ({"colour": "red"}, "colour"),
        ({"metrics__validity__ci95": [0.0]}, "at least 2"),
    ],
)
def test_contradictions_are_refused_with_the_first_fault_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ResultError, match=words) as caught:
        parse_result(json.dumps(document(**changes)), "some.json")
    assert str(caught.value).startswith("some.json")


def test_results_that_are_no_results_are_refused() -> None:
    for text in ("{", "[]", "{}", '{"schema_version": "1"}'):
        with pytest.raises(ResultError, match=r"x\.json"):
            parse_result(text, "x.json")
    with pytest.raises(ResultError, match="newer sgpbench"):
        parse_result('{"schema_version": 99}', "x.json")


def test_only_complete_official_results_by_the_protocols_samples_are_ranked() -> None:
    table = samples()
    whole = result(table)
    assert rankable(whole, "validity")
    assert not rankable(whole, "judge[other]")
    assert unrankable_reasons(result(table, split="generated")) == ["the split is generated, not official"]
    assert unrankable_reasons(result(table, protocol_samples=1))
    partial = parse_result(json.dumps(document(status="partial", split_prompts=99)), "x")
    assert unrankable_reasons(partial) == ["the run is partial"]
    custom = parse_result(json.dumps(document(scoring__validity__published_weights=False)), "x")
    assert not rankable(custom, "validity")
    assert rankable(custom, "judge[robot]")


def test_columns_are_ranked_together_only_where_they_were_made_alike() -> None:
    plain = result(samples())
    other_run = result(samples(seed=3), model="another", seed=4)
    assert column_key(plain, "validity") == column_key(other_run, "validity")
    stricter = parse_result(json.dumps(document(scoring__validity__version="2")), "x")
    assert column_key(plain, "validity") != column_key(stricter, "validity")
    assert column_key(plain, "judge[robot]") == column_key(stricter, "judge[robot]")


def test_what_is_not_json_is_not_published() -> None:
    table = samples()
    plain = result(table)
    with pytest.raises(ResultError, match="not JSON"):
        build_result(
            json.loads(canonical_json(plain)) | {"usage": {}},
            identity=plain.identity,
            split_prompts=12,
            scoring=plain.scoring,
            model_info={"x": dataclasses},  # type: ignore[dict-item]
        )


IDENTITIES = st.builds(
    identity,
    model=st.text(alphabet="aB/.~%-_@ é", min_size=1, max_size=8) | st.text(min_size=1, max_size=300),
    model_args=st.dictionaries(
        st.sampled_from(["a", "b,c", "d"]), st.sampled_from(["1", 1, "x=y", "x", None, "é" * 90])
    ),
    task_version=st.integers(1, 3),
    split=st.sampled_from(["official", "generated", "a,b"]),
    seed=st.integers(0, 2),
    samples=st.integers(1, 3),
    generation_hash=st.sampled_from([identity().generation_hash, "0" * 16]),
    scoring_hash=st.sampled_from([identity().scoring_hash, "0" * 16]),
)


@given(IDENTITIES, IDENTITIES)
def test_file_names_are_injective_and_safe(first: Any, second: Any) -> None:
    paths = result_path(first), result_path(second)
    assert (paths[0] == paths[1]) == (first == second)
    for path in paths:
        assert not path.is_absolute()
        assert all(part.isascii() and len(part) < 250 and part.strip(".") for part in path.parts)
        assert path == PurePosixPath(str(path))
        assert path.name.startswith("comp@v1")
        assert path.suffix == ".json"


def test_every_result_survives_a_round_trip() -> None:
    whole = result(samples())
    assert parse_result(canonical_json(whole), "x") == whole
    assert isinstance(whole, Result)
