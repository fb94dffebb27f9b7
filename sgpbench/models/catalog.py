"""The catalog: what is known of each model, one TOML file per family in ``sgpbench/models/catalog/``.

A file has an optional head (``provider``, ``family``, ``homepage`` ...: whatever its models share) and ``[[model]]``
tables. A value that is not known is absent, never guessed; a price names the day and the page it was read from. Unknown
keys are errors, so that a misspelt fact can never be ignored.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpbench.errors import PluginError
from sgpbench.models.interface import Concurrency, Price

__all__ = ["CatalogEntry", "CatalogPrice", "catalog_files", "known_models", "read_catalog_file"]

FOLDER = Path(__file__).resolve().parent / "catalog"

Fixable = Literal["temperature", "top_p", "stop", "seed"]
Dollars = Annotated[float, Field(ge=0, le=2000)]
Tokens = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Web = Annotated[str, Field(pattern=r"^https://\S+$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CatalogPrice(_Frozen):
    """US dollars per million tokens, as the provider's page said on a day."""

    input: Dollars
    output: Dollars
    cached: Dollars | None = None
    reasoning: Dollars | None = None
    as_of: dt.date
    source: Annotated[str, Field(min_length=8)]

    @model_validator(mode="after")
    def _sane(self) -> CatalogPrice:
        if self.cached is not None and self.cached > self.input:
            raise ValueError("cached input costs more than input; are the two swapped?")
        if self.output < self.input:
            raise ValueError("output costs less than input; are the two swapped?")
        return self

    def as_price(self) -> Price:
        """The same for the harness."""
        return Price(
            self.input, self.output, self.cached, self.reasoning, as_of=self.as_of.isoformat(), source=self.source
        )


class CatalogEntry(_Frozen):
    """One model under one name; ``None`` or empty where nothing is known."""

    name: Name
    title: Annotated[str, Field(min_length=1)]
    """How tables and the site write it."""
    adapter: Annotated[str, Field(pattern=r"^[a-z0-9_\-]+$")]
    id: Annotated[str, Field(min_length=1)]
    """What the adapter asks for: the provider's model id, a hub repository, packaged weights."""
    aliases: tuple[Name, ...] = ()
    provider: str | None = None
    """Who made the model."""
    family: str | None = None
    homepage: Web | None = None
    weights: Literal["open", "closed"] | None = None
    parameters_b: Annotated[float, Field(gt=0)] | None = None
    """Billions of parameters, all experts counted."""
    licence: str | None = None
    released: dt.date | None = None
    """The day of this very version."""
    retired: dt.date | None = None
    """The day from which its provider no longer serves it."""
    context_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    sees: bool = False
    """Whether it takes images."""
    accepts: tuple[Literal["messages", "text"], ...] = ("messages",)
    """What makes sense to send it; the adapter says what it can send."""
    reasoning: bool | None = None
    """Whether it thinks before it answers (in the setting of this entry)."""
    fixed: frozenset[Fixable] = frozenset()
    """Sampling values it fixes or refuses: the protocol's are left out, the user's are errors."""
    price: CatalogPrice | None = None
    args: dict[str, str] = Field(default_factory=dict)
    """Adapter arguments that belong to this entry; the user's ``--model-arg`` come on top."""
    connections: str | None = None
    """``N`` or ``LO-HI`` requests in flight."""
    footnote: str | None = None
    """What a reader of its numbers must know."""
    reported_as: tuple[str, ...] = ()
    """Its names in published tables (``results/reported``)."""

    @model_validator(mode="after")
    def _consistent(self) -> CatalogEntry:
        if self.connections is not None:
            Concurrency.parse(self.connections)
        if self.released and self.retired and self.retired <= self.released:
            raise ValueError("retired before it was released")
        if self.context_tokens and self.max_output_tokens and self.max_output_tokens > self.context_tokens:
            raise ValueError("max_output_tokens is more than context_tokens")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)


def catalog_files(folder: Path = FOLDER) -> list[Path]:
    """The catalog's files, sorted."""
    return sorted(folder.glob("*.toml"))


def read_catalog_file(path: Path) -> list[CatalogEntry]:
    """The entries of one file, in its order.

    Raises:
        PluginError: the file is broken; the message names the file, the model and the key.
    """
    try:
        head = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{path} is not valid TOML: {error}.") from None
    tables = head.pop("model", None)
    if not isinstance(tables, list) or not tables:
        raise PluginError(f"{path} has no [[model]].")
    entries = []
    for number, table in enumerate(tables, start=1):
        try:
            # Through JSON: strict validation takes lists for tuples and texts for dates only there.
            entries.append(CatalogEntry.model_validate_json(json.dumps({**head, **table}, default=_date)))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the entry"
            name = table.get("name", f"model {number}")
            raise PluginError(f"{path}: {name}: {key}: {re.sub('^Value error, ', '', first['msg'])}.") from None
    return entries


def _date(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in the catalog")


@functools.cache
def known_models() -> tuple[CatalogEntry, ...]:
    """All entries, sorted by name.

    Raises:
        PluginError: a file is broken, or two entries share a name.
    """
    found: dict[str, Path] = {}
    entries = []
    for path in catalog_files():
        for entry in read_catalog_file(path):
            for name in entry.names:
                if name in found:
                    raise PluginError(f"{path}: the name '{name}' is also in {found[name]}.")
                found[name] = path
            entries.append(entry)
    return tuple(sorted(entries, key=lambda entry: entry.name))
