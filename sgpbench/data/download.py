"""One file over HTTP: continued where it was cut, asked again when a host stumbles, given up in plain words.

Bytes go to a part file. Beside it, ``NAME.part.json`` keeps the address and the validator (ETag or date) that the part
was begun with, so that a later request continues the same file or starts over.
"""

from __future__ import annotations

import asyncio
import errno
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import httpx2

from sgpbench.errors import DataError

__all__ = ["Download", "Gone", "Hosts", "Policy", "Unreachable", "disk_error", "open_client"]

_LOST = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)
_CUT = (httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError, httpx2.WriteError, httpx2.CloseError)
_AGAIN = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard to try."""

    connections: int = 8
    attempts: int = 6
    """Requests per address that may fail in passing before the next address is tried; progress resets the count."""
    backoff_s: float = 1.0
    """Waiting time after the first failure; doubles, up to a minute, with jitter."""
    connect_s: float = 10.0
    stall_s: float = 30.0
    """Longest time without a byte."""
    host_failures: int = 3
    """Failed connections in a row after which a host counts as out of reach for the rest of the fetch."""


class Gone(DataError):
    """The address does not serve this file; another one may."""


class Unreachable(DataError):
    """The host cannot be connected to from here."""


@dataclass(slots=True)
class Hosts:
    """Which hosts cannot be reached, so that a thousand files do not each find out."""

    limit: int
    failures: Counter[str] = field(default_factory=Counter)

    def lost(self, host: str) -> bool:
        """Counts a failed connection; whether the host is given up."""
        self.failures[host] += 1
        return self.is_lost(host)

    def reached(self, host: str) -> None:
        """The host answered."""
        self.failures[host] = 0

    def is_lost(self, host: str) -> bool:
        """Whether the host is given up."""
        return self.failures[host] >= self.limit


class _Part(NamedTuple):
    """What a part file was begun with."""

    address: str
    validator: str | None


def open_client(policy: Policy) -> httpx2.AsyncClient:
    """A client that follows redirects and reads proxies from the environment."""
    return httpx2.AsyncClient(
        follow_redirects=True,
        timeout=httpx2.Timeout(policy.stall_s, connect=policy.connect_s, pool=None),
        limits=httpx2.Limits(max_connections=policy.connections, max_keepalive_connections=policy.connections),
        headers={"User-Agent": "sgpbench (data fetch)", "Accept-Encoding": "identity"},
    )


def disk_error(error: OSError, path: Path) -> DataError | None:
    """What a failed write means, in plain words; ``None`` for errors that are not about the disk."""
    elsewhere = "Give another folder with --data-dir."
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return DataError(f"The disk that holds {path.parent} is full.", remedy=f"Free some space. {elsewhere}")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return DataError(f"{path.parent} cannot be written to: {error.strerror}.", remedy=elsewhere)
        case errno.ENOTDIR | errno.EEXIST | errno.EISDIR | errno.ENAMETOOLONG | errno.EIO:
            return DataError(f"{path} cannot be written: {error.strerror}.", remedy=elsewhere)
        case _:
            return None


class Download:
    """Brings one address into one part file."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        policy: Policy,
        hosts: Hosts,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._client = client
        self._policy = policy
        self._hosts = hosts
        self._on_bytes = on_bytes

    async def run(self, address: str, part: Path, *, size: int | None, hash_known: bool) -> None:
        """Completes ``part`` from an address.

        A part begun elsewhere, or without a validator, is continued only where the hash of the whole is known, since that
        finds out a bad seam.

        Raises:
            Gone: the address has no such file, or another one.
            Unreachable: its host cannot be connected to.
            DataError: it kept failing, or the disk refuses.
        """
        host = httpx2.URL(address).netloc.decode("ascii")
        failures, best = 0, _size(part)
        while True:
            if self._hosts.is_lost(host):
                raise Unreachable(f"{host} cannot be reached from here.")
            wait: float | None = None
            try:
                wait = await self._request(address, part, size=size, hash_known=hash_known)
                self._hosts.reached(host)
                if wait is None:
                    return
                reason = "it keeps answering with errors"
            except _LOST as error:
                reason = str(error) or type(error).__name__
                if self._hosts.lost(host):
                    raise Unreachable(f"{host} cannot be reached from here: {reason}.") from None
            except _CUT as error:
                reason = str(error) or type(error).__name__
            except (httpx2.TooManyRedirects, httpx2.InvalidURL, httpx2.DecodingError) as error:
                raise Gone(f"{address}: {error}.") from None
            failures = 1 if _size(part) > best else failures + 1
            best = max(best, _size(part))
            if failures >= self._policy.attempts:
                raise DataError(f"{address} failed {failures} times in a row: {reason}.")
            await asyncio.sleep(self._pause(failures, wait))

    def _pause(self, failures: int, asked: float | None) -> float:
        own = min(60.0, self._policy.backoff_s * 2.0 ** (failures - 1)) * random.uniform(0.75, 1.25)
        return max(own, min(asked or 0.0, 120.0))

    async def _request(self, address: str, part: Path, *, size: int | None, hash_known: bool) -> float | None:
        """One request. ``None`` when the part is complete, else how many seconds the host wants us to wait."""
        start, headers = self._resume(address, part, size=size, hash_known=hash_known)
        async with self._client.stream("GET", address, headers=headers) as response:
            status = response.status_code
            if status in _AGAIN:
                return _retry_after(response)
            if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                if size is not None and start == size:
                    return None
                _discard(part)
                return 0.0
            if not response.is_success:
                raise Gone(f"{address} answers {status} {response.reason_phrase}.".replace(" .", "."))
            if status != HTTPStatus.PARTIAL_CONTENT or _range_start(response) != start:
                if status == HTTPStatus.PARTIAL_CONTENT:
                    _discard(part)
                    return 0.0
                start = 0
            total = _total(response, start)
            if size is not None and total is not None and total != size:
                _discard(part)
                raise Gone(f"{address} serves {total} bytes; the published file has {size}.")
            await self._write(response, address, part, start=start, size=size)
        return None

    def _resume(self, address: str, part: Path, *, size: int | None, hash_known: bool) -> tuple[int, dict[str, str]]:
        """From which byte to go on, and the headers that ask for it."""
        have = _size(part)
        begun = _read_begun(part)
        same = begun is not None and begun.address == address and begun.validator is not None
        if not have or not (same or hash_known) or (size is not None and have > size):
            return 0, {}
        headers = {"Range": f"bytes={have}-"}
        if same and begun is not None and begun.validator is not None:
            headers["If-Range"] = begun.validator
        return have, headers

    async def _write(
        self, response: httpx2.Response, address: str, part: Path, *, start: int, size: int | None
    ) -> None:
        written = start
        try:
            _begun_path(part).write_text(json.dumps(_Part(address, _validator(response))), "utf-8")
            with part.open("ab" if start else "wb") as file:
                self._on_bytes(start)
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
                    written += len(chunk)
                    self._on_bytes(written)
                    if size is not None and written > size:
                        break
        except OSError as error:
            raise disk_error(error, part) or error from None
        if size is not None and written > size:
            _discard(part)
            raise Gone(f"{address} serves more than the {size} bytes of the published file.")
        if size is not None and written < size:
            raise httpx2.RemoteProtocolError(f"the connection ended after {written} of {size} bytes")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _begun_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_begun(part: Path) -> _Part | None:
    try:
        address, validator = json.loads(_begun_path(part).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return _Part(str(address), validator if isinstance(validator, str) else None)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _begun_path(part).unlink(missing_ok=True)


def _validator(response: httpx2.Response) -> str | None:
    """A strong ETag, else the date of the last change: what ``If-Range`` may hold."""
    etag: str | None = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    changed: str | None = response.headers.get("Last-Modified")
    return changed


def _range_start(response: httpx2.Response) -> int | None:
    """The first byte of a partial answer (``bytes 100-199/200``)."""
    words = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(words) if words.isdigit() else None


def _total(response: httpx2.Response, start: int) -> int | None:
    """How long the whole file is by what the host says; ``None`` where it does not, or sends it compressed."""
    length = response.headers.get("Content-Length", "")
    if not length.isdigit() or response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return start + int(length)


def _retry_after(response: httpx2.Response) -> float:
    """Seconds the host asks us to wait; 0 where it says nothing we can read."""
    words = response.headers.get("Retry-After", "")
    return float(words) if words.isdigit() else 0.0
