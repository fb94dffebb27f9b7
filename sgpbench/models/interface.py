"""What a model is to the harness. An adapter is a function that takes a ``ModelSpec`` and returns a ``Model``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from sgpbench.records import Completion, Json, Request
from sgpbench.redaction import Secrets

__all__ = [
    "Adapter",
    "Concurrency",
    "KeepsLog",
    "KnowsSecrets",
    "Model",
    "ModelSpec",
    "Price",
    "ServedElsewhere",
    "arguments_of",
    "takes",
]


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests may be in flight: always between ``low`` and ``high``, found by the limiter in between."""

    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> Concurrency:
        """From ``"20"`` (fixed) or ``"5-200"``.

        Raises:
            ValueError: not of that form, or not 1 ≤ low ≤ high.
        """
        low, _, high = text.partition("-")
        bounds = cls(int(low), int(high or low))
        if not 1 <= bounds.low <= bounds.high:
            raise ValueError(f"'{text}' is not N or LO-HI with 1 <= LO <= HI")
        return bounds


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; ``None`` where not known. ``reasoning`` and ``cached`` default to output/input."""

    input: float
    output: float
    cached: float | None = None
    reasoning: float | None = None
    as_of: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as asked for: the catalog's entry merged with the user's ``--model-arg``."""

    name: str
    """What the user wrote and what results are filed under."""
    adapter: str
    model_id: str
    args: Mapping[str, str] = field(default_factory=dict)
    """Adapter arguments (``base_url``, ``executable``, ``api`` ...); an adapter refuses those it does not know."""
    sampling: Mapping[str, float | int | str] = field(default_factory=dict)
    """Sampling values the *user* set; they replace the protocol's, and a model that refuses one is an error."""
    fixed: frozenset[str] = frozenset()
    """Sampling values this model fixes or refuses (``temperature``, ``top_p``, ``stop``, ``seed``)."""
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    """The protocol's token limit is lowered to this where the model allows no more."""
    sees: bool = False
    price: Price | None = None
    concurrency: Concurrency | None = None
    looked_at: bool = False
    """It will not be asked (``--dry-run``): a key or an executable may be missing."""
    data_dir: Path | None = None
    """The user's ``--data-dir``, where packaged weights may have been fetched to."""


class Model(Protocol):
    """Something that answers requests. Safe to call many times at once from one event loop."""

    name: str
    accepts: frozenset[Literal["messages", "text"]]
    sees: bool
    """Whether messages may hold images."""
    max_n: int
    """Samples one request can return."""
    seeds: bool
    """Whether it honours seeds."""
    concurrency: Concurrency
    price: Price | None
    endpoint: str
    """Models with the same endpoint share one limiter (provider and key, or address)."""
    device: str | None
    """Local compute it occupies (``gpu``, ``cpu``), so that such models take turns; ``None`` for hosted ones."""
    identity: Mapping[str, Json]
    """Every argument that changes its answers; never keys, addresses or limits of speed."""

    async def generate(self, request: Request) -> Sequence[Completion]:
        """One completion per seed of the request, in their order.

        Raises:
            RateLimited: slow down; TransientError: try again.
            ModelUnavailable: never ask again. UnsupportedParameter: the user set what this model refuses.
        """

    async def aclose(self) -> None:
        """Ends connections and any process it started."""


@runtime_checkable
class ServedElsewhere(Protocol):
    """A model that may be asked at another address than its provider's own; a run is of that endpoint, too."""

    other_endpoint: str | None
    """Host, port and path, without a key; ``None`` at the provider's own address."""


@runtime_checkable
class KeepsLog(Protocol):
    """A model that writes a log of its own, such as that of a server it starts."""

    def keep_log(self, folder: Path) -> None:
        """Told of each run it is used by: the log belongs there, too."""


@runtime_checkable
class KnowsSecrets(Protocol):
    """A model that sends keys, and so may get them back."""

    secrets: Secrets
    """What must not come out of it, the environment's keys included (``environment_secrets``)."""


Adapter: TypeAlias = Callable[[ModelSpec], Model]
"""Registered under the entry point group ``sgpbench.models``. Raises ``ModelUnavailable`` with a remedy."""

_Opens = TypeVar("_Opens", bound=Callable[[ModelSpec], Model])


def takes(*arguments: Mapping[str, str]) -> Callable[[_Opens], _Opens]:
    """Declares the arguments of an adapter, each with a line that ``sgpbench models show`` prints.

    ``body.NAME`` stands for a family of arguments. An argument that is not declared is answered with the nearest one;
    an adapter that declares none is not checked.
    """

    def declare(adapter: _Opens) -> _Opens:
        setattr(adapter, _DECLARED, {name: line for part in arguments for name, line in part.items()})
        return adapter

    return declare


def arguments_of(adapter: Adapter) -> Mapping[str, str] | None:
    """What an adapter declared with ``takes``; ``None`` if nothing."""
    declared: Mapping[str, str] | None = getattr(adapter, _DECLARED, None)
    return declared


_DECLARED = "declared_arguments"
