"""The shapes task from prompt to verdict: what the baselines earn, and what one fault costs."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from sgpbench.data import DataStore
from sgpbench.metrics.shapes.scene import read_scene
from sgpbench.metrics.shapes.verify import Verdict, verify
from sgpbench.models.registry import open_model, resolve
from sgpbench.protocol import load_protocol
from sgpbench.records import Outcome, Prompt, Request, Sampling
from sgpbench.svg.sandbox import Sandbox
from sgpbench.tasks.registry import load_task
from sgpbench.tasks.selection import select

WHITE = '<rect width="512" height="512" fill="white"/>'


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(load_protocol("v1").scoring.renderer, "namespaces", workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return list(load_task("shapes").prompts(DataStore([]), "official", 0))


def verdict(sandbox: Sandbox, svg: str, prompt: Prompt) -> Verdict:
    rendered = sandbox.submit(svg).result(30)
    assert rendered.outcome is Outcome.OK
    assert rendered.png is not None
    pixels = np.asarray(Image.open(io.BytesIO(rendered.png)).convert("RGB"))
    return verify(pixels, read_scene(prompt.metadata["scene"]))


def drawn_by(name: str, prompt: Prompt) -> str:
    async def ask() -> str:
        model = open_model(resolve(f"baseline/{name}"))
        request = Request(Sampling(), text="", prompt_id=prompt.id, caption=prompt.caption)
        (completion,) = await model.generate(request)
        return completion.text

    text = asyncio.run(ask())
    return text[text.index("<svg") : text.rindex("</svg>") + 6] if "</svg>" in text else text[text.index("<svg") :]


def test_official_prompts_are_500_in_several_difficulties_with_ids_of_their_own(prompts: list[Prompt]) -> None:
    assert len(prompts) == len({prompt.id for prompt in prompts}) == 500
    assert len({prompt.category for prompt in prompts}) >= 6
    again = load_task("shapes").prompts(DataStore([]), "official", 99)
    assert [prompt.caption for prompt in again] == [prompt.caption for prompt in prompts]


def test_generated_prompts_depend_on_the_seed() -> None:
    task = load_task("shapes")
    one, other = (next(iter(task.prompts(DataStore([]), "generated", seed))) for seed in (1, 2))
    assert one.caption != other.caption


def test_the_procedural_baseline_meets_every_constraint(sandbox: Sandbox, prompts: list[Prompt]) -> None:
    chosen = select(prompts, 32, 0)
    wrong = [
        (prompt.id, [check.words for check in judged.unmet])
        for prompt in chosen
        if not (judged := verdict(sandbox, drawn_by("procedural", prompt), prompt)).all_met
    ]
    assert not wrong


def test_blank_meets_nothing_and_words_meet_next_to_nothing(sandbox: Sandbox, prompts: list[Prompt]) -> None:
    chosen = select(prompts, 12, 0)
    assert {verdict(sandbox, drawn_by("blank", prompt), prompt).share for prompt in chosen} == {0.0}
    words = [verdict(sandbox, drawn_by("caption", prompt), prompt) for prompt in chosen]
    assert not any(judged.all_met for judged in words)
    assert sum(judged.share for judged in words) / len(words) < 0.1


def simple(prompts: list[Prompt]) -> Prompt:
    """A prompt that asks for one group of two or more circles, squares or the like, and nothing else."""
    for prompt in prompts:
        scene = read_scene(prompt.metadata["scene"])
        alone = len(scene.groups) == 1 and not scene.statements
        if alone and scene.groups[0].count == 2 and scene.groups[0].shape in {"circle", "square", "triangle"}:
            return prompt
    raise AssertionError("no prompt asks for two simple things")


def figure(shape: str, x: float, y: float, size: float, color: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{size / 2}" fill="{color}"/>'
    if shape == "square":
        return f'<rect x="{x - size / 2}" y="{y - size / 2}" width="{size}" height="{size}" fill="{color}"/>'
    left, right, top, bottom = x - size / 2, x + size / 2, y - size / 2, y + size / 2
    return f'<polygon points="{left},{bottom} {right},{bottom} {x},{top}" fill="{color}"/>'


def svg(*parts: str) -> str:
    body = "".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512">{body}</svg>'


def test_one_fault_is_named_and_the_rest_still_counts(sandbox: Sandbox, prompts: list[Prompt]) -> None:
    prompt = simple(prompts)
    group = read_scene(prompt.metadata["scene"]).groups[0]
    drawn = verdict(sandbox, drawn_by("procedural", prompt), prompt)
    assert drawn.all_met
    hue = {"red": "#e02020", "blue": "#2040e0", "green": "#20a040", "yellow": "#f5d020", "orange": "#ff9010"}.get(
        group.color
    )
    if hue is None:
        hue = group.color
    good = [figure(group.shape, 130, 250, 120, hue), figure(group.shape, 380, 250, 120, hue)]
    assert verdict(sandbox, svg(WHITE, *good), prompt).all_met
    missing = verdict(sandbox, svg(WHITE, good[0]), prompt)
    assert {check.kind for check in missing.unmet} == {"count"} | ({"apart"} & {check.kind for check in missing.unmet})
    extra = verdict(sandbox, svg(WHITE, *good, figure("square", 256, 440, 60, "#000000")), prompt)
    assert {check.kind for check in extra.unmet} == {"only"}
    assert 0 < extra.share < 1
    grouped = f'<g transform="translate(10 5) rotate(0)">{good[0]}{good[1]}</g>'
    assert verdict(sandbox, svg(grouped), prompt).all_met
