"""Brings data sets here: what is missing, side by side, checked before it gets its name.

A file is written to ``NAME.part`` and renamed once its hash is right. One with another hash is kept aside as
``NAME.rejected`` and refused. Hashes that no manifest can know are locked in a file beside the data.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import httpx2

from sgpbench.data.archive import extract_member
from sgpbench.data.checks import Checks, sha256_of
from sgpbench.data.download import Download, Gone, Hosts, Policy, Unreachable, disk_error, open_client
from sgpbench.data.hub import fetch_from_hub, hub_address
from sgpbench.data.lock import LockedFile, read_lock, write_lock
from sgpbench.data.manifest import load_manifest
from sgpbench.data.plausible import implausible
from sgpbench.data.store import DataStore, WantedFile
from sgpbench.errors import DataError
from sgpbench.system import lock_exclusively

__all__ = ["FileResult", "Progress", "fetch", "missing_files", "with_needed"]


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file."""

    dataset: str
    name: str
    outcome: Literal["present", "fetched", "failed"]
    path: Path
    """Where it is, or where it belongs."""
    bytes: int = 0
    reason: str | None = None
    addresses: tuple[str, ...] = ()
    unreachable: bool = False
    """It failed because no host could be connected to."""


class Progress(Protocol):
    """Is told how a fetch goes on."""

    def begin(self, dataset: str, files: int, size: int | None) -> None:
        """So many files are to be fetched, of so many bytes in all where that is known."""

    def bytes(self, name: str, done: int) -> None:
        """So many bytes of a file are here."""

    def end(self, result: FileResult) -> None:
        """A file is done."""


def with_needed(datasets: Sequence[str], store: DataStore) -> list[str]:
    """The data sets, each after the one its list of files is derived from."""
    ordered: dict[str, None] = {}
    for name in datasets:
        if derived := load_manifest(name, store.manifests).derived:
            ordered.setdefault(derived.dataset)
        ordered.setdefault(name)
    return list(ordered)


def missing_files(dataset: str, store: DataStore) -> list[WantedFile]:
    """The files of a data set that are not here in their published form."""
    here = {state.name for state in store.states(dataset) if state.state in ("verified", "unlocked")}
    shown = {state.name for state in store.states(dataset)}
    return [file for file in store.wanted(dataset) if file.name in shown and file.name not in here]


