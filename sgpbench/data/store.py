"""Where the files of data sets are, and whether they are the published ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgpbench.data.checks import Checks
from sgpbench.data.lock import Lock, read_lock
from sgpbench.data.manifest import Archive, Derived, Hub, Manifest, load_manifest
from sgpbench.errors import DataError

__all__ = ["DataStore", "FileState", "WantedFile"]


@dataclass(frozen=True, slots=True)
class WantedFile:
    """One file of a data set, with files derived from another data set spelled out."""

    name: str
    bytes: int | None
    sha256: str | None
    """``None`` where the hash is locked at the first fetch."""
    addresses: tuple[str, ...] = ()
    hub: Hub | None = None
    archive: Archive | None = None
    stands_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileState:
    """What is here of one file."""

    name: str
    state: Literal["verified", "unlocked", "damaged", "missing"]
    """``unlocked``: it is here, and no hash of it was ever recorded to hold it against."""
    path: Path | None = None
    expected: str | None = None
    found: str | None = None


class DataStore:
    """Finds files in folders, first one first: in ``folder/<data set>/``, then in ``folder`` itself.

    Every file it hands out has the SHA-256 of its manifest (or of the lock file beside it). A file is hashed once and
    again only after a change.
    """

    def __init__(self, folders: Sequence[Path], *, manifests: Path | None = None) -> None:
        self.folders = tuple(folders)
        self.manifests = manifests
        self._checks = Checks()
        self._locks: dict[tuple[Path, str], Lock] = {}

    def file(self, dataset: str, name: str) -> Path:
        """The verified local path of a file.

        Raises:
            DataError: it is missing or damaged; the message holds the command that fetches it.
            UsageError: there is no such data set.
        """
        found = self.find(dataset, name)
        if found is None:
            raise DataError(
                f"The file {name} of the data set '{dataset}' is not on this machine.",
                remedy=f"Run `sgpbench data fetch {dataset}`.",
            )
        return found

    def find(self, dataset: str, name: str) -> Path | None:
        """The same, or ``None`` where the file is missing.

        Raises:
            DataError: the file is here but is not the published one, or no data set holds a file of that name.
        """
        manifest = load_manifest(dataset, self.manifests)
        state = self._state(manifest, name, _published_hash(manifest, name))
        if state.state == "damaged":
            raise DataError(
                f"{state.path} is not the published file: its SHA-256 is {state.found}, expected {state.expected}.",
                remedy=f"Remove it, then run `sgpbench data fetch {dataset}`.",
            )
        return state.path

    def wanted(self, dataset: str) -> tuple[WantedFile, ...]:
        """All files of a data set.

        Raises:
            DataError: they are derived from a file that is not here.
        """
        manifest = load_manifest(dataset, self.manifests)
        if manifest.derived:
            return tuple(self._derived(manifest.derived))
        return tuple(
            WantedFile(
                name=file.name,
                bytes=file.bytes,
                sha256=None if file.locked else file.sha256,
                addresses=file.addresses,
                hub=file.hub,
                archive=file.archive,
                stands_for=file.stands_for,
            )
            for file in manifest.files
        )

    def states(self, dataset: str, *, fresh: bool = False) -> list[FileState]:
        """What is here of each file; ``fresh`` hashes them all again.

        A file that another one stands for counts as here, and one that stands for others is listed only if it is here.
        """
        manifest = load_manifest(dataset, self.manifests)
        wanted = self.wanted(dataset)
        states = {file.name: self._state(manifest, file.name, file.sha256, fresh=fresh) for file in wanted}
        for file in wanted:
            state = states[file.name]
            if file.stands_for and state.state == "missing":
                del states[file.name]
            elif file.stands_for and state.state == "verified":
                for name in file.stands_for:
                    if states[name].state == "missing":
                        del states[name]
        return list(states.values())

    def refresh(self) -> None:
        """Forgets what it read of lock files, after a fetch has changed them."""
        self._locks.clear()

    def _derived(self, derived: Derived) -> Iterator[WantedFile]:
        path = self.file(derived.dataset, derived.file)
        rows: list[dict[str, object]] = json.loads(path.read_bytes())
        values = dict.fromkeys(row[derived.field] for row in rows)
        if len(values) != derived.count:
            raise DataError(f"{path} names {len(values)} values of {derived.field}, not {derived.count}.")
        for value in values:
            yield WantedFile(
                name=derived.name.format(value=value),
                bytes=None,
                sha256=None,
                addresses=tuple(address.format(value=value) for address in derived.addresses),
            )

    def _state(self, manifest: Manifest, name: str, published: str | None, *, fresh: bool = False) -> FileState:
        for folder in self._places(manifest):
            file = os.path.join(folder, name)  # noqa: PTH118 (a thousand files are looked up per task)
            if not os.path.isfile(file):  # noqa: PTH113
                continue
            path = Path(file)
            expected = published or self._locked_hash(Path(folder), manifest.name, name)
            if expected is None:
                return FileState(name, "unlocked", path)
            found = self._hash(path, fresh=fresh)
            state: Literal["verified", "damaged"] = "verified" if found == expected else "damaged"
            return FileState(name, state, path, expected, found)
        return FileState(name, "missing", expected=published)

    def _hash(self, path: Path, *, fresh: bool) -> str:
        try:
            return self._checks.sha256(path, fresh=fresh)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None

    def _places(self, manifest: Manifest) -> Iterator[str]:
        for folder in self.folders:
            for name in (manifest.name, *manifest.folders):
                yield f"{folder}/{name}"
            yield str(folder)

    def _locked_hash(self, folder: Path, dataset: str, name: str) -> str | None:
        key = (folder, dataset)
        if key not in self._locks:
            self._locks[key] = read_lock(folder, dataset)
        locked = self._locks[key].files.get(name)
        return locked.sha256 if locked else None


def _published_hash(manifest: Manifest, name: str) -> str | None:
    """The hash the manifest gives for a file; ``None`` where it is locked at the first fetch."""
    if manifest.derived:
        return None
    for file in manifest.files:
        if file.name == name:
            return None if file.locked else file.sha256
    raise DataError(f"The data set '{manifest.name}' has no file {name}.")
