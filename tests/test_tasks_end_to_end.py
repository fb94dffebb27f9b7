"""All three tasks through the whole pipeline: real captions where they are here, references made for the test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [pytest.mark.upstream, pytest.mark.slow]

METRIC = '''
"""A metric that needs references and no weights: 1 - mean absolute difference of the 8 x 8 pictures, in [0, 1]."""
import asyncio
import numpy as np
from PIL import Image
from sgpbench.metrics.references import acquire_references, release_references
from sgpbench.records import Column, Score

class Nearness:
    name, version, unit, batch_size = "nearness", "1", "sample", 8
    needs = frozenset({"reference"})
    columns = (Column("nearness", True, "how near the reference", 0.0, 1.0),)
    identity = {"version": "1"}

    def __init__(self, context):
        self.context = context
        self.references = acquire_references(context)

    async def score(self, batch):
        paths = await asyncio.to_thread(self.references.paths, [drawing.prompt.reference for drawing in batch])
        return [Score({"nearness": self.near(drawing.rendering, path)}) for drawing, path in zip(batch, paths)]

    def near(self, drawn, reference):
        small = [np.asarray(Image.open(path).convert("RGB").resize((8, 8)), float) for path in (drawn, reference)]
        return float(1 - np.abs(small[0] - small[1]).mean() / 255)

    async def aclose(self):
        release_references(self.context)

def open_nearness(context):
    return Nearness(context)
'''


@pytest.fixture
def folder(upstream: Path, tmp_path: Path) -> Path:
    """A data directory with the real captions, and a metric file beside it."""
    data = tmp_path / "data"
    data.mkdir()
    for path in upstream.glob("*.json"):
        (data / path.name).symlink_to(path)
    (tmp_path / "metric.py").write_text(METRIC)
    return tmp_path


def _run(folder: Path, task: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from sgpbench.cli import main; main()", "run", "--model", "baseline/procedural"]
    command += [
        "--task",
        task,
        "--samples",
        "1",
        "--data-dir",
        str(folder / "data"),
        "--runs-dir",
        str(folder / "runs"),
    ]
    return subprocess.run([*command, "--json", *words], capture_output=True, text=True, check=False)


def _document(done: subprocess.CompletedProcess[str]) -> dict[str, dict]:  # type: ignore[type-arg]
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    return run  # type: ignore[no-any-return]


def _objects(folder: Path) -> None:
    """A file of SGP-Object's fields whose captions are the captions that questions are published for."""
    captions = list(json.loads((folder / "data" / "sgp_compbench_qa.json").read_bytes()))[:20]
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><rect width="10" height="10" fill="#08f"/></svg>'
    rows = [{"description": text, "svg_content": svg, "file_name": f"made-{k}.svg"} for k, text in enumerate(captions)]
    (folder / "data" / "SGP-Object.json").write_text(json.dumps(rows))


@pytest.mark.parametrize("split", ["official", "generated"])
def test_comp_runs_to_its_end(folder: Path, split: str) -> None:
    run = _document(_run(folder, "comp", "--split", split, "--limit", "8"))
    assert (run["prompts"], run["status"]) == (8, "partial")
    assert run["outcomes"] == {"ok": 8}
    assert run["metrics"]["validity"]["mean"] == 1
    assert set(run["metrics"]["validity"]["categories"]) > {"binding", "relation", "numeracy"}
    assert "Not judged" in str(run["skipped"])


def test_scene_without_photographs_says_so_in_the_affected_column(folder: Path) -> None:
    run = _document(_run(folder, "scene", "--limit", "4"))
    assert run["outcomes"] == {"ok": 4}
    assert "dino" in run["skipped"]
    named = _run(folder, "scene", "--limit", "4", "--metrics", f"validity,{folder / 'metric.py'}:open_nearness")
    assert named.returncode == 1
    assert "references that are not here" in named.stderr
    assert "sgpbench data fetch coco-val2017-photographs" in named.stderr


def test_scene_is_compared_with_photographs(folder: Path) -> None:
    rows = json.loads((folder / "data" / "coco_test_data.json").read_bytes())
    photographs = folder / "data" / "val2017"
    photographs.mkdir()
    Image.new("RGB", (64, 48), "#336699").save(photographs / "made.jpg")
    for image_id in {row["image_id"] for row in rows}:
        (photographs / f"{image_id:012d}.jpg").symlink_to("made.jpg")
    metrics = f"validity,{folder / 'metric.py'}:open_nearness"
    run = _document(_run(folder, "scene", "--limit", "4", "--metrics", metrics))
    assert 0 < run["metrics"]["nearness"]["mean"] < 1
    assert run["metrics"]["nearness"]["n"] == 4


def test_object_is_compared_with_reference_programs(folder: Path) -> None:
    missing = _run(folder, "object", "--limit", "4")
    assert missing.returncode == 1
    assert "sgpbench data fetch sgp-object" in missing.stderr
    _objects(folder)
    metrics = f"validity,{folder / 'metric.py'}:open_nearness"
    run = _document(_run(folder, "object", "--limit", "4", "--metrics", metrics))
    assert run["outcomes"] == {"ok": 4}
    assert 0 < run["metrics"]["nearness"]["mean"] < 1
