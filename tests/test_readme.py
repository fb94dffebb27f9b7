"""The figures of the README are those of the results in this repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sgpbench.results.schema import Metric, read_result
from sgpbench.results.validate import result_files

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| ([\w/.-]+)[^|]*\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def written(metric: Metric) -> str:
    assert metric.ci95 is not None
    return f"{metric.mean:.3f} [{metric.ci95[0]:.3f}, {metric.ci95[1]:.3f}]"


def test_the_table_of_shapes_is_what_the_results_say() -> None:
    results = [read_result(file) for file in result_files([ROOT / "results"])]
    shapes = {one.identity.model: one for one in results if one.identity.task == "shapes"}
    rows = ROW.findall((ROOT / "README.md").read_text("utf-8"))
    told = {name: (all_met, share) for name, all_met, share in rows if name in shapes}
    assert told == {
        name: (written(one.metrics["shapes"]), written(one.metrics["shapes.share"])) for name, one in shapes.items()
    }
    assert len(told) == 4


@pytest.mark.parametrize("picture", ["contact-sheet.png", "leaderboard.png"])
def test_its_pictures_are_here(picture: str) -> None:
    assert f"docs/{picture}" in (ROOT / "README.md").read_text("utf-8")
    assert (ROOT / "docs" / picture).stat().st_size > 10_000
