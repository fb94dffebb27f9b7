"""The baselines: a ceiling for ``shapes``, a floor, and words for a drawing."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from shapes_support import judge

from sgpbench.data import DataStore
from sgpbench.errors import UsageError
from sgpbench.models.baseline import draw_blank, draw_caption, draw_procedural, open_baseline
from sgpbench.models.baseline_reading import Item, Link, read_caption
from sgpbench.models.interface import ModelSpec
from sgpbench.records import Request, Sampling
from sgpbench.tasks.registry import load_task


def answers(model_id: str, caption: str, *seeds: int) -> list[str]:
    model = open_baseline(ModelSpec(f"baseline/{model_id}", "baseline", model_id))
    request = Request(Sampling(), caption=caption, text="never read", seeds=seeds, samples=tuple(range(len(seeds))))
    completions = asyncio.run(model.generate(request))
    assert all(
        (done.usage.input_tokens, done.usage.output_tokens, done.cost_usd) == (0, 0, 0.0) for done in completions
    )
    return [done.text for done in completions]


def test_procedural_draws_every_category_of_shapes_right() -> None:
    prompts = list(load_task("shapes").prompts(DataStore(()), "generated", 4))[:24]
    wrong = [p.id for p in prompts if not judge(draw_procedural(p.caption, 1), p.metadata["scene"]).all_met]
    assert wrong == []


@pytest.mark.slow
def test_procedural_is_strictly_right_on_99_percent_of_the_official_split() -> None:
    prompts = list(load_task("shapes").prompts(DataStore(()), "official", 0))
    right = sum(judge(draw_procedural(p.caption, 1), p.metadata["scene"]).all_met for p in prompts)
    assert right >= 0.99 * len(prompts)


def test_every_statement_of_shapes_is_read() -> None:
    reading = read_caption(
        "One brown pentagon, one purple ellipse and three red five-pointed stars on a plain white background. "
        "The brown pentagon is entirely inside the purple ellipse. All three red five-pointed stars are entirely to the "
        "left of the purple ellipse. The purple ellipse is at least twice as tall as each of the three red five-pointed "
        "stars. The ellipse is at least 1.5 times as long as it is wide. Each shape has one flat, opaque fill, apart from "
        "that, no shapes touch or overlap, and nothing else is drawn."
    )
    assert reading.items == (Item(1, "brown", "pentagon"), Item(1, "purple", "ellipse"), Item(3, "red", "star"))
    assert reading.links == (Link("inside", 0, 1), Link("left", 2, 1), Link("taller", 1, 2))


def test_other_captions_are_read_for_counts_colours_and_places() -> None:
    reading = read_caption("Three blue birds on the left of a green tree")
    assert reading.items == (Item(3, "blue", "bird"), Item(1, "green", "tree"))
    assert reading.links == (Link("left", 0, 1),)
    assert read_caption("2 zebras and 5 beds").items == (Item(2, None, "zebra"), Item(5, None, "bed"))


def test_equal_seeds_draw_alike_and_others_do_not() -> None:
    one, other, again = answers("procedural", "Two red circles and a dog", 1, 2, 1)
    assert one == again != other


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.integers(0, 2**63 - 1))
def test_any_caption_gives_well_formed_svg(caption: str, seed: int) -> None:
    for draw in (draw_procedural, draw_blank, draw_caption):
        assert etree.fromstring(draw(caption, seed).encode("utf-8")).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_caption_is_written_whole_and_wrapped() -> None:
    caption = 'A <b>"bold"</b> & rather long sentence about cats, dogs, and several other animals'
    root = etree.fromstring(draw_caption(caption, 0))
    lines = [span.text for span in root.iter("{*}tspan")]
    assert len(lines) > 1
    assert " ".join(line or "" for line in lines) == re.sub(r"\s+", " ", caption)


def test_blank_and_caption_earn_nothing_for_drawing() -> None:
    for prompt in list(load_task("shapes").prompts(DataStore(()), "generated", 5))[:8]:
        assert judge(draw_blank(prompt.caption, 0), prompt.metadata["scene"]).share == 0.0


def test_unknown_baselines_and_arguments_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="procedural"):
        open_baseline(ModelSpec("baseline/procedurel", "baseline", "procedurel"))
    with pytest.raises(UsageError, match="takes no --model-arg"):
        open_baseline(ModelSpec("baseline/blank", "baseline", "blank", args={"speed": "1"}))
