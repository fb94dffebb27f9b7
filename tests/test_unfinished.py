"""While anything that a number needs is pending there is no number: not on a terminal, in no file, on no page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from cli_support import Done, Sgpbench, caller
from hypothesis import given
from hypothesis import strategies as st
from leaderboard_support import publish
from results_support import result, samples, summary
from server import Behaviour, MisbehavingServer, serving

from sgpbench.errors import ResultError
from sgpbench.leaderboard.board import make_boards
from sgpbench.leaderboard.entries import read_entries
from sgpbench.results.schema import Unfinished, canonical_json, parse_result
from sgpbench.results.unfinished import in_words

JUDGE = "judge[gpt-4o]"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="{}" height="4" fill="red"/></svg>'
Reply = Callable[[str, Mapping[str, object]], dict[str, object]]


def chat(text: str) -> dict[str, object]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 10}}


def every_second_draws() -> Reply:
    count = iter(range(10_000))

    def reply(_path: str, _body: Mapping[str, object]) -> dict[str, object]:
        number = next(count)
        return chat(SVG.format(number % 7 + 1) if number % 2 else "I cannot draw.")

    return reply


@pytest.fixture
def sgpbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobodys")
    return caller(monkeypatch, capsys)


class Bench:
    """A model that draws every second time, and a judge."""

    def __init__(self, sgpbench: Sgpbench, models: MisbehavingServer, judges: MisbehavingServer) -> None:
        self.sgpbench, self.models, self.judges = sgpbench, models, judges

    def run(self, *words: str, name: str = "test") -> Done:
        task = ("--task", "comp", "--split", "generated", "--limit", "8", "--patience", "0")
        model = ("--model", f"openai/{name}", "--model-arg", f"base_url={self.models.url}/v1", "--samples", "1")
        judge = ("--judge", "gpt-4o", "--judge-arg", f"base_url={self.judges.url}/v1", "--max-connections", "1")
        return self.sgpbench("run", *model, *task, "--metrics", "validity,judge", *judge, *words)


@pytest.fixture
def bench(sgpbench: Sgpbench) -> Iterator[Bench]:
    scored = chat("REASONING: as asked.\nSCORE: 50")
    judge = Behaviour(reply=lambda _path, _body: scored)
    with serving(Behaviour(reply=every_second_draws())) as models, serving(judge) as judges:
        yield Bench(sgpbench, models, judges)


def test_an_unjudged_run_has_no_score_anywhere_until_all_is_judged(bench: Bench) -> None:
    bench.judges.behaviour.fault = lambda _number, _prompt: "500"
    done = bench.run("--json")
    assert (done.code, done.run["status"]) == (3, "incomplete")
    assert JUDGE not in done.run["metrics"]
    assert done.run["unfinished"][JUDGE] == {"settled": 4, "of": 8, "bounds": [0.0, 50.0]}
    assert done.run["metrics"]["validity"]["mean"] == 0.5, "whether a program draws needs no judge"
    path = str(done.run["path"])
    printed = bench.run().out
    assert "4 of 8 judged" in printed
    assert "bounds 0.000 to 50.000" in printed
    assert bench.sgpbench("export", path, "--out", "results").code == 0
    (file,) = Path("results").rglob("*.json")
    published = json.loads(file.read_text("utf-8"))
    assert JUDGE not in published["metrics"]
    assert published["unfinished"][JUDGE]["settled"] == 4
    compared = bench.sgpbench("compare", path, path, "--column", JUDGE)
    assert compared.code == 2
    assert "4 of 8 judged" in compared.err

    bench.judges.behaviour.fault = lambda _number, _prompt: "ok"
    healed = bench.run("--json")
    assert healed.code == 0
    assert healed.run["unfinished"] == {}
    assert 0 < healed.run["metrics"][JUDGE]["mean"] < 50


def test_a_pending_answer_leaves_no_share_of_valid_drawings(bench: Bench) -> None:
    late: set[str] = set()

    def fault(number: int, prompt: str) -> str:
        if number < 2:
            late.add(prompt)
        return "500" if prompt in late else "ok"

    bench.models.behaviour.fault = fault
    done = bench.run("--json")
    assert "validity" not in done.run["metrics"]
    assert in_words(done.run["unfinished"]["validity"]) == "6 of 8 judged"


@given(waiting=st.sets(st.integers(0, 23)), scores=st.lists(st.floats(0, 100), min_size=24, max_size=24))
def test_bounds_hold_whatever_is_still_to_come(waiting: set[int], scores: list[float]) -> None:
    whole = samples()
    name = "judge[robot]"
    drawn = whole["outcome"] == "ok"
    whole[name] = np.where(drawn, np.array(scores), np.nan)
    later = whole.copy()
    settled = np.ones(len(whole), dtype=bool)
    settled[[index for index in waiting if drawn.iloc[index]]] = False
    later.loc[~settled, name] = np.nan
    later[f"settled.{name}"] = settled
    document = summary(later)
    final = summary(whole)["metrics"][name]["mean"]  # type: ignore[index,call-overload]
    if settled.all():
        assert document["metrics"][name]["mean"] == final  # type: ignore[index,call-overload]
        return
    low, high = document["unfinished"][name]["bounds"]  # type: ignore[index,call-overload]
    assert low - 1e-5 <= final <= high + 1e-5


def test_a_file_of_a_finished_run_does_not_change_its_bytes() -> None:
    assert b"unfinished" not in canonical_json(result(samples()))


@pytest.mark.parametrize("fault", ["complete", "number"])
def test_a_result_cannot_hold_a_number_and_call_it_unfinished(fault: str) -> None:
    document = json.loads(canonical_json(result(samples())))
    document["unfinished"] = {"judge[robot]": {"settled": 3, "of": 4, "bounds": None}}
    if fault == "complete":
        del document["metrics"]["judge[robot]"]
    else:
        document["status"] = "incomplete"
    with pytest.raises(ResultError, match="unfinished"):
        parse_result(json.dumps(document), "x.json")


def test_the_board_says_how_far_a_column_has_come(tmp_path: Path) -> None:
    file = publish(tmp_path, "org/waits", split_prompts=40, verified=False)
    finished = parse_result(file.read_bytes(), "x")
    name = "judge[robot]"
    waits = finished.model_copy(
        update={
            "status": "incomplete",
            "metrics": {key: number for key, number in finished.metrics.items() if key != name},
            "unfinished": {name: Unfinished(settled=27, of=40, bounds=[1.0, 33.0])},
        }
    )
    file.write_bytes(canonical_json(waits))
    entries, _ = read_entries(tmp_path, tmp_path / "cache")
    (board,) = make_boards(entries, {})
    (row,) = board.rows
    (cell,) = row.cells.values()
    assert (cell.number, cell.missing, cell.so_far) == (None, "unfinished", "27 of 40 judged")


def test_the_cost_of_a_thousand_is_of_those_answered(tmp_path: Path) -> None:
    file = publish(tmp_path, "org/costs", verified=False)
    document = json.loads(file.read_bytes())
    document |= {"status": "incomplete", "samples": 10, "outcomes": {"ok": 5, "api_error": 5}, "metrics": {}}
    document["execution"]["cost_usd"] = 0.09
    file.write_text(json.dumps(document))
    (entry,), _ = read_entries(tmp_path, tmp_path / "cache")
    assert entry.cost is not None
    assert entry.cost.total == pytest.approx(1000 * 0.09 / 5)
