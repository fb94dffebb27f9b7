"""A worker that has been taken over by code in it changes nothing outside its own picture."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from svg_attack import DENIED, FORGED, UNSEEN, attack, forged_png, injected, try_calls
from svg_support import V1, impatient, svg

from sgpbench.records import Outcome
from sgpbench.svg import process
from sgpbench.svg.frames import FrameError
from sgpbench.svg.pictures import require_plain_png
from sgpbench.svg.sandbox import Sandbox

PLAIN = svg('<rect width="3" height="3"/>')


@pytest.fixture(scope="module")
def taken() -> Iterator[Sandbox]:
    """A sandbox whose workers do what a program says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_START", injected())
        # No time is measured here: nothing that a loaded machine could be too slow for.
        with Sandbox(impatient(V1, 30), "namespaces", workers=1) as sandbox:
            yield sandbox


def test_no_system_call_gets_a_worker_beyond_its_fonts(taken: Sandbox, tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of these calls are those of x86-64")
    if taken.level != "full":
        pytest.skip("this machine cannot confine workers fully; the sandbox says so")
    outside = tmp_path / "outside"
    outside.write_text("secret")
    outside.chmod(0o666)
    tmp_path.chmod(0o777)
    before = outside.stat()
    rendered = taken.submit(attack(f"calls {outside}")).result(60)
    assert rendered.outcome is Outcome.RENDER_ERROR
    tried, through, seen = json.loads(rendered.message or "")
    assert tried == len(DENIED) + len(UNSEEN) >= 84
    assert (through, seen) == ([], [])
    assert (outside.read_text(), outside.stat()[:8]) == ("secret", before[:8])
    assert os.listdir(tmp_path) == ["outside"]  # noqa: PTH208
    assert taken.submit(PLAIN).result(60).outcome is Outcome.OK


def test_the_same_calls_reach_out_where_nothing_is_confined(tmp_path: Path) -> None:
    """The negative control: without confinement these would have found the file."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of these calls are those of x86-64")
    outside = tmp_path / "outside"
    outside.write_text("secret")
    harmless = {"stat", "lstat", "openat O_PATH", "newfstatat by name", "readlinkat", "statx by name", "statfs", "dup"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("svg_attack.DENIED", {name: DENIED[name] for name in harmless})
        _, through, seen = json.loads(try_calls(str(outside)))
    assert set(through) == harmless
    assert len(seen) == len(UNSEEN)


def test_a_worker_has_no_privileges_and_where_root_is_another_user(taken: Sandbox) -> None:
    if taken.level != "full":
        pytest.skip("this machine cannot confine workers fully; the sandbox says so")
    taken.submit(PLAIN).result(60)
    worker = psutil.Process(taken.worker_pids[0])
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines())
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if os.geteuid() == 0:
        assert 0 not in worker.uids()
        assert 0 not in worker.gids()


# Each costs a worker; a few of them are enough while one works on something else.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if number % 6 else []) for number, name in enumerate(FORGED)]
)
def test_forged_frames_cost_the_drawing_of_their_worker_and_no_other(taken: Sandbox, name: str) -> None:
    rendered = taken.submit(attack(f"frame {name}")).result(120)
    assert rendered.outcome is Outcome.RENDER_CRASH, name
    assert rendered.png is None
    assert rendered.message
    assert taken.submit(PLAIN).result(120).outcome is Outcome.OK
    assert not Path("/tmp/sgpbench-escaped").exists()


def test_at_least_thirteen_kinds_of_frames_are_forged() -> None:
    assert len(FORGED) >= 13


def test_a_plain_picture_is_taken_for_what_it_is() -> None:
    assert require_plain_png(forged_png(5, 7)) == (5, 7)
    assert require_plain_png(forged_png(700, 700)) == (700, 700), "larger than what is inflated in one step"
    for broken in (b"", b"\x89PNG\r\n\x1a\n", forged_png(0, 7), forged_png() + b"x", forged_png(rows=b"")):
        with pytest.raises(FrameError):
            require_plain_png(broken)


def test_a_poisoned_worker_costs_no_other_drawing(taken: Sandbox) -> None:
    assert taken.submit(attack("poison")).result(60).outcome is Outcome.RENDER_ERROR
    rendered = taken.submit(PLAIN).result(60)
    assert rendered.outcome is Outcome.OK
    assert rendered.message is None
