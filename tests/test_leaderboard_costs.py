"""What a model costs includes what judged it, and says so, on the board, on the model's page and in the downloads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from leaderboard_support import publish

from sgpbench.leaderboard.build import build_site
from sgpbench.leaderboard.costs import cost_of
from sgpbench.results.schema import Execution

DEAR = Execution(finished="2026-11-03T10:00:00+00:00", cost_usd=0.04, judge_cost_usd=0.12)
UNPRICED = Execution(finished="2026-11-03T10:00:00+00:00", cost_usd=0.04)


def test_what_is_known_is_added_and_what_is_not_is_named() -> None:
    both = cost_of([DEAR, UNPRICED], 40, asks=[True, True])
    assert both is not None
    assert (both.generation, both.judging, both.judging_unpriced) == (pytest.approx(2.0), pytest.approx(3.0), True)
    assert both.total == pytest.approx(5.0)
    unjudged = cost_of([UNPRICED], 40, asks=[False])
    assert unjudged is not None
    assert (unjudged.total, unjudged.judging, unjudged.judging_unpriced) == (pytest.approx(1.0), None, False)
    assert cost_of([DEAR, Execution(judge_cost_usd=0.1)], 40, asks=[True, True]) is None, "no price of the model"
    assert cost_of([DEAR], 0, asks=[True]) is None, "nothing was answered"


def test_board_page_and_downloads_show_the_total_and_its_parts(tmp_path: Path) -> None:
    publish(tmp_path / "results", "org/dear", execution=DEAR)
    publish(tmp_path / "results", "org/local", execution=UNPRICED)
    build_site(tmp_path / "results", tmp_path / "site")
    board = (tmp_path / "site" / "index.html").read_text("utf-8")
    prompts = 40
    assert "judging included" in board
    assert f"${1000 * 0.04 / prompts:.2f} generation, ${1000 * 0.12 / prompts:.2f} judging" in board
    assert "generation only: no price of judging is known" in board
    (page,) = (tmp_path / "site" / "models").glob("*dear*.html")
    assert f"${1000 * 0.16 / prompts:.2f} per 1,000 prompts" in page.read_text("utf-8")
    rows = json.loads(next((tmp_path / "site").rglob("*.json")).read_text("utf-8"))
    dear = next(row for row in rows if row["model"] == "org/dear")
    assert dear["cost_usd_per_1000"] == pytest.approx(dear["generation_usd_per_1000"] + dear["judging_usd_per_1000"])