def fetch(
    dataset: str,
    store: DataStore,
    progress: Progress,
    *,
    policy: Policy | None = None,
    hosts: Hosts | None = None,
) -> list[FileResult]:
    """Fetches what is missing of a data set into ``<first folder of the store>/<data set>/``.

    Files that fail are reported, and take no other file down. What is here already is not asked for again. ``hosts``
    carries over from an earlier fetch which hosts cannot be reached.

    Raises:
        DataError: nothing can be fetched: the folder cannot be written, another fetch is writing to it, the disk is full, or
            the list of files comes from a data set that is not here.
    """
    folder = store.folders[0] / dataset
    present = {state.name: state for state in store.states(dataset)}
    missing = missing_files(dataset, store)
    results = [
        FileResult(dataset, state.name, "present", state.path)
        for state in present.values()
        if state.path is not None and state.state in ("verified", "unlocked")
    ]
    _lock_found(dataset, store)
    if missing:
        with _writing(folder):
            policy = policy or Policy()
            fetcher = _Fetcher(dataset, folder, store, progress, policy, hosts or Hosts(policy.host_failures))
            results += asyncio.run(fetcher.run(missing))
    store.refresh()
    return results


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Holds the folder against other fetches.

    Raises:
        DataError: it cannot be made or written to, or another fetch holds it.
    """
    guard = folder / ".fetching"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(guard, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise disk_error(error, guard) or error from None
    try:
        try:
            lock_exclusively(handle)
        except BlockingIOError:
            raise DataError(f"Another `sgpbench data fetch` is writing to {folder}.", remedy="Wait for it.") from None
        yield
        guard.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock_found(dataset: str, store: DataStore) -> None:
    """Locks files that were put there by hand; folders that cannot be written to stay as they are."""
    found: dict[Path, dict[str, LockedFile]] = {}
    for state in store.states(dataset):
        if state.state == "unlocked" and state.path is not None:
            entry = _entry(state.path, sha256_of(state.path), "put there by hand")
            found.setdefault(state.path.parent, {})[state.name] = entry
    for folder, entries in found.items():
        if os.access(folder, os.W_OK):
            _lock(folder, dataset, entries)
    store.refresh()


def _entry(path: Path, sha256: str, source: str) -> LockedFile:
    return LockedFile(
        bytes=path.stat().st_size, sha256=sha256, source=source, locked_on=datetime.now(UTC).date().isoformat()
    )


def _lock(folder: Path, dataset: str, entries: dict[str, LockedFile]) -> None:
    lock = read_lock(folder, dataset)
    write_lock(folder, lock.model_copy(update={"files": {**lock.files, **entries}}))


@dataclass
class _Fetcher:
    """Fetches the missing files of one data set."""

    dataset: str
    folder: Path
    store: DataStore
    progress: Progress
    policy: Policy
    hosts: Hosts
    checks: Checks = field(default_factory=Checks)
    stopped: DataError | None = None
    """A reason for which no further file can be had: the disk."""

    def __post_init__(self) -> None:
        self.locked = dict(read_lock(self.folder, self.dataset).files)
        self.fresh: dict[str, LockedFile] = {}

    async def run(self, files: Sequence[WantedFile]) -> list[FileResult]:
        """All files, ``policy.connections`` at a time."""
        sizes = [file.archive.bytes if file.archive else file.bytes for file in files]
        size = sum(known for known in sizes if known is not None) if None not in sizes else None
        self._check_space(size)
        self.progress.begin(self.dataset, len(files), size)
        places = asyncio.Semaphore(self.policy.connections)
        async with open_client(self.policy) as client:

            async def one(file: WantedFile) -> FileResult:
                async with places:
                    result = await self._result(client, file)
                self.progress.end(result)
                return result

            try:
                results = await asyncio.gather(*(one(file) for file in files))
            finally:
                if self.fresh:
                    _lock(self.folder, self.dataset, self.fresh)
        if self.stopped:
            raise self.stopped
        return results

    def _check_space(self, size: int | None) -> None:
        free = shutil.disk_usage(self.folder).free
        if size is not None and size > free:
            raise DataError(
                f"The disk that holds {self.folder} has {free / 1e6:.0f} MB left; {size / 1e6:.0f} MB are to be fetched.",
                remedy="Free some space. Give another folder with --data-dir.",
            )

    async def _result(self, client: httpx2.AsyncClient, file: WantedFile) -> FileResult:
        """One file, with its failure as a value."""
        path = self.folder / file.name
        addresses = (hub_address(file.hub),) if file.hub else file.addresses
        if self.stopped:
            return FileResult(self.dataset, file.name, "failed", path, reason=str(self.stopped), addresses=addresses)
        try:
            source = await self._bring(client, file, path)
            self._accept(file, path, source)
        except DataError as error:
            if error.remedy and "--data-dir" in error.remedy:
                self.stopped = error
            lost = isinstance(error, Unreachable)
            return FileResult(
                self.dataset, file.name, "failed", path, reason=str(error), addresses=addresses, unreachable=lost
            )
        return FileResult(self.dataset, file.name, "fetched", path, bytes=path.stat().st_size, addresses=(source,))

    async def _bring(self, client: httpx2.AsyncClient, file: WantedFile, path: Path) -> str:
        """Leaves the right bytes at ``path``; the address they came from."""
        if file.archive:
            archive = self._archive_at_hand(file.archive.name, file.archive.sha256)
            source = file.addresses[0]
            brought = archive is None
            if archive is None:
                archive = path.with_name(file.archive.name)
                source = await self._from_addresses(client, file, archive, file.archive.bytes, file.archive.sha256)
            part = _part(path)
            await asyncio.to_thread(extract_member, archive, file.archive.member, part)
            self._rename(part, path, file.sha256, source)
            if brought:
                archive.unlink()
            return source
        expected = file.sha256 or (self.locked[file.name].sha256 if file.name in self.locked else None)
        if file.hub:
            part = _part(path)
            await asyncio.to_thread(fetch_from_hub, file.hub, part)
            self._rename(part, path, expected, hub_address(file.hub))
            return hub_address(file.hub)
        return await self._from_addresses(client, file, path, file.bytes, expected)

    async def _from_addresses(
        self, client: httpx2.AsyncClient, file: WantedFile, path: Path, size: int | None, expected: str | None
    ) -> str:
        """Tries one address after the other; the error of the last tells of all."""
        part = _part(path)
        download = Download(client, self.policy, self.hosts, self._reporter(file.name))
        errors: list[DataError] = []
        for address in file.addresses:
            for _ in range(2):
                begun_before = part.exists()
                try:
                    await download.run(address, part, size=size, hash_known=expected is not None)
                    self._rename(part, path, expected, address)
                except DataError as error:
                    if error.remedy and "--data-dir" in error.remedy:
                        raise
                    errors.append(error)
                    if isinstance(error, _WrongHash) and begun_before:
                        continue  # continued from an older part: once more from the start
                    break
                return address
        raise _all_failed(errors)

    def _reporter(self, name: str) -> Callable[[int], None]:
        return lambda done: self.progress.bytes(name, done)

    def _archive_at_hand(self, name: str, sha256: str) -> Path | None:
        """The archive where somebody fetched it by hand."""
        for folder in self.store.folders:
            for candidate in (folder / self.dataset / name, folder / name):
                if candidate.is_file() and self.checks.sha256(candidate) == sha256:
                    return candidate
        return None

    def _rename(self, part: Path, path: Path, expected: str | None, source: str) -> None:
        """Gives a complete part its name if its hash is right; else keeps it aside.

        Raises:
            DataError: its hash is wrong, or it is not of the kind its name says.
        """
        found = sha256_of(part)
        odd = None if expected else implausible(part, path.suffix)
        part.with_name(f"{part.name}.json").unlink(missing_ok=True)
        if odd or (expected and found != expected):
            rejected = path.with_name(f"{path.name}.rejected")
            part.replace(rejected)
            wrong = odd or f"its SHA-256 is {found}, expected {expected}"
            lock = f" (locked on {self.locked[path.name].locked_on})" if path.name in self.locked else ""
            raise _WrongHash(f"{source} served something else: {wrong}{lock}; it is kept aside as {rejected}.")
        part.replace(path)
        self.checks.remember(path, found)

    def _accept(self, file: WantedFile, path: Path, source: str) -> None:
        """Locks the hash of a file whose hash was not known."""
        if file.sha256 is None and file.name not in self.locked:
            self.fresh[file.name] = _entry(path, self.checks.sha256(path), source)


class _WrongHash(Gone):
    """What came is not the published file."""


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _all_failed(errors: Sequence[DataError]) -> DataError:
    """One error for all addresses: out of reach only if every one is."""
    message = " ".join(dict.fromkeys(error.message for error in errors))
    return (Unreachable if all(isinstance(error, Unreachable) for error in errors) else DataError)(message)
