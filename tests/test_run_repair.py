"""A damaged run.db is found before anything is read from it, and repaired from every row that is still whole."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from cli_support import Sgpbench, caller

from sgpbench.errors import StoreError
from sgpbench.metrics.validity import Validity
from sgpbench.protocol import canonical_hash
from sgpbench.records import Completion, FinishReason, Outcome, Prompt, Score, Usage
from sgpbench.run import database as database_module
from sgpbench.run.database import connect
from sgpbench.run.identity import RunIdentity, write_identity
from sgpbench.run.integrity import SEALED, SETTINGS, damage
from sgpbench.run.repair import repair
from sgpbench.run.store import RunStore, RunView
from sgpbench.svg.sandbox import Rendered

COUNTING = f"{Path(__file__).with_name('counting_model.py')}:open_counting/"
IDENTITY = RunIdentity("a/m", {"adapter": "a"}, "shapes", 1, "official", "v1", "0" * 16, 0)
SAMPLES = 320
PAGES_HIT = 20_000 // 4096 + 2
ROWS_A_PAGE = {"completions": 8, "programs": 8, "renderings": 8}
"""Most rows of a table that one page of 4,096 bytes holds a part of; of other tables 45."""
Rows = dict[str, set[tuple[object, ...]]]


def fill(folder: Path, samples: int = SAMPLES) -> None:
    """A finished run of texts by chance, from 200 to 7,000 characters."""
    chance = random.Random(7)
    write_identity(folder, IDENTITY, task="shapes", protocol="v1")
    store = RunStore(folder)
    prompts = [(n, Prompt(f"p-{n:03d}", f"caption {n} é", "a/b", f"c{n}")) for n in range(samples)]
    store.add_prompts(prompts, samples=1)
    for key in ("renderer", "sandbox", "scoring_hash"):
        store.set(key, key * 3)
    store.add_session({"command": "sgpbench run"})
    store.add_metric("m" * 16, Validity())
    for number in range(samples):
        body = "".join(chance.choices("<rect/> é0123456789", k=chance.randrange(100, 4000)))
        program = f"<svg>{body.replace('<', '')}</svg>" if number % 9 else None
        text = f"Here it is: {program or body.replace('<', '')}"
        usage = Usage(10, number)
        completion = Completion(text, FinishReason.STOP, usage, 1.0 if number % 2 else 0.25, 0.5, "m")
        outcome = Outcome.OK if program else Outcome.NO_SVG
        words = {"request_hash": "h", "seed": number, "outcome": outcome, "program": program, "final": True}
        store.add_completion(f"p-{number:03d}", 0, 0, completion, **words)  # type: ignore[arg-type]
        store.add_reply(f"r{number}", "judge", Completion("SCORE: 50", FinishReason.STOP, usage, 1.0, 0.01))
        if program:
            digest = canonical_hash(program, 32)
            rendered = Rendered(Outcome.OK, program, b"png", structure={"n": 1.0}, width=9, height=9, seconds=0.5)
            store.add_rendering(f"{number:032x}", digest, "ren", rendered)
            store.add_scores("m" * 16, [(f"p-{number:03d}", 0, f"{number:032x}", Score({"validity": 1.0}))])
    store.close()


def rows(folder: Path) -> Rows:
    connection = connect(folder / "run.db", read_only=True)
    try:
        there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        return {
            table.name: {
                tuple(row) for row in connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}")
            }
            for table in (*SEALED, SETTINGS)
            if table.name in there
        }
    finally:
        connection.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Rows]:
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    return (folder / "run.db").read_bytes(), rows(folder)


def placed(folder: Path, data: bytes) -> Path:
    write_identity(folder, IDENTITY, task="shapes", protocol="v1")
    (folder / "run.db").write_bytes(data)
    return folder


def found_damaged(folder: Path) -> None:
    for open_it in (RunView, RunStore):
        with pytest.raises(StoreError) as error:
            open_it(folder)
        assert "\n" not in str(error.value)
        assert "run.db is damaged" in str(error.value)
        assert f"sgpbench repair {folder}" in str(error.value)


def check_saved(folder: Path, before: Rows, most_pages: float) -> None:
    """What is there is as it was; little is missing; and the run can be opened and written again."""
    after = rows(folder)
    for name, old in before.items():
        saved = after[name]
        assert saved <= old, f"a row of {name} was made up"
        assert len(old - saved) <= most_pages * ROWS_A_PAGE.get(name, 45), f"too much of {name} was lost"
    connection = connect(folder / "run.db", read_only=True)
    assert damage(connection, sealed=True) is None
    connection.close()
    RunStore(folder).close()


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.slow) for n in range(8, 50))])
def test_20_kb_overwritten_anywhere_lose_only_what_stood_there(
    tmp_path: Path, whole: tuple[bytes, Rows], seed: int
) -> None:
    data, before = whole
    chance = random.Random(seed)
    place = chance.randrange(len(data) - 20_000) if seed else 0
    broken = data[:place] + chance.randbytes(20_000) + data[place + 20_000 :]
    folder = placed(tmp_path, broken)
    found_damaged(folder)
    report = repair(folder)
    assert report is not None
    assert report.kept.read_bytes() == broken, "the old file is kept as it was"
    check_saved(folder, before, PAGES_HIT)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_cut_file_keeps_what_is_left_of_it(tmp_path: Path, whole: tuple[bytes, Rows], share: float) -> None:
    data, before = whole
    folder = placed(tmp_path, data[: int(len(data) * share)])
    found_damaged(folder)
    assert repair(folder) is not None
    check_saved(folder, before, float("inf"))
    left = len(rows(folder)["completions"])
    assert left >= (0.8 * share - 0.1) * len(before["completions"])


def test_an_emptied_file_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    folder = placed(tmp_path, b"")
    found_damaged(folder)
    report = repair(folder)
    assert report is not None
    assert not any(report.saved.values())
    RunStore(folder).close()


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("completions", "text"),
        ("completions", "finish_reason"),
        ("programs", "svg"),
        ("renderings", "program"),
        ("scores", "value"),
        ("replies", "text"),
        ("prompts", "caption"),
        ("settings", "value"),
    ],
)
def test_one_changed_byte_is_found_and_takes_only_its_row(
    tmp_path: Path, whole: tuple[bytes, Rows], table: str, column: str
) -> None:
    data, before = whole
    folder = placed(tmp_path, data)
    plain = sqlite3.connect(folder / "run.db")
    key, text = plain.execute(f"SELECT {_BY[table][0]}, {column} FROM {table} WHERE length({column}) > 1").fetchone()
    changed = text[:1] + ("X" if text[1] != "X" else "Y") + text[2:]
    # SQLite itself would not see it: to it the value is as good as any other.
    where = f"WHERE {_BY[table][0]} = ? AND {column} = ?"
    if table == "scores":
        where += " AND prompt_id = 'p-001'"
    plain.execute(f"UPDATE {table} SET {column} = ? {where}", (changed, key, text))
    plain.commit()
    plain.close()
    found_damaged(folder)
    report = repair(folder)
    assert report is not None
    assert f"of {table}" in report.damage
    check_saved(folder, before, 1)
    assert len(before[table] - rows(folder)[table]) == (table != "programs"), "a program is in its completion, too"
    assert changed not in {row[_BY[table].index(column)] for row in rows(folder)[table]}


_BY = {table.name: table.columns for table in (*SEALED, SETTINGS)}


def test_a_flipped_byte_in_the_file_itself_is_found(tmp_path: Path, whole: tuple[bytes, Rows]) -> None:
    data, before = whole
    text = max((str(row[9]) for row in before["completions"]), key=len)
    place = data.find(text[:40].encode()) + 30
    assert place > 30
    folder = placed(tmp_path, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    found_damaged(folder)
    assert repair(folder) is not None
    check_saved(folder, before, 1)
    assert len(before["completions"] - rows(folder)["completions"]) == 1


def test_a_lost_program_is_taken_out_of_its_completion_again(tmp_path: Path, whole: tuple[bytes, Rows]) -> None:
    data, before = whole
    folder = placed(tmp_path, data)
    plain = sqlite3.connect(folder / "run.db")
    plain.execute("UPDATE programs SET svg = 'changed'")
    plain.commit()
    plain.close()
    assert repair(folder) is not None
    assert rows(folder)["programs"] == before["programs"]
    assert rows(folder)["completions"] == before["completions"], "nothing is asked again"


def test_a_whole_run_and_a_foreign_file_are_not_touched(tmp_path: Path, whole: tuple[bytes, Rows]) -> None:
    data, _ = whole
    (tmp_path / "whole").mkdir()
    folder = placed(tmp_path / "whole", data)
    assert repair(folder) is None
    assert (folder / "run.db").read_bytes() == data
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write_identity(foreign, IDENTITY, task="shapes", protocol="v1")
    other = sqlite3.connect(foreign / "run.db")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="not made by sgpbench"):
        repair(foreign)
    assert sorted(path.name for path in foreign.iterdir()) == ["lock", "run.db", "spec.json"]


def test_what_a_killed_process_left_in_its_log_is_saved_too(tmp_path: Path, whole: tuple[bytes, Rows]) -> None:
    data, before = whole
    folder = placed(tmp_path, data)
    store = RunStore(folder)
    store.set("later", "in the log alone").result(30)
    copy = tmp_path / "copy"
    copy.mkdir()
    log = (folder / "run.db-wal").read_bytes()
    main = bytearray((folder / "run.db").read_bytes())
    store.close()
    main[len(main) // 2 : len(main) // 2 + 9000] = b"\xa5" * 9000
    placed(copy, bytes(main))
    (copy / "run.db-wal").write_bytes(log)
    assert repair(copy) is not None
    assert ("later", "in the log alone") in rows(copy)["settings"]
    expected = before | {"settings": before["settings"] | {("later", "in the log alone")}}
    check_saved(copy, expected, PAGES_HIT)
    assert (copy / "run.db.damaged-1-wal").read_bytes() == log


def old_store(folder: Path) -> None:
    """As the first version of the store made it: without digests."""
    connection = connect(folder / "run.db", read_only=False)
    connection.executescript(database_module._MIGRATIONS[0])
    connection.execute("PRAGMA user_version = 1")
    connection.execute(f"PRAGMA application_id = {database_module.APPLICATION_ID}")
    connection.execute("BEGIN")
    for number in range(200):
        program = f"<svg>{number}{'x' * 700}</svg>"
        digest = canonical_hash(program, 32)
        connection.execute("INSERT INTO prompts VALUES (?, ?, 'c', 'a', 'b', '[]')", (f"p{number}", number))
        connection.execute("INSERT INTO programs VALUES (?, ?)", (digest, program))
        values = (f"p{number}", 0, 0, 1, "ok", digest, "h", number, f"so: {program}", "stop")
        rest = (None, 1, 2, None, None, 0.5, 1.0, "m", "[]", 1.5)
        connection.execute(f"INSERT INTO completions VALUES (NULL{', ?' * 20})", values + rest)
    connection.execute("COMMIT")
    connection.close()
    write_identity(folder, IDENTITY, task="shapes", protocol="v1")


def test_a_store_without_digests_gets_them_when_it_is_opened(tmp_path: Path) -> None:
    old_store(tmp_path)
    view = RunView(tmp_path)
    assert len(view.answered()) == 200
    view.close()
    RunStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "run.db")
    assert connection.execute("SELECT count(*) FROM completions WHERE digest IS NULL").fetchone() == (0,)
    connection.close()


def test_a_damaged_store_without_digests_is_repaired(tmp_path: Path) -> None:
    old_store(tmp_path)
    before = rows(tmp_path)
    data = bytearray((tmp_path / "run.db").read_bytes())
    data[100_000:110_000] = random.Random(1).randbytes(10_000)
    (tmp_path / "run.db").write_bytes(data)
    found_damaged(tmp_path)
    assert repair(tmp_path) is not None
    check_saved(tmp_path, before, 100)
    assert len(rows(tmp_path)["completions"]) > 150


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


def test_a_repaired_run_goes_on_and_asks_only_for_what_was_lost(sgpbench: Sgpbench) -> None:
    words = (
        "run",
        "--model",
        COUNTING + "m",
        "--model-arg",
        "log=asked.log",
        "--task",
        "shapes",
        "--limit",
        "12",
        "--json",
    )
    first = sgpbench(*words).run
    path = Path(str(first["path"]))
    plain = sqlite3.connect(path / "run.db")
    plain.execute("UPDATE completions SET text = 'changed' WHERE id IN (3, 7)")
    plain.commit()
    plain.close()
    for command in (("status", str(path)), ("export", str(path), "--out", "out"), ("show", str(path)), words):
        done = sgpbench(*command)
        assert done.code == 1
        assert f"sgpbench repair {path}" in done.err
        assert len(done.err.strip().splitlines()) == 1
    done = sgpbench("repair", str(path))
    assert done.code == 0
    assert "At least 2 completions" in done.out
    assert "run.db.damaged-1" in done.out
    asked = len(Path("asked.log").read_text().splitlines())
    again = sgpbench(*words)
    assert (again.code, again.run["metrics"]) == (0, first["metrics"])
    assert len(Path("asked.log").read_text().splitlines()) == asked + 2
    assert "not damaged" in sgpbench("repair", str(path)).out
