"""Lock files: the hashes of files whose hash no manifest can know, recorded beside the data at the first fetch."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sgpbench.errors import DataError

__all__ = ["LOCK_NAME", "Lock", "LockedFile", "lock_path", "read_lock", "write_lock"]

LOCK_NAME = "sgpbench-lock.json"


class LockedFile(BaseModel):
    """What was fetched first."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    bytes: int
    sha256: str
    source: str
    """The address it came from, or ``put there by hand``."""
    locked_on: str
    """ISO date, UTC."""


class Lock(BaseModel):
    """The lock file of one data set in one folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: str
    files: Mapping[str, LockedFile]


def lock_path(folder: Path, dataset: str) -> Path:
    """Where the lock file of a data set stands, given the folder that holds its files."""
    return folder / (LOCK_NAME if folder.name == dataset else f"{dataset}.{LOCK_NAME}")


def read_lock(folder: Path, dataset: str) -> Lock:
    """The lock of a data set's files in that folder; empty where there is none.

    Raises:
        DataError: the lock file is not one.
    """
    path = lock_path(folder, dataset)
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Lock(dataset=dataset, files={})
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise DataError(
            f"The lock file {path} cannot be read: {reason}.",
            remedy="Restore it, or remove it to accept the files as they are.",
        ) from None


def write_lock(folder: Path, lock: Lock) -> None:
    """Replaces the lock file in one step."""
    path = lock_path(folder, lock.dataset)
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(lock.model_dump(mode="json"), file, indent=1, sort_keys=True)
        file.write("\n")
    Path(name).replace(path)
