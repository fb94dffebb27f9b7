"""The wheel, installed away from the checkout: what the README shows works there too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from extras import how_to_get

pytest.importorskip("hatchling", reason=how_to_get("dev"))
pytestmark = pytest.mark.slow

Command = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel; its dependencies are looked up where this test's own are."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # Only folders: an editable sgpbench in one of them is found through a .pth file, and those are not read here.
    places = [entry for entry in sys.path if entry.endswith("-packages")]
    (packages / "dependencies.pth").write_text("\n".join(places), "utf-8")
    return environment


@pytest.fixture
def sgpbench(installed: Path, tmp_path: Path) -> Command:
    """Calls the installed command in an empty folder, with an empty home."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SGPBENCH_", "PYTHON"))}
    home = tmp_path / "home"
    home.mkdir()

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / "bin" / "sgpbench"), *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env | {"HOME": str(home)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return call


def test_it_runs_from_its_own_files(installed: Path) -> None:
    where = [installed / "bin" / "python", "-c", "import sgpbench; print(sgpbench.__file__)"]
    assert str(installed) in subprocess.run(where, cwd=installed, capture_output=True, text=True, check=True).stdout


def test_a_run_its_export_and_a_leaderboard(sgpbench: Command, tmp_path: Path) -> None:
    done = sgpbench("run", "--model", "baseline/procedural", "--task", "shapes", "--limit", "5", "--json")
    (run,) = json.loads(done.stdout)["runs"]
    sgpbench("export", run["path"], "--out", "results")
    sgpbench("validate", "results")
    sgpbench("leaderboard", "build", "--results", "results", "--out", "site")
    assert "baseline/procedural" in (tmp_path / "site" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    "words", ["tasks list", "tasks show shapes", "models list", "metrics list", "data list", "doctor"]
)
def test_what_lists_and_looks(sgpbench: Command, words: str) -> None:
    assert sgpbench(*words.split()).stdout
