"""SIGKILL at any moment loses nothing that was stored, and what comes out in the end is the same."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgpbench.errors import StoreError
from sgpbench.run.store import RunView

pytestmark = pytest.mark.slow

MODEL = f"{Path(__file__).with_name('counting_model.py')}:open_counting/m"


def command(folder: Path, log: Path, *, delay_ms: int) -> list[str]:
    arguments = ["run", "--model", MODEL, "--task", "shapes", "--limit", "120", "--samples", "2", "--json"]
    arguments += ["--runs-dir", str(folder), "--model-arg", f"log={log}", "--model-arg", f"delay_ms={delay_ms}"]
    return [sys.executable, "-m", "sgpbench", *arguments]


def stored(runs: Path) -> set[tuple[str, int]]:
    for database in runs.rglob("run.db"):
        try:
            view = RunView(database.parent)
            answered = view.answered()
        except (StoreError, sqlite3.Error):
            return set()
        view.close()
        return answered
    return set()


def asked(log: Path) -> list[tuple[str, int]]:
    if not log.exists():
        return []
    lines = log.read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def finish(folder: Path, log: Path) -> Path:
    done = subprocess.run(command(folder, log, delay_ms=0), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"]
    return Path(run["path"])


def evidence(run: Path, out: Path) -> bytes:
    subprocess.run(
        [sys.executable, "-m", "sgpbench", "export", str(run), "--out", str(out)], check=True, capture_output=True
    )
    (parquet,) = out.rglob("*.samples.parquet")
    return parquet.read_bytes()


def wait_until_asking(process: subprocess.Popen[bytes], log: Path, lines: int) -> None:
    while process.poll() is None and len(asked(log)) == lines:
        time.sleep(0.01)


def test_25_kills_change_nothing_and_nothing_stored_is_asked_again(tmp_path: Path) -> None:
    chance = random.Random(20250905)
    log = tmp_path / "asked.log"
    landed = 0
    for turn in range(25):
        before = stored(tmp_path / "killed")
        lines = len(asked(log))
        process = subprocess.Popen(
            command(tmp_path / "killed", log, delay_ms=600), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if turn % 4:
            wait_until_asking(process, log, lines)
        time.sleep(chance.uniform(0.0, 1.2))
        landed += process.poll() is None
        process.kill()
        process.wait()
        again = before & set(asked(log)[lines:])
        assert not again, f"stored already, and asked again: {sorted(again)[:5]}"
    assert landed >= 15, "too few kills met a process at work to show anything"
    before, lines = stored(tmp_path / "killed"), len(asked(log))
    killed = finish(tmp_path / "killed", log)
    assert not before & set(asked(log)[lines:])
    calm = finish(tmp_path / "calm", tmp_path / "calm.log")
    assert evidence(killed, tmp_path / "a") == evidence(calm, tmp_path / "b")


def test_ctrl_c_waits_for_what_is_in_flight_and_says_how_to_go_on(tmp_path: Path) -> None:
    log = tmp_path / "asked.log"
    process = subprocess.Popen(
        command(tmp_path / "runs", log, delay_ms=400), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(asked(log)) < 16:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "waiting for what is in flight" in errors
    assert "again to continue" in errors
    assert stored(tmp_path / "runs") == set(asked(log))


def test_a_second_ctrl_c_stops_at_once_and_keeps_what_had_arrived(tmp_path: Path) -> None:
    log = tmp_path / "asked.log"
    process = subprocess.Popen(
        command(tmp_path / "runs", log, delay_ms=300), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while len(asked(log)) < 40:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    kept = stored(tmp_path / "runs")
    assert len(kept) >= 24
    lines = len(asked(log))
    finish(tmp_path / "runs", log)
    assert not kept & set(asked(log)[lines:])
