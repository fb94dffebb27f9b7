"""The first stage: prompts to completions, each stored the moment it arrives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sgpbench.data.templates import fill
from sgpbench.errors import (
    BudgetReached,
    ModelError,
    ModelUnavailable,
    ProtocolError,
    SgpbenchError,
    StoreError,
    TransientError,
)
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Model
from sgpbench.protocol import GenerationRule, canonical_hash
from sgpbench.records import Completion, Failure, Message, Outcome, Prompt, Request, Sampling, TextPart
from sgpbench.run.identity import sample_seed
from sgpbench.run.store import RunStore
from sgpbench.svg.extract import extract

__all__ = ["Asking", "Generator", "Todo", "pending_work"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """How prompts are put to one model: the protocol's rule with its templates' words filled in."""

    rule: GenerationRule
    template: str
    """The words around ``{caption}``."""
    chat_template: str | None
    """Those of ``rule.chat``."""
    seed: int

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Whether the words have a place for all that the prompts must show.

        Raises:
            ProtocolError: an input has none; without it a prompt would be another one.
        """
        for words in filter(None, (self.template, self.chat_template)):
            for prompt in prompts:
                lost = next((name for name in prompt.inputs if f"{{{name}}}" not in words), None)
                if lost is not None:
                    raise ProtocolError(
                        f"The prompt {prompt.id} shows a {lost}, and the protocol's words have no {{{lost}}}.",
                        remedy="Use --protocol v1, or give the task words of its own in a protocol file.",
                    )

    def request(self, model: Model, prompt: Prompt, samples: Sequence[int], attempt: int) -> Request:
        """The request for some samples of a prompt, at their ``attempt``-th try (from 0)."""
        rule = self.rule
        words, tries, temperature = self.template, rule.tries, rule.temperature
        as_text = rule.form == "text" and "text" in model.accepts
        if rule.form == "text" and not as_text and rule.chat is not None and self.chat_template is not None:
            words, tries, temperature = self.chat_template, rule.chat.tries, rule.chat.temperature
        content = _shown(words, prompt)
        sampling = Sampling(
            temperature=temperature,
            top_p=rule.top_p,
            max_tokens=tries[min(attempt, len(tries) - 1)],
            stop=rule.stop,
            keep_stop=rule.keep_stop,
        )
        messages: tuple[Message, ...] = ()
        text: str | None = None
        if as_text:
            text = content
        elif "messages" in model.accepts:
            system = (Message("system", (TextPart(rule.system.strip()),)),) if rule.system else ()
            messages = (*system, Message("user", (TextPart(content.strip()),)))
        else:
            text = "\n\n".join(filter(None, ((rule.system or "").strip(), content.strip()))) + "\n"
        return Request(
            sampling=sampling,
            messages=messages,
            text=text,
            seeds=tuple(sample_seed(self.seed, prompt.id, sample, attempt) for sample in samples),
            prompt_id=prompt.id,
            samples=tuple(samples),
            caption=prompt.caption,
        )


def _shown(words: str, prompt: Prompt) -> str:
    """The words with the prompt's caption and inputs in their places."""
    filled = fill(words, {**prompt.inputs, "caption": prompt.caption})
    return filled if "{caption}" in words else f"{filled} {prompt.caption}"


@dataclass(frozen=True, slots=True)
class Todo:
    """Samples of one prompt that wait for the same try."""

    prompt: Prompt
    samples: tuple[int, ...]
    attempt: int = 0


def pending_work(
    prompts: Sequence[Prompt],
    samples: int,
    answered: set[tuple[str, int]],
    attempts: dict[tuple[str, int], int],
    max_n: int,
) -> Iterator[Todo]:
    """What is still to be asked, in the prompts' order; up to ``max_n`` samples of a prompt together."""
    for prompt in prompts:
        fresh = []
        for sample in range(samples):
            key = (prompt.id, sample)
            if key in answered:
                continue
            if tried := attempts.get(key):
                yield Todo(prompt, (sample,), tried)
            else:
                fresh.append(sample)
        for start in range(0, len(fresh), max_n):
            yield Todo(prompt, tuple(fresh[start : start + max_n]))


@dataclass(frozen=True, slots=True)
class _Kept:
    """A completion on its way into the store."""

    sample: int
    completion: Completion
    outcome: Outcome
    final: bool
    stored: Future[None]


