"""Several tries, as the paper protocol has them: asked for one after the other, each stored, only the last one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sgpbench.errors import ModelUnavailable
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency
from sgpbench.models.limiter import Limiter
from sgpbench.protocol import load_protocol
from sgpbench.records import Completion, FinishReason, Outcome, Prompt, Request
from sgpbench.run.generate import Asking, Generator, Todo, pending_work
from sgpbench.run.store import RunStore

PROMPT = Prompt("p", "a cow {on} a car", "relation", "p")
SVG = "<svg><rect/></svg>"


class Scripted:
    """Answers from a list, and remembers what it was asked."""

    name, sees, max_n, seeds, price, endpoint, device = "scripted", False, 1, True, None, "scripted", None
    accepts = frozenset({"messages"})
    concurrency = Concurrency(1, 1)

    def __init__(self, replies: Sequence[str]) -> None:
        self.identity: dict[str, str] = {}
        self.replies = list(replies)
        self.asked: list[Request] = []

    async def generate(self, request: Request) -> Sequence[Completion]:
        self.asked.append(request)
        return [Completion(self.replies.pop(0), FinishReason.STOP)]

    async def aclose(self) -> None:
        pass


def generate(
    folder: Path, replies: Sequence[str], task: str = "comp"
) -> tuple[Scripted, list[tuple[str, bool]], RunStore]:
    rule = load_protocol("paper").generation.rule(task)
    model = Scripted(replies)
    store = RunStore(folder)
    seen: list[tuple[str, bool]] = []

    def completed(completion: Completion, outcome: Outcome, final: bool) -> None:
        seen.append((str(outcome), final))

    async def run() -> None:
        store.add_prompts([(0, PROMPT)], 1).result()
        caller = Caller(model, Limiter(model.concurrency))  # type: ignore[arg-type]
        asking = Asking(rule, "Draw: {caption}", "Write: {caption}" if rule.chat else None, 0)
        generator = Generator(store, caller, asking, completed=completed, failed=lambda _prompt, _failure: None)
        view = store.view()
        work = pending_work([PROMPT], 1, view.answered(), view.attempts(), 1)
        view.close()
        await generator.run(work)

    try:
        asyncio.run(run())
    except BaseException:
        store.close()
        raise
    return model, seen, store


def test_a_reply_without_a_drawing_is_asked_again_with_the_next_limit(tmp_path: Path) -> None:
    model, seen, store = generate(tmp_path, ["no", "no", "no", f"here: {SVG}"])
    store.close()
    assert [request.sampling.max_tokens for request in model.asked] == [10000, 10000, 10000, 20000]
    assert seen == [("no_svg", False)] * 3 + [("ok", True)]
    assert len({request.seeds for request in model.asked}) == 4


def test_after_the_last_try_the_failure_is_the_models(tmp_path: Path) -> None:
    model, seen, store = generate(tmp_path, ["no"] * 6)
    view = store.view()
    assert len(model.asked) == 6
    assert seen[-1] == ("no_svg", True)
    assert view.answered() == {("p", 0)}
    view.close()
    store.close()


def test_tries_already_made_are_not_made_again(tmp_path: Path) -> None:
    first = RunStore(tmp_path)
    for attempt in range(3):
        completion = Completion("no", FinishReason.STOP)
        first.add_completion(
            *("p", 0, attempt, completion), request_hash="h", seed=1, outcome=Outcome.NO_SVG, program=None, final=False
        ).result(5)
    first.close()
    model, seen, store = generate(tmp_path, [SVG])
    store.close()
    assert [request.sampling.max_tokens for request in model.asked] == [20000]
    assert seen == [("ok", True)]


def test_a_broken_adapter_names_itself_and_its_error(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="scripted failed with IndexError"):
        generate(tmp_path, ["no"])


def test_braces_in_a_caption_are_left_alone(tmp_path: Path) -> None:
    model, _, store = generate(tmp_path, [SVG])
    store.close()
    (request,) = model.asked
    assert request.messages[0].role == "system"
    assert request.messages[1].parts[0].text == "Draw: a cow {on} a car"  # type: ignore[union-attr]


def test_a_raw_text_form_becomes_the_chat_form_for_a_model_that_takes_only_messages(tmp_path: Path) -> None:
    model, _, store = generate(tmp_path, [f"x {SVG}"], task="scene")
    store.close()
    (request,) = model.asked
    assert request.text is None
    assert request.sampling.temperature == 0.7
    assert request.messages[0].parts[0].text == "Write: a cow {on} a car"  # type: ignore[union-attr]


def test_pending_work_groups_fresh_samples_and_leaves_tried_ones_single() -> None:
    work = list(pending_work([PROMPT], 5, {("p", 0)}, {("p", 3): 2}, max_n=2))
    assert [(todo.samples, todo.attempt) for todo in work] == [((3,), 2), ((1, 2), 0), ((4,), 0)]
    assert all(isinstance(todo, Todo) for todo in work)
