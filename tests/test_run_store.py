"""The store: what is committed stays, what is foreign is refused, and nobody else writes at the same time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sgpbench.errors import StoreError
from sgpbench.records import Completion, Failure, FinishReason, Outcome, Prompt, Usage
from sgpbench.run.database import APPLICATION_ID, Database
from sgpbench.run.identity import RunIdentity, read_identity, run_folder, sample_seed, write_identity
from sgpbench.run.store import RunStore

PROMPT = Prompt("p-1", "a red circle", "single", "a red circle")


def identity(**changes: object) -> RunIdentity:
    values: dict[str, object] = {
        "model": "adapter/model",
        "model_identity": {"adapter": "adapter"},
        "task": "shapes",
        "task_version": 1,
        "split": "official",
        "protocol": "v1",
        "generation_hash": "0" * 16,
        "seed": 0,
    }
    return RunIdentity(**(values | changes))  # type: ignore[arg-type]


def add(store: RunStore, text: str = "<svg/>", sample: int = 0) -> None:
    completion = Completion(text, FinishReason.STOP, Usage(10, 20), 0.5, 0.001)
    store.add_completion(
        "p-1", sample, 0, completion, request_hash="h", seed=1, outcome=Outcome.OK, program=text, final=True
    ).result(5)


def test_a_completion_is_there_for_a_reader_once_its_future_is_done(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.add_prompts([(0, PROMPT)], samples=2).result(5)
    add(store)
    view = store.view()
    assert view.answered() == {("p-1", 0)}
    assert view.programs(after=0, limit=10)[0][2] == "<svg/>"
    view.close()
    store.close()


def test_equal_texts_of_two_samples_are_two_completions_of_one_program(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    add(store, sample=0)
    add(store, sample=1)
    view = store.view()
    assert len({program_hash for _, program_hash, _ in view.programs(after=0, limit=10)}) == 1
    assert view.answered() == {("p-1", 0), ("p-1", 1)}
    view.close()
    store.close()


def test_text_with_nul_and_any_unicode_comes_back_unchanged(tmp_path: Path) -> None:
    text = "a\0b\U0001f600\u202e"
    store = RunStore(tmp_path)
    add(store, text)
    view = store.view()
    assert view.programs(after=0, limit=1)[0][2] == text
    view.close()
    store.close()


def test_a_success_forgets_the_failure_before_it(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.add_failure("generate", "", "p-1", 0, Failure(Outcome.API_ERROR, "HTTP 500")).result(5)
    store.add_failure("generate", "", "p-1", 0, Failure(Outcome.API_ERROR, "HTTP 502")).result(5)
    view = store.view()
    assert [(row["times"], row["message"]) for row in view.failures()] == [(2, "HTTP 502")]
    add(store)
    assert view.failures() == []
    view.close()
    store.close()


def test_the_second_process_is_told_who_works_here(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    code = f"from pathlib import Path; from sgpbench.run.store import RunStore; RunStore(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    store.close()
    assert done.returncode == 1
    assert f"Another process (pid {os.getpid()})" in done.stderr


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "run.db")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = (tmp_path / "run.db").read_bytes()
    with pytest.raises(StoreError, match="was not made by sgpbench"):
        RunStore(tmp_path)
    assert (tmp_path / "run.db").read_bytes() == before


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreError, match=r"run\.db is damaged"):
        RunStore(tmp_path)


def test_a_newer_database_asks_for_an_upgrade(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / "run.db")
    newer.executescript(f"CREATE TABLE t (x); PRAGMA user_version = 99; PRAGMA application_id = {APPLICATION_ID};")
    newer.close()
    with pytest.raises(StoreError, match="newer sgpbench"):
        RunStore(tmp_path)


def test_a_failed_start_gives_the_lock_back(tmp_path: Path) -> None:
    (tmp_path / "run.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        RunStore(tmp_path)
    (tmp_path / "run.db").unlink()
    RunStore(tmp_path).close()


def test_a_failing_change_reports_and_the_next_one_still_works(tmp_path: Path) -> None:
    database = Database(tmp_path)

    def broken(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO no_such_table VALUES (1)")

    with pytest.raises(StoreError, match="no_such_table"):
        database.write(broken).result(5)
    database.write(lambda db: db.execute("INSERT INTO settings VALUES ('a', '1')")).result(5)
    database.close()


def test_what_nobody_waits_for_any_more_is_stored_all_the_same(tmp_path: Path) -> None:
    database = Database(tmp_path)
    blocked = threading.Event()
    database.write(lambda db: blocked.wait(5))
    futures = [
        database.write(lambda db, key=key: db.execute("INSERT INTO settings VALUES (?, '1')", (key,)))  # type: ignore[misc]
        for key in "abc"
    ]
    assert not any(future.cancel() for future in futures)
    blocked.set()
    database.close()
    stored = sqlite3.connect(tmp_path / "run.db").execute("SELECT key FROM settings ORDER BY key").fetchall()
    assert stored == [("a",), ("b",), ("c",)]


def test_an_error_of_any_kind_does_not_end_the_writer(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with pytest.raises(StoreError, match="division"):
        database.write(lambda db: 1 / 0).result(5)
    assert database.write(lambda db: 7).result(5) == 7
    database.close()


def test_when_the_disk_is_full_the_reserve_still_takes_what_was_received(tmp_path: Path) -> None:
    database = Database(tmp_path)
    full = True

    def change(db: sqlite3.Connection) -> None:
        nonlocal full
        if full:
            full = False
            raise sqlite3.OperationalError("database or disk is full")
        db.execute("INSERT INTO settings VALUES ('a', '1')")

    database.write(change).result(5)
    assert database.disk_was_full
    assert "nothing that had arrived is asked again" in str(database.disk_full_error())
    assert not (tmp_path / "reserve").exists()
    database.close()
    Database(tmp_path).close()
    assert (tmp_path / "reserve").stat().st_size == 4 << 20


def test_without_reserve_a_full_disk_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    database = Database(tmp_path)
    (tmp_path / "reserve").unlink()

    def change(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(StoreError, match="run the same command again: those alone are asked"):
        database.write(change).result(5)
    database.close()


def test_run_folders_are_readable_and_differ_for_different_identities(tmp_path: Path) -> None:
    folders = {
        run_folder(tmp_path, identity(**changes))
        for changes in (
            {},
            {"seed": 1},
            {"split": "generated"},
            {"model": "adapter%2Fmodel"},
            {"model": "../../etc"},
            {"model": "vllm//abs/path"},
            {"model": "a" * 5000},
            {"model_identity": {"adapter": "adapter", "temperature": 0.5}},
        )
    }
    assert len(folders) == 8
    assert all(folder.resolve().is_relative_to(tmp_path.resolve()) for folder in folders)
    assert any(folder.match("adapter/model/shapes@v1-*") for folder in folders)


def test_the_identity_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_identity(tmp_path, identity(), task="shapes", protocol="v1")
    assert read_identity(tmp_path) == identity()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"identity": {"model": "x"}}', '{"identity": 3}'])
def test_a_damaged_spec_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(StoreError, match=r"spec\.json is damaged"):
        read_identity(tmp_path)


def test_seeds_differ_by_sample_and_attempt_and_fit_every_provider() -> None:
    seeds = {
        sample_seed(seed, prompt, sample, attempt)
        for seed in (0, 1)
        for prompt in "ab"
        for sample in (0, 1)
        for attempt in (0, 1)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert sample_seed(0, "a", 0) == 1327604597
