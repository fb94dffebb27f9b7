"""Which samples and prompts count: rules of the ``paper`` protocol that leave some out."""

from __future__ import annotations

import pandas as pd
from results_support import JUDGE, PROTOCOL

from sgpbench.protocol import load_protocol
from sgpbench.results.counting import ALL, Kept
from sgpbench.results.summary import RunHead, summarise
from sgpbench.tasks.slices import category_slices

HEAD = RunHead("m", "scene", "paper", "official", "complete")
TABLE = pd.DataFrame(
    [
        ("photo-1-1", 0, "photo-1", "ok", 10.0),
        ("photo-1-2", 0, "photo-1", "ok", 40.0),
        ("photo-2-1", 0, "photo-2", "ok", 20.0),
        ("photo-2-2", 0, "photo-2", "no_svg", None),
        ("photo-3-1", 0, "photo-3", "ok", 60.0),
    ],
    columns=["prompt_id", "sample", "cluster", "outcome", JUDGE.name],
).assign(category="all", flags=[()] * 5, input_tokens=1, output_tokens=1, cost_usd=0.0)


def mean(kept: Kept, protocol: str = "paper") -> tuple[float, int]:
    invalid = load_protocol(protocol).scoring.invalid.model_copy(update={"metrics": {"judge": "omit"}})
    slices = category_slices(TABLE[["prompt_id", "category", "cluster"]])
    document = summarise(TABLE, slices, [JUDGE], invalid, head=HEAD, kept=kept)
    number = document["metrics"][JUDGE.name]  # type: ignore[index,call-overload]
    return number["mean"], number["n"]


def test_of_a_photograph_only_the_last_caption_with_a_value_counts() -> None:
    assert mean(Kept(last_of_cluster=["judge"])) == (40.0, 3)
    assert mean(ALL) == (32.5, 4)


def test_only_paper_and_only_scene_overwrite_captions() -> None:
    paper = load_protocol("paper").scoring
    assert Kept.under(paper, "scene") == Kept(("vqa",), ("vqa", "hps"))
    assert Kept.under(paper, "object") == Kept(("vqa",), ())
    assert Kept.under(PROTOCOL.scoring, "scene") == ALL
