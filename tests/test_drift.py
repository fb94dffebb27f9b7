"""Published drawings drawn again: nothing moves where nothing changed, and what does is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_support import Sgpbench, caller
from PIL import Image

from sgpbench.results.from_run import export_run

pytestmark = pytest.mark.slow

SCORES = "validity,structure,shapes"


@pytest.fixture
def sgpbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    return caller(monkeypatch, capsys)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result of six drawings with its evidence."""
    folder = tmp_path_factory.mktemp("published")
    asked = ["--model", "baseline/procedural", "--task", "shapes", "--limit", "6", "--metrics", SCORES]
    command = [sys.executable, "-m", "sgpbench", "run", *asked, "--runs-dir", str(folder / "runs")]
    subprocess.run(command, check=True, capture_output=True)
    (run,) = (folder / "runs").rglob("run.db")
    return export_run(run.parent, folder / "results")[0]


def drift(sgpbench: Sgpbench, *words: str | Path) -> tuple[int, dict[str, Any]]:
    done = sgpbench("data", "drift", *map(str, words), "--json")
    (document,) = json.loads(done.out)["results"]
    return done.code, document


def changed(published: Path, folder: Path, column: str, values: list[Any]) -> Path:
    """A copy of the result in whose evidence the first samples have other values in a column."""
    copy = folder / published.name
    copy.write_bytes(published.read_bytes())
    evidence = published.with_name("shapes@v1.samples.parquet")
    table = pq.read_table(evidence)
    place = table.column_names.index(column)
    old = table.column(column).to_pylist()
    new = pa.array(values + old[len(values) :], table.schema.field(column).type)
    pq.write_table(table.set_column(place, table.schema.field(column), new), folder / evidence.name)
    return copy


def test_nothing_moves_under_the_same_versions(sgpbench: Sgpbench, published: Path, tmp_path: Path) -> None:
    code, first = drift(sgpbench, published, "--keep", tmp_path / "kept")
    assert (code, first["moved"], first["samples"], first["programs"], first["outcomes"]) == (0, False, 6, 0, {})
    assert {"validity", "structure.elements", "shapes"} <= first["columns"].keys()
    assert first["renderer"]["parser"].keys() == {"lxml", "libxml2"}
    code, again = drift(sgpbench, published, "--against", tmp_path / "kept")
    assert (code, again["pixels"]) == (0, {"of": 6, "moved": 0, "share": 0.0, "largest": 0})


def test_scores_outcomes_and_programs_that_move_are_counted(
    sgpbench: Sgpbench, published: Path, tmp_path: Path
) -> None:
    code, found = drift(sgpbench, changed(published, tmp_path, "score.validity", [0.0, 0.0]))
    assert code == 1
    assert found["columns"]["validity"] == {"of": 6, "moved": 2, "largest": 1.0, "mean_by": pytest.approx(1 / 3)}
    assert not found["columns"]["structure.elements"]["moved"]
    _, found = drift(sgpbench, changed(published, tmp_path, "outcome", ["render_error"]))
    assert found["outcomes"] == {"render_error → ok": 1}
    _, found = drift(sgpbench, changed(published, tmp_path, "program", ["<svg/>", "<svg/>", None]))
    assert found["programs"] == 3


def test_pixels_that_differ_from_those_kept_are_counted(sgpbench: Sgpbench, published: Path, tmp_path: Path) -> None:
    drift(sgpbench, published, "--keep", tmp_path / "kept")
    picture = next((tmp_path / "kept").rglob("renders/**/*.png"))
    with Image.open(picture) as image:
        edited = image.convert("RGB")
    red, green, blue = edited.getpixel((0, 0))
    edited.putpixel((0, 0), ((red + 100) % 256 if red < 156 else red - 100, green, blue))
    edited.save(picture)
    code, found = drift(sgpbench, published, "--against", tmp_path / "kept")
    pixels = found["pixels"]
    assert (code, pixels["moved"] >= 1, pixels["largest"]) == (1, True, 100)
    assert pixels["share"] == pytest.approx(1 / (edited.width * edited.height))
    said = sgpbench("data", "drift", str(published), "--against", str(tmp_path / "kept")).out
    assert "drawings with other pixels" in said
    assert "by up to 100 of 255" in said


def test_a_folder_without_drawings_is_said(sgpbench: Sgpbench, published: Path, tmp_path: Path) -> None:
    done = sgpbench("data", "drift", str(published), "--against", str(tmp_path))
    assert done.code == 2
    assert "holds no drawings" in done.err
