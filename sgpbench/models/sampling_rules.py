"""Which sampling values are sent to a model: the user's, else the protocol's, without what the model fixes or refuses.

A value of the protocol that the model fixes (catalog) or refuses (its own error) is left out and recorded. A value of
the user's that it refuses is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sgpbench.errors import UnsupportedParameter, UsageError
from sgpbench.models.interface import ModelSpec
from sgpbench.models.money import rough_input_tokens
from sgpbench.records import Json, Request

__all__ = ["Chosen", "SamplingRules"]

_PROTOCOL_VALUES = ("temperature", "top_p", "stop", "keep_stop")
_DROPPABLE = ("keep_stop", "top_p", "temperature", "stop", "seed")
"""What may be left out when a provider refuses it, in the order of preference where its message names several."""

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p", "topP"),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"),
    "stop": ("stop", "stop_sequences", "stopSequences"),
    "seed": ("seed",),
    "keep_stop": ("include_stop_str_in_output",),
}
_NUMBERS = ("temperature", "top_p", "max_tokens", "seed")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sampling values of one request, in our names, and what of the protocol was left out."""

    values: Mapping[str, Json]
    """``temperature``, ``top_p``, ``max_tokens``, ``stop`` (a list), ``seed``, and further ones the user set."""
    dropped: tuple[str, ...]
    keep_stop: bool
    """Whether a matched stop string is to stay in the text, and can be asked for."""

    def renamed(self, names: Mapping[str, str]) -> dict[str, Json]:
        """The values under the provider's names; those without one keep ours."""
        return {names.get(name, name): value for name, value in self.values.items()}


class SamplingRules:
    """The rules for one model. ``lacks`` are parameters its API has no field for.

    Raises:
        UnsupportedParameter: the user set a value that the model fixes, or that its API lacks.
    """

    def __init__(self, spec: ModelSpec, *, lacks: frozenset[str] = frozenset()) -> None:
        self._name = spec.name
        self._user = dict(spec.sampling)
        self._fixed = spec.fixed
        self._lacks = lacks
        self._max_output_tokens = spec.max_output_tokens
        self._context_tokens = spec.context_tokens
        self._refused: set[str] = set()
        for name in sorted(self._user):
            if name in spec.fixed or name in lacks:
                raise UnsupportedParameter(
                    f"{spec.name} does not take '{name}'.", remedy=f"Leave {name}=... out of the model's arguments."
                )
            if name in _NUMBERS and isinstance(self._user[name], str):
                raise UsageError(f"'{name}' of {spec.name} is a number, not '{self._user[name]}'.")

    @property
    def takes_seeds(self) -> bool:
        """Whether a seed is sent."""
        return "seed" not in self._fixed | self._lacks | self._refused

    def choose(self, request: Request, *, seed_bits: int = 63) -> Chosen:
        """The values to send; a seed of ours is cut to ``seed_bits`` bits."""
        sampling = request.sampling
        out = self._fixed | self._lacks | self._refused
        asked: dict[str, Json] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop) or None,
        }
        values: dict[str, Json] = {}
        dropped = []
        for name, value in asked.items():
            if value is None or name in self._user:
                continue
            if name in out:
                dropped.append(name)
            else:
                values[name] = value
        keep_stop = sampling.keep_stop and "stop" in values
        if sampling.keep_stop and ("keep_stop" in out or not keep_stop):
            dropped.append("keep_stop")
            keep_stop = False
        if request.seeds and self.takes_seeds:
            values["seed"] = request.seeds[0] & ((1 << seed_bits) - 1)
        for name, given in self._user.items():
            values[name] = [given] if name == "stop" else given
        limit = self.token_limit(request)
        if limit is not None:
            values["max_tokens"] = limit
        return Chosen(values, tuple(dropped), keep_stop)

    def token_limit(self, request: Request) -> int | None:
        """The most output tokens of one sample: the user's, else the protocol's, lowered to what the model can give.

        Where only the model's whole context is known, room is left in it for the request (counted at two characters a
        token, which is more than text has).
        """
        own = self._user.get("max_tokens")
        if own is not None:
            return int(own)
        limits = [request.sampling.max_tokens, self._max_output_tokens]
        if self._context_tokens is not None:
            limits.append(max(1, self._context_tokens - 2 * rough_input_tokens(request) - 64))
        known = [limit for limit in limits if limit is not None]
        return min(known) if known and request.sampling.max_tokens is not None else request.sampling.max_tokens

    def refused(self, chosen: Chosen, message: str, parameter: str | None = None) -> bool:
        """Takes a provider's complaint (HTTP 400 or 422) in: whether it is worth asking again without a value.

        ``parameter`` is the one its error names, where it has such a field.

        Raises:
            UnsupportedParameter: it refuses a value that the user set.
        """
        sent = {*chosen.values, *(["keep_stop"] if chosen.keep_stop else [])}
        named = [name for name in sent if _names(name, message, parameter)]
        for name in sorted(named):
            if name in self._user:
                raise UnsupportedParameter(
                    f"{self._name} refuses '{name}={self._user[name]}': {message}",
                    remedy=f"Leave {name}=... out of the model's arguments, or give another value.",
                )
        for name in _DROPPABLE:
            if name in named and name not in self._refused:
                self._refused.add(name)
                return True
        # Another request that was on its way at the same time may have taught us already.
        return any(name in self._refused for name in named)


def _names(name: str, message: str, parameter: str | None) -> bool:
    spellings = _SPELLINGS.get(name, (name,))
    if parameter is not None and parameter.split(".")[-1] in spellings:
        return True
    return any(re.search(rf"(?<![\w]){re.escape(one)}(?![\w])", message) for one in spellings)