class Generator:
    """Asks for all pending samples of a run through one caller.

    ``completed`` is called for each stored completion, ``failed`` for each sample that could not be had. After ``stop``
    no new request is made; those in flight are awaited and stored.
    """

    def __init__(
        self,
        store: RunStore,
        caller: Caller,
        asking: Asking,
        *,
        completed: Callable[[Completion, Outcome, bool], None],
        failed: Callable[[Prompt, Failure], None],
    ) -> None:
        self._store = store
        self._caller = caller
        self._asking = asking
        self._completed = completed
        self._failed = failed
        self._stopping = False
        self._fatal: SgpbenchError | None = None
        self.budget_reached: BudgetReached | None = None

    def stop(self) -> None:
        """Makes no further request."""
        self._stopping = True

    async def run(self, work: Iterator[Todo]) -> None:
        """Works until nothing is left or it is stopped.

        Raises:
            ModelUnavailable: the model cannot be used; what had arrived is stored.
            StoreError: completions cannot be stored.
        """
        workers = self._caller.model.concurrency.high
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(work))
        if self._fatal is not None:
            raise self._fatal

    async def _work(self, work: Iterator[Todo]) -> None:
        for todo in work:
            if self._stopping:
                return
            try:
                await self._ask(todo)
            except (ModelError, StoreError) as error:
                # Not raised here: that would cancel the other workers, whose answers are paid for and on their way.
                self._fatal = self._fatal or error
                self.stop()
            except Exception as error:  # noqa: BLE001 - an adapter's fault must name the adapter, and take nothing else down
                name = self._caller.model.name
                self._fatal = self._fatal or ModelUnavailable(
                    f"{name} failed with {type(error).__name__}: {self._caller.secrets.clean(str(error))}."
                )
                self.stop()

    async def _ask(self, todo: Todo) -> None:
        waiting = [todo]
        while waiting and not self._stopping:
            waiting += await self._try(waiting.pop())

    async def _try(self, todo: Todo) -> list[Todo]:
        """Asks once for each sample of ``todo``; returns the tries that must follow."""
        request = self._asking.request(self._caller.model, todo.prompt, todo.samples, todo.attempt)
        kept: dict[int, _Kept] = {}

        def keep(position: int, completion: Completion) -> None:
            kept[position] = self._keep(todo, request, position, completion)

        failure: TransientError | None = None
        try:
            await self._caller.ask(request, keep=keep)
        except TransientError as error:
            failure = error
        except BudgetReached as reached:
            self.budget_reached = reached
            self.stop()
        finally:
            for one in kept.values():
                await asyncio.wrap_future(one.stored)
        for one in kept.values():
            self._completed(one.completion, one.outcome, one.final)
        if failure is not None:
            missing = [sample for position, sample in enumerate(todo.samples) if position not in kept]
            await self._give_up(todo.prompt, missing, failure)
        if self._store.database.disk_was_full:
            raise self._store.database.disk_full_error()
        return [Todo(todo.prompt, (one.sample,), todo.attempt + 1) for one in kept.values() if not one.final]

    async def _give_up(self, prompt: Prompt, samples: Sequence[int], error: TransientError) -> None:
        _LOG.warning("%s: no completion: %s", prompt.id, error)
        failure = Failure(Outcome.API_ERROR, str(error))
        for sample in samples:
            await asyncio.wrap_future(self._store.add_failure("generate", "", prompt.id, sample, failure))
            self._failed(prompt, failure)

    def _keep(self, todo: Todo, request: Request, position: int, completion: Completion) -> _Kept:
        """Hands one completion to the store, at once."""
        extracted = extract(completion.text, completion.finish_reason, self._asking.rule.extraction)
        final = extracted.program is not None or todo.attempt + 1 >= len(self._tries(request))
        stored = self._store.add_completion(
            *(todo.prompt.id, todo.samples[position], todo.attempt, completion),
            request_hash=_request_hash(request),
            seed=request.seeds[position],
            outcome=extracted.outcome,
            program=extracted.program,
            final=final,
        )
        return _Kept(todo.samples[position], completion, extracted.outcome, final, stored)

    def _tries(self, request: Request) -> tuple[int, ...]:
        rule = self._asking.rule
        chat = rule.form == "text" and request.text is None and rule.chat is not None
        return rule.chat.tries if chat and rule.chat is not None else rule.tries


def _request_hash(request: Request) -> str:
    """Identity of what was sent, seeds aside."""
    body = [
        [
            [message.role, [part.text for part in message.parts if isinstance(part, TextPart)]]
            for message in request.messages
        ]
    ]
    sampling = request.sampling
    return canonical_hash(
        [
            body,
            request.text,
            sampling.temperature,
            sampling.top_p,
            sampling.max_tokens,
            list(sampling.stop),
            sampling.keep_stop,
        ]
    )
