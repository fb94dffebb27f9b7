"""Pictures are on the disk before the store says so; one that is empty, cut or changed is drawn again and never judged."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from cli_support import Sgpbench, caller

from sgpbench.run.durable import write_durably
from sgpbench.run.pictures import pictures_hold
from sgpbench.run.store import RunView

METRIC = """
from pathlib import Path
from sgpbench.records import Column, Score

class Looks:
    name, version, unit, batch_size = "looks", "1", "UNIT", 2
    needs = frozenset()
    columns = (Column("looks", True, "bytes seen", 0.0, None),)
    identity = {"version": "1"}
    async def score(self, batch):
        sizes = [drawing.rendering.stat().st_size for drawing in batch]
        with Path("seen.log").open("a") as log:
            log.write("".join(f"{size}\\\\n" for size in sizes))
        return [Score({"looks": float(sizes[0])})] if self.unit == "prompt" else [Score({"looks": float(n)}) for n in sizes]
    async def aclose(self):
        pass

def open_looks(context):
    return Looks()
"""
RUN = ("run", "--model", "baseline/procedural", "--task", "shapes", "--limit", "6", "--json")
DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "changed": lambda path: path.write_bytes(path.read_bytes()[:-20] + b"\0" + path.read_bytes()[-19:]),
    "gone": lambda path: path.unlink(),
}


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("unit", ["sample", "prompt"])
def test_a_damaged_picture_is_drawn_again_before_anyone_sees_it(sgpbench: Sgpbench, damage: str, unit: str) -> None:
    Path("looks.py").write_text(METRIC.replace("UNIT", unit).replace("\\\\n", "\\n"))
    folder = Path(str(sgpbench(*RUN, "--metrics", "validity").run["path"]))
    pictures = sorted((folder / "renders").rglob("*.png"))
    before = [path.read_bytes() for path in pictures]
    for path in pictures[::2]:
        DAMAGES[damage](path)
    assert sgpbench("show", str(folder)).code == 0, "a contact sheet leaves damaged pictures out"
    done = sgpbench("score", str(folder), "--metrics", "validity,./looks.py:open_looks", "--json")
    assert done.code == 0
    seen = sorted(int(line) for line in Path("seen.log").read_text().splitlines())
    assert seen == sorted(map(len, before))
    assert [path.read_bytes() for path in pictures] == before


@pytest.mark.parametrize("damage", ["emptied", "cut"])
def test_a_picture_of_an_older_store_must_at_least_be_whole(sgpbench: Sgpbench, damage: str) -> None:
    folder = Path(str(sgpbench(*RUN, "--metrics", "validity").run["path"]))
    plain = sqlite3.connect(folder / "run.db")
    plain.execute("DELETE FROM pictures")
    plain.commit()
    plain.close()
    path = next((folder / "renders").rglob("*.png"))
    view = RunView(folder)
    assert pictures_hold(view, path.stem)
    DAMAGES[damage](path)
    assert not pictures_hold(view, path.stem)
    view.close()


def test_file_and_folder_are_flushed_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ab" / "abc.png"
    flushed: list[tuple[str, bool]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{handle}").readlink().name, path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_durably(path, b"picture")
    assert flushed == [(tmp_path.name, False), ("abc.png.part", False), ("ab", True)]
    assert path.read_bytes() == b"picture"


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    write_durably(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
