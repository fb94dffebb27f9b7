"""Manifests of data sets: what files they have, where they come from, and how each is known to be the right one.

One TOML file per data set in ``data_manifests/``; the folder's README documents every key.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpbench.errors import DataError, unknown_name
from sgpbench.paths import root_folder

__all__ = [
    "Archive",
    "Derived",
    "File",
    "Hub",
    "Licence",
    "Manifest",
    "dataset_names",
    "load_manifest",
    "read_manifest",
]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Locked = Literal["locked at first fetch"]
Address = Annotated[str, Field(pattern=r"^https?://\S+$")]
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
PlainPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")]
LOCKED: Locked = "locked at first fetch"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Licence(_Strict):
    """Under which terms a data set may be used."""

    name: str
    address: Address | None = None
    non_commercial: bool = False
    """Shown, and to be accepted, before the first fetch."""


class Hub(_Strict):
    """A file in a repository of the Hugging Face hub."""

    repo: Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
    kind: Literal["dataset", "model"] = "dataset"
    path: str
    revision: str = "main"


class Archive(_Strict):
    """A zip file (or wheel) at the addresses, one member of which is the file wanted."""

    name: PlainName
    bytes: int
    sha256: Sha256
    member: str


class File(_Strict):
    """One file of a data set."""

    name: PlainName
    bytes: int | None = None
    """Its size, or ``None`` where it cannot be known before the first fetch."""
    sha256: Sha256 | Locked
    addresses: tuple[Address, ...] = ()
    """Where to get it, the first first."""
    hub: Hub | None = None
    archive: Archive | None = None
    stands_for: tuple[str, ...] = ()
    """Other files of the data set that this one holds all of; such a file is used where it is, and never fetched."""

    @property
    def locked(self) -> bool:
        """Whether the hash becomes known only at the first fetch."""
        return self.sha256 == LOCKED

    @model_validator(mode="after")
    def _has_one_origin(self) -> File:
        origins = bool(self.addresses) + (self.hub is not None)
        if origins != (0 if self.stands_for else 1):
            raise ValueError("a file has either addresses or a hub path (and none of them if it stands for others)")
        if self.archive and not self.addresses:
            raise ValueError("an archive needs addresses")
        if self.bytes is None and not (self.locked or self.stands_for or self.archive or self.addresses):
            raise ValueError("bytes are missing")
        return self


class Derived(_Strict):
    """Files listed by a field of another data set's JSON rows: one file per distinct value."""

    dataset: str
    file: str
    field: str
    """An integer field of each row."""
    count: int
    """How many distinct values there must be."""
    name: str
    """File name with ``{value}`` (a format specification such as ``{value:012d}`` is allowed)."""
    addresses: tuple[Address, ...]
    """The same for addresses."""
    sha256: Locked = LOCKED


class Manifest(_Strict):
    """A data set."""

    name: PlainName
    title: str
    description: str
    homepage: Address
    source: str
    """Whose it is, and in which version."""
    licence: Licence
    citation: str
    selection: str
    """What was selected out of what, and how."""
    split: str
    """Which part of the original this is: ``test``, ``val2017`` ..."""
    folders: tuple[PlainPath, ...] = ()
    """Further folders, below a data directory, in which these files are commonly kept: ``val2017``, ``set/tasks``."""
    files: tuple[File, ...] = ()
    derived: Derived | None = None

    @model_validator(mode="after")
    def _has_files_once(self) -> Manifest:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("a file is named twice")
        if bool(self.files) == (self.derived is not None):
            raise ValueError("either files or derived")
        known = set(names)
        for file in self.files:
            if unknown := set(file.stands_for) - known:
                raise ValueError(f"{file.name} stands for unknown files: {', '.join(sorted(unknown))}")
        return self


@cache
def read_manifest(path: Path) -> Manifest:
    """The manifest in a TOML file.

    Raises:
        DataError: the file breaks the schema; the message names file and key.
    """
    try:
        manifest = Manifest.model_validate_json(json.dumps(tomllib.loads(path.read_text("utf-8"))))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise DataError(f"{path}: {where}: {first['msg']}.") from None
    if manifest.name != path.stem:
        raise DataError(f"{path} calls itself '{manifest.name}'; name and file name must agree.")
    return manifest


def dataset_names(folder: Path | None = None) -> list[str]:
    """The names of all data sets with a manifest, sorted."""
    return sorted(path.stem for path in (folder or root_folder("data_manifests")).glob("*.toml"))


def load_manifest(name: str, folder: Path | None = None) -> Manifest:
    """The manifest of a data set by name.

    Raises:
        UsageError: there is no data set of that name.
    """
    folder = folder or root_folder("data_manifests")
    if name not in (known := dataset_names(folder)):
        raise unknown_name("data set", name, known, listing="sgpbench data list")
    return read_manifest(folder / f"{name}.toml")
