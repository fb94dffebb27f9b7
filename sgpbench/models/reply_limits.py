"""What of a server's answer is taken in: so many bytes on the wire and unpacked, as UTF-8 JSON, from where we asked.

::

    httpx2.RequestError
    ├── ReplyTooLarge      more bytes than any answer of a model has; asked again, as after any broken answer
    ├── RedirectRefused    the server sends us, and with us the key, to another host, port or scheme; never followed
    └── ReplyUnreadable    packed in a way we did not ask for, damaged, or not UTF-8
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from typing import TYPE_CHECKING

import httpx2

from sgpbench.publishable import shown_address

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACCEPTED",
    "LARGE_AT_ONCE",
    "MOST_ERROR_BYTES",
    "MOST_REPLY_BYTES",
    "RedirectRefused",
    "ReplyTooLarge",
    "ReplyUnreadable",
    "next_hop",
    "read_reply",
]

MOST_REPLY_BYTES = 8 << 20
"""Of one answer, unpacked. 128 samples of 16,384 tokens each are about this many."""
MOST_ERROR_BYTES = 64 << 10
"""Of the body of an error: what follows is not read, since it is shown to people and cut anyway."""
LARGE_BYTES = 256 << 10
"""Answers larger than this are read a few at a time, so that hundreds of them in flight do not fill the memory."""
LARGE_AT_ONCE = 6
ACCEPTED = "gzip"
"""``Accept-Encoding``: the one packing that is undone within a bound."""

_GZIP_OR_ZLIB = 47
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class ReplyTooLarge(httpx2.RequestError):
    """An answer has more bytes than are taken in."""


class RedirectRefused(httpx2.RequestError):
    """A server redirects to another host, port or scheme, which would get the key and all headers."""


class ReplyUnreadable(httpx2.RequestError):
    """An answer's bytes are not what its headers say, or not text."""


def next_hop(response: httpx2.Response) -> httpx2.Request | None:
    """The request that a redirect within the same origin asks for; ``None`` where the response is no redirect.

    Raises:
        RedirectRefused: it leads elsewhere.
    """
    if not response.has_redirect_location:
        return None
    following, asked = response.next_request, response.request.url
    if following is None:
        raise RedirectRefused("it redirects to an address that cannot be read")
    target = following.url
    if (target.scheme, target.host, _port(target)) != (asked.scheme, asked.host, _port(asked)) or target.userinfo:
        place = shown_address(f"{target.scheme}://{target.netloc.decode('ascii', 'replace').rpartition('@')[2]}")
        raise RedirectRefused(f"it redirects to another place, {place}, which would get the key")
    return following


def _port(url: httpx2.URL) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


async def read_reply(response: httpx2.Response, large: asyncio.Semaphore) -> bytes:
    """The unpacked body: of an answer all of it, with lone surrogates mended; of an error its beginning, as JSON.

    ``large`` has a place for each large answer that may be read at once.

    Raises:
        ReplyTooLarge, ReplyUnreadable: see there. httpx2.RequestError: it broke off.
    """
    if response.is_success:
        return _checked(await _read_all(response, large))
    return _as_json_object(await _read_beginning(response))


async def _read_all(response: httpx2.Response, large: asyncio.Semaphore) -> bytes:
    body = bytearray()
    take = _taker(response, body, MOST_REPLY_BYTES)
    chunks = response.aiter_raw()
    async for chunk in chunks:
        take(chunk)
        if len(body) > LARGE_BYTES:
            break
    else:
        return bytes(body)
    async with large:
        async for chunk in chunks:
            take(chunk)
        return bytes(body)


def _taker(response: httpx2.Response, body: bytearray, limit: int) -> Callable[[bytes], None]:
    """Appends what a chunk from the wire unpacks to."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip", "x-gzip", "deflate", ""}:
        raise ReplyUnreadable(f"its answer is packed as '{coding[:40]}', which was not asked for")
    unpacker = None if coding in {"identity", ""} else zlib.decompressobj(_GZIP_OR_ZLIB)
    seen = 0

    def take(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)
        if unpacker is None:
            body.extend(chunk)
        elif not unpacker.eof:
            try:
                body.extend(unpacker.decompress(chunk, limit + 1 - len(body)))
            except zlib.error:
                raise ReplyUnreadable("its answer cannot be unpacked") from None
        if max(seen, len(body)) > limit:
            raise ReplyTooLarge(f"its answer is larger than {limit >> 20} MiB")

    return take


async def _read_beginning(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        take = _taker(response, body, MOST_ERROR_BYTES)
        async for chunk in response.aiter_raw():
            take(chunk)
    except (ReplyTooLarge, ReplyUnreadable):
        pass  # The status says what happened; of the words, these must do.
    return bytes(body[:MOST_ERROR_BYTES])


def _checked(body: bytes) -> bytes:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise ReplyUnreadable("its answer is not UTF-8") from None
    return _ESCAPE.sub(_mended, body) if _SURROGATE.search(body) else body


def _mended(escape: re.Match[bytes]) -> bytes:
    """The escape as it is, unless it is half of a pair: such a text is an answer, which cannot be stored as it came."""
    return b"\\ufffd" if escape[1] else escape[0]


def _as_json_object(body: bytes) -> bytes:
    """An error's body as a JSON object, whatever it was: the SDKs look into it, and stumble over all else."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, dict):
        return json.dumps(found).encode()
    return json.dumps({"error": {"message": text}} if text.strip() else {}).encode()
