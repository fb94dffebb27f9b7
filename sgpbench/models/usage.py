"""Token counts are a server's word, and so are its names for things: neither may cost us an answer.

The rule: a count is believed if it is a whole number from 0 to ``MOST_TOKENS``. Anything else (negative, beyond that, a
text, a fraction) counts as not told: the answer is kept, its cost is not known, and a budget is charged the most that the
request can have cost. More cached than input tokens, or more reasoning than output tokens, are not believed either.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from sgpbench.records import Completion, Usage
from sgpbench.redaction import Secrets

__all__ = ["MOST_TOKENS", "Loose", "Several", "Tokens", "Word", "believed", "cleaned"]

MOST_TOKENS = 10_000_000
"""Of one request; no model reads or writes more."""
MOST_PARTS = 10_000
"""Of one list in an answer: choices, blocks, parts."""
_LONGEST_NAME = 200
_LONGEST_REFUSAL = 4_000


def _or_none(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """What cannot be read is left out, instead of the whole answer."""
    try:
        return handler(value)
    except ValidationError:
        return None


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


Loose = WrapValidator(_or_none)
"""``Annotated[X | None, Loose]``: a part of an answer that may be missing or malformed."""
Tokens = Annotated[int | None, WrapValidator(lambda value, _: _tokens(value))]
"""A token count, or ``None`` where it cannot be believed."""
_Part = TypeVar("_Part")
Several = Annotated[tuple[_Part, ...], Field(max_length=MOST_PARTS, fail_fast=True)]
"""Parts of an answer. The first one that cannot be read ends the reading: a list of millions costs gigabytes else."""
Word = Annotated[str | None, Loose]
"""A text that says something about an answer, but is none of it."""


def believed(usage: Usage) -> Usage:
    """The usage without the counts that cannot be true."""
    whole, output = _tokens(usage.input_tokens), _tokens(usage.output_tokens)
    cached, reasoning = _tokens(usage.cached_tokens), _tokens(usage.reasoning_tokens)
    return Usage(
        whole,
        output,
        cached if cached is None or whole is None or cached <= whole else None,
        reasoning if reasoning is None or output is None or reasoning <= output else None,
    )


def cleaned(completion: Completion, secrets: Secrets) -> Completion:
    """A completion that can be stored and published: no key in any field, no count or cost that cannot be true."""
    cost = completion.cost_usd
    return replace(
        completion,
        text=secrets.scrub_answer(completion.text),
        usage=believed(completion.usage),
        cost_usd=cost if cost is not None and math.isfinite(cost) and cost >= 0 else None,
        served_by=_short(completion.served_by, secrets, _LONGEST_NAME),
        refusal=_short(completion.refusal, secrets, _LONGEST_REFUSAL),
    )


def _short(text: str | None, secrets: Secrets, most: int) -> str | None:
    return None if text is None else secrets.clean(text)[:most]
