"""Results made to break their reader are refused with a sentence that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from results_support import evidence_rows, result, samples

from sgpbench.errors import ResultError
from sgpbench.leaderboard.build import build_site
from sgpbench.leaderboard.downloads import atom_feed
from sgpbench.leaderboard.entries import read_entries
from sgpbench.results.evidence import evidence_of, read_evidence
from sgpbench.results.export import export
from sgpbench.results.schema import canonical_json, parse_result
from sgpbench.results.validate import validate

ONE = {"samples": 1, "protocol_samples": 1}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A result to be attacked, beside an honest one."""
    table = samples(prompts=30, per_prompt=1)
    export(result(table, model="org/honest", **ONE), evidence_rows(table), tmp_path / "results")
    return export(result(table, **ONE), evidence_rows(table), tmp_path / "results")[0]


def stands(published: Path, words: str) -> None:
    """The attacked result alone is reported, by validation and by the reader of the site."""
    root = published.parents[2]
    found = validate([root]).problems
    assert {problem.path for problem in found} == {published}
    assert words in " ".join(problem.message for problem in found)
    entries, _ = read_entries(root, root.parent / "cache")
    honest = [entry for entry in entries if entry.result.identity.model == "org/honest"]
    assert len(honest) == 1
    assert honest[0].digest is not None


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1e400", "1" + "0" * 400, "1" + "0" * 5000, "NaN", "-Infinity"])
@pytest.mark.parametrize("place", ["free", "seconds", "cost_usd", "seed"])
def test_an_extreme_number_breaks_one_result_alone(published: Path, place: str, number: str) -> None:
    document = json.loads(published.read_bytes())
    part = document["identity"] if place == "seed" else document["execution"]
    part[place] = "@here@"
    published.write_text(json.dumps(document).replace('"@here@"', number))
    stands(published, "not JSON")


MOMENTS = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "tomorrow", "2026-13-40"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_date_out_of_range_is_found_and_leaves_the_feed_whole(published: Path, moment: str) -> None:
    document = json.loads(published.read_bytes())
    document["execution"]["finished"] = moment
    write(published, document)
    stands(published, "execution.finished is no date of our time")
    entries, _ = read_entries(published.parents[2], published.parents[3] / "cache")
    assert atom_feed(entries, None).count(b"<entry>") == 1
    assert b"9999" not in atom_feed(entries, None)


def test_the_site_of_many_hostile_results_is_built_and_shows_the_honest_one(published: Path) -> None:
    root, honest = published.parents[2], published.parents[1] / "honest" / "comp@v1.json"
    text = honest.read_text()
    forgeries = [
        text.replace('"seed": 0', '"seed": ' + number) for number in ("1e308", "1" + "0" * 400, "NaN", "1" * 6000)
    ]
    forgeries += [
        "",
        "[]",
        "[" * 100_000,
        text[:-40],
        text.replace("{", '{"samples": 1,', 1),
        "\udcff",
        '{"a": "\\ud800"}',
    ]
    for moment in MOMENTS:
        document = json.loads(text)
        document["execution"]["finished"] = moment
        forgeries.append(json.dumps(document))
    for number, forged in enumerate(forgeries):
        folder = root / "hostile" / str(number)
        folder.mkdir(parents=True)
        (folder / "comp@v1.json").write_text(forged, errors="surrogateescape")
        shutil.copy(honest.with_name("comp@v1.samples.parquet"), folder)
    attack(published, pq.read_table(published.with_name("comp@v1.samples.parquet")).drop_columns(["flags"]))
    report = build_site(root, root.parent / "site")
    left_out = {number for number in range(len(forgeries)) if f"hostile/{number}/" in " ".join(report.warnings)}
    assert left_out == set(range(len(forgeries) - len(MOMENTS)))
    assert "org/honest" in (root.parent / "site" / "index.html").read_text()


def test_a_key_that_stands_twice_is_refused(published: Path) -> None:
    published.write_text(published.read_text().replace("{", '{"schema_version": 1,', 1))
    stands(published, "'schema_version' stands twice")


def _replace(name: str, column: Callable[[int], pa.Array]) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, column(len(table)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_replace("outcome", lambda n: pa.nulls(n, pa.string())), "outcome has rows without a value"),
        (_replace("prompt_id", lambda n: pa.array([None, *["a"] * (n - 1)])), "prompt_id has rows without"),
        (_replace("flags", lambda n: pa.nulls(n, pa.list_(pa.string()))), "flags has rows without"),
        (_replace("sample", lambda n: pa.array(["0"] * n)), "sample has the type string"),
        (_replace("cluster", lambda n: pa.array([1.0] * n)), "cluster has the type double"),
        (_replace("score.validity", lambda n: pa.array(["1"] * n)), "score.validity has the type string"),
        (_replace("flags", lambda n: pa.array(["text"] * n)), "flags has the type string"),
        (lambda table: table.append_column("outcome", table["outcome"]), "outcome more than once"),
        (lambda table: table.drop_columns(["outcome"]), "lacks the columns outcome"),
    ],
)
def test_a_hostile_column_breaks_one_result_alone(
    published: Path, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    attack(published, change(pq.read_table(published.with_name("comp@v1.samples.parquet"))))
    stands(published, words)


def attack(published: Path, table: pa.Table) -> None:
    """Puts forged evidence beside a result and mends its hash, size and number of rows."""
    evidence = published.with_name("comp@v1.samples.parquet")
    pq.write_table(table, evidence)
    document = json.loads(published.read_bytes())
    document["evidence"] = evidence_of(evidence, len(table), None).model_dump(mode="json")
    write(published, document)


def write(published: Path, document: dict[str, Any]) -> None:
    """A changed result in canonical form, so that nothing but the change is found."""
    published.write_bytes(canonical_json(parse_result(json.dumps(document), published.name)))


def test_a_small_file_that_fills_the_memory_is_refused_before_it_does(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 6_000, pa.int32()), pa.array(["a" * 1_000_000]))
    pq.write_table(pa.table({"completion": text}), bomb, compression="zstd", store_schema=False)
    assert bomb.stat().st_size < 1_400_000
    with pytest.raises(ResultError, match="inflates to over 1000 MB"):
        read_evidence(bomb)


def test_another_number_of_rows_is_found_before_they_are_read(published: Path) -> None:
    with pytest.raises(ResultError, match="has 30 rows, not 29"):
        read_evidence(published.with_name("comp@v1.samples.parquet"), rows=29)


def test_a_symbolic_link_is_refused(published: Path) -> None:
    evidence = published.with_name("comp@v1.samples.parquet")
    kept = published.parents[3] / "elsewhere.parquet"
    evidence.rename(kept)
    evidence.symlink_to(kept)
    assert "is a symbolic link" in " ".join(p.message for p in validate([published]).problems)
