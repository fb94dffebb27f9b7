from __future__ import annotations

from pathlib import Path

import pytest

from sgpbench.errors import ResultError
from sgpbench.results.reported import Report, read_reported


@pytest.fixture(scope="module")
def paper() -> Report:
    (report,) = read_reported()
    return report


def value(paper: Report, table: int, model: str, task: str, category: str, metric: str) -> float:
    (row,) = (
        row
        for row in paper.rows
        if (row.table, row.model, row.task, row.category, row.metric) == (table, model, task, category, metric)
    )
    return row.value


def test_the_papers_tables_are_whole(paper: Report) -> None:
    assert paper.source.arxiv == "2509.05208"
    by_table = {number: [row for row in paper.rows if row.table == number] for number in (1, 7, 8)}
    assert {number: len({row.model for row in rows}) for number, rows in by_table.items()} == {1: 17, 7: 26, 8: 18}
    assert {number: len(rows) for number, rows in by_table.items()} == {1: 17 * 12, 7: 26 * 13, 8: 18 * 13}
    places = [(row.table, row.model, row.task, row.category, row.metric) for row in paper.rows]
    assert len(set(places)) == len(places)


def test_what_the_footnotes_say_is_so(paper: Report) -> None:
    for model, parts in (("GPT-4o-mini", 45.2), ("Gemini-2.0-Flash", 46.3)):
        major = [value(paper, 8, model, "comp", name, "judge") for name in ("binding", "relation", "numeracy")]
        assert (1200 * major[0] + 1200 * major[1] + 800 * major[2]) / 3200 == pytest.approx(parts, abs=0.05)
        assert abs(value(paper, 8, model, "comp", "overall", "judge") - parts) > 0.5
    parts = [
        value(paper, 8, "DeepSeek-R1", "comp", f"numeracy/{name}", "judge")
        for name in ("total", "item", "count_per_item")
    ]
    assert 0.2 * parts[0] + 0.2 * parts[1] + 0.6 * parts[2] == pytest.approx(60.0, abs=0.05)
    assert value(paper, 8, "RL-750 (headline)", "comp", "overall", "judge") == 60.8
    assert value(paper, 7, "Qwen-2.5-7B+RL step 750", "comp", "overall", "judge") == 61.3
    assert value(paper, 1, "Qwen-2.5-7B+RL", "average", "overall", "hps") == 0.164


def test_footnotes_mark_what_they_fit_and_nothing_else(paper: Report) -> None:
    marked = {(row.table, row.model, row.category) for row in paper.rows if "overall-parts" in row.footnotes}
    assert marked == {(8, "GPT-4o-mini", "overall"), (8, "Gemini-2.0-Flash", "overall")}
    hps = [row for row in paper.rows if "rl-hps" in row.footnotes]
    assert {(row.model, row.metric) for row in hps} == {("Qwen-2.5-7B+RL", "hps")}
    assert next(row for row in paper.rows if row.metric == "vqa" and row.value == 0.38).text == "0.380"


NOTES = """
[source]
title = "t"
authors = "a"
year = 2025
arxiv = "1"
url = "https://example.org"
notice = "n"
[[tables]]
number = 1
title = "t"
protocol = "p"
"""


@pytest.mark.parametrize(
    ("rows", "notes", "words"),
    [
        ("1,m,comp,overall,judge,high\n", NOTES, "line 2"),
        ("2,m,comp,overall,judge,1.0\n", NOTES, "table 2 is not described"),
        (
            "1,m,comp,overall,judge,1.0\n",
            NOTES + '[[footnotes]]\nid = "x"\ntext = "t"\nmodels = ["q"]\n',
            "no value fits",
        ),
        ("1,m,comp,overall,judge,1.0\n", NOTES + "colour = 1\n", "colour"),
        ("1,m,comp,overall,judge,1.0\n", "[", "not valid TOML"),
    ],
)
def test_broken_reports_name_file_and_place(tmp_path: Path, rows: str, notes: str, words: str) -> None:
    (tmp_path / "p.csv").write_text("table,model,task,category,metric,value\n" + rows)
    (tmp_path / "p.toml").write_text(notes)
    with pytest.raises(ResultError, match=words):
        read_reported(tmp_path)
