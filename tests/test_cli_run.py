"""The command line as a user meets it: what it prints, its exit codes, and one line for every mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Done, Sgpbench, caller
from leaderboard_support import publish

COUNTING = f"{Path(__file__).with_name('counting_model.py')}:open_counting/m"


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


def run_counting(sgpbench: Sgpbench, *words: str, log: str = "asked.log") -> Done:
    return sgpbench("run", "--model", COUNTING, "--task", "shapes", "--model-arg", f"log={log}", "--json", *words)


def answered(done: Done) -> int:
    from sgpbench.run.store import RunView

    view = RunView(Path(str(done.run["path"])))
    count = len(view.answered())
    view.close()
    return count


def asked(path: str = "asked.log") -> int:
    return len(Path(path).read_text().splitlines())


def test_a_run_prints_one_json_document_with_every_field(sgpbench: Sgpbench) -> None:
    done = run_counting(sgpbench, "--limit", "12")
    assert done.code == 0
    run = done.run
    assert {"path", "model", "task", "protocol", "split", "status", "prompts", "clusters", "samples"} <= run.keys()
    assert {"outcomes", "flags", "metrics", "skipped", "usage"} <= run.keys()
    assert run["status"] == "partial"
    assert sum(run["outcomes"].values()) == 12  # type: ignore[attr-defined]
    validity = run["metrics"]["validity"]  # type: ignore[index]
    assert validity["ci95"][0] <= validity["mean"] <= validity["ci95"][1]
    assert validity["n"] == 12
    assert validity["higher_is_better"] is True


def test_the_same_command_again_asks_nothing_and_gives_the_same_numbers(sgpbench: Sgpbench) -> None:
    first = run_counting(sgpbench, "--limit", "8")
    count = asked()
    second = run_counting(sgpbench, "--limit", "8")
    assert asked() == count == 8
    assert first.run == second.run


def test_a_larger_limit_and_more_samples_extend_the_run(sgpbench: Sgpbench) -> None:
    small = run_counting(sgpbench, "--limit", "5").run
    larger = run_counting(sgpbench, "--limit", "9").run
    assert asked() == 9
    more = run_counting(sgpbench, "--limit", "9", "--samples", "3").run
    assert asked() == 27
    assert small["path"] == larger["path"] == more["path"]
    assert (larger["samples"], more["samples"]) == (9, 27)


def test_another_seed_or_another_model_argument_is_another_run(sgpbench: Sgpbench) -> None:
    paths = {
        run_counting(sgpbench, "--limit", "1").run["path"],
        run_counting(sgpbench, "--limit", "1", "--seed", "7").run["path"],
    }
    assert len(paths) == 2


def test_stages_can_be_run_one_by_one(sgpbench: Sgpbench) -> None:
    generated = run_counting(sgpbench, "--limit", "4", "--stages", "generate")
    assert generated.code == 3
    assert generated.run["status"] == "incomplete"
    finished = run_counting(sgpbench, "--limit", "4", "--stages", "render,score")
    assert finished.code == 0
    assert asked() == 4


def test_scoring_again_needs_no_model(sgpbench: Sgpbench) -> None:
    run = run_counting(sgpbench, "--limit", "4").run
    count = asked()
    again = sgpbench("score", str(run["path"]), "--metrics", "structure", "--json")
    assert again.code == 0
    assert asked() == count
    assert again.run["metrics"]["structure.elements"] == run["metrics"]["structure.elements"]  # type: ignore[index]


def test_prompt_ids_from_a_file_are_asked_and_no_others(sgpbench: Sgpbench, tmp_path: Path) -> None:
    run_counting(sgpbench, "--limit", "3")
    chosen = [line.split()[0] for line in Path("asked.log").read_text().splitlines()][:2]
    (tmp_path / "ids.txt").write_text("\n".join(chosen) + "\n")
    run_counting(sgpbench, "--prompt-ids", "ids.txt", "--seed", "1", log="other.log")
    assert sorted(line.split()[0] for line in Path("other.log").read_text().splitlines()) == sorted(chosen)


def test_a_dry_run_asks_nothing_and_says_what_it_would_cost(sgpbench: Sgpbench) -> None:
    done = run_counting(sgpbench, "--limit", "10", "--dry-run")
    (estimate,) = json.loads(done.out)["estimates"]
    assert (estimate["requests"], estimate["samples"]) == (10, 1)
    assert estimate["cost_usd"] > 0
    assert not Path("asked.log").exists()
    assert not Path("runs").exists()


def test_show_writes_a_contact_sheet_and_prints_one_prompt(sgpbench: Sgpbench) -> None:
    path = str(run_counting(sgpbench, "--limit", "6").run["path"])
    sheet = json.loads(sgpbench("show", path, "--json").out)["contact_sheet"]
    assert Path(sheet).read_bytes().startswith(b"\x89PNG")
    prompt = Path("asked.log").read_text().split()[0]
    shown = sgpbench("show", path, prompt)
    assert shown.code == 0
    assert prompt in shown.out
    assert "outcome" in shown.out


def test_status_of_an_unfinished_run_leaves_with_3(sgpbench: Sgpbench) -> None:
    path = str(run_counting(sgpbench, "--limit", "4", "--stages", "generate").run["path"])
    done = sgpbench("status", path)
    assert done.code == 3
    assert "incomplete" in done.out


def test_a_replay_exports_the_same_evidence_byte_for_byte(sgpbench: Sgpbench) -> None:
    path = str(run_counting(sgpbench, "--limit", "6").run["path"])
    exported = []
    for folder in ("a", "b"):
        replayed = sgpbench(
            *("run", "--model", f"replay/{path}", "--model-arg", "name=again", "--task", "shapes", "--limit", "6"),
            *("--runs-dir", folder, "--json"),
        )
        files = json.loads(sgpbench("export", str(replayed.run["path"]), "--out", f"{folder}-out", "--json").out)
        exported.append((Path(files["evidence"]).read_bytes(), json.loads(Path(files["result"]).read_text())))
    assert exported[0][0] == exported[1][0]
    first, second = (document for _, document in exported)
    first.pop("execution")
    second.pop("execution")
    assert first == second


def test_a_run_in_use_is_not_touched_by_a_second_process(sgpbench: Sgpbench) -> None:
    from sgpbench.run.store import RunStore

    path = Path(str(run_counting(sgpbench, "--limit", "2").run["path"]))
    code = "import sys; from sgpbench.cli import main; main()"
    store = RunStore(path)
    try:
        words = [sys.executable, "-c", code, "run", "--model", COUNTING, "--task", "shapes", "--limit", "2"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    finally:
        store.close()
    assert done.returncode == 1
    assert "is working on" in done.stderr
    assert "Traceback" not in done.stderr


BAD_INPUT = {
    "unknown model": (["run", "--model", "qwen2.5-7bb", "--task", "shapes"], 2, "qwen2.5-7b"),
    "unknown adapter": (["run", "--model", "opnai/gpt", "--task", "shapes"], 2, "openai"),
    "unknown task": (["run", "--model", "baseline/blank", "--task", "shape"], 2, "shapes"),
    "unknown metric": (["run", "--model", "baseline/blank", "--task", "shapes", "--metrics", "validty"], 2, "validity"),
    "unknown protocol": (["run", "--model", "baseline/blank", "--task", "shapes", "--protocol", "v2"], 2, "v1"),
    "unknown split": (["run", "--model", "baseline/blank", "--task", "shapes", "--split", "test"], 2, "official"),
    "unknown stage": (["run", "--model", "baseline/blank", "--task", "shapes", "--stages", "paint"], 2, "render"),
    "unknown flag": (["run", "--model", "baseline/blank", "--task", "shapes", "--fast"], 2, "--fast"),
    "bad connections": (["run", "--model", "baseline/blank", "--task", "shapes", "--max-connections", "9-2"], 2, "9-2"),
    "bad argument": (["run", "--model", "baseline/blank", "--task", "shapes", "--model-arg", "x"], 2, "key=value"),
    "missing data": (["run", "--model", "baseline/blank", "--task", "comp"], 1, "sgpbench data fetch"),
    "no run": (["status", "nowhere"], 1, "is not a run"),
    "no such file": (["run", "--model", "replay/none.jsonl", "--task", "shapes"], 1, "none.jsonl"),
    "not a model file": (["run", "--model", "llamacpp/pyproject.gguf", "--task", "shapes"], 1, "pyproject.gguf"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_with_the_remedy(sgpbench: Sgpbench, case: str) -> None:
    words, code, hint = BAD_INPUT[case]
    Path("pyproject.gguf").write_text("not a model")
    done = sgpbench(*words)
    assert done.code == code
    assert hint in done.err
    assert "Traceback" not in done.err
    if case != "unknown flag":  # typer draws a box
        assert len(done.err.strip().splitlines()) == 1


def test_a_corrupt_database_is_named(sgpbench: Sgpbench) -> None:
    path = Path(str(run_counting(sgpbench, "--limit", "2").run["path"]))
    (path / "run.db").write_bytes(b"garbage" * 1000)
    done = run_counting(sgpbench, "--limit", "2")
    assert done.code == 1
    assert "run.db is damaged" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_an_unwritable_directory_is_named(sgpbench: Sgpbench, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = run_counting(sgpbench, "--limit", "2", "--runs-dir", "locked")
    assert done.code == 1
    assert "locked" in done.err


def test_a_file_where_a_directory_should_be_is_named(sgpbench: Sgpbench, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = run_counting(sgpbench, "--limit", "2", "--runs-dir", "taken")
    assert done.code == 1
    assert "taken" in done.err
    assert "Traceback" not in done.err


def test_a_read_only_cache_names_itself(sgpbench: Sgpbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write into any folder, but not below a file.
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path / "file" / "cache"))
    publish(tmp_path / "results", "org/model")
    done = sgpbench("leaderboard", "build", "--results", str(tmp_path / "results"), "--out", str(tmp_path / "site"))
    assert done.code == 1
    assert f"The cache {tmp_path / 'file' / 'cache'} cannot be written" in done.err
    assert "SGPBENCH_CACHE_DIR" in done.err


@pytest.mark.slow
def test_a_full_disk_stops_with_a_remedy_and_keeps_what_was_received(sgpbench: Sgpbench, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        words = ("--limit", "400", "--samples", "20", "--runs-dir", "disk", "--stages", "generate")
        done = run_counting(sgpbench, *words)
        assert done.code == 1
        assert "full" in done.err
        assert "Traceback" not in done.err
        assert answered(done) == asked()
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        again = run_counting(sgpbench, *words)
        assert answered(again) == 8000 == asked()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
