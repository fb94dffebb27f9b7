"""An HTTP client that spreads its requests over many small connection pools.

One pool of ``httpx2`` looks at every one of its connections whenever a request begins or ends. With a hundred requests
in flight that costs more than all else together; over lanes the pools stay small. The SDKs take it for the one client
that it looks like: it builds the requests, the lanes send them.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping

import httpx2

from sgpbench.models.reply_limits import ACCEPTED, LARGE_AT_ONCE, RedirectRefused, next_hop, read_reply

__all__ = ["LaneClient"]

_LANES = 24
_FULL = 8
"""Requests a lane takes while others are free; beyond 192 in flight they take more."""
_CONNECT_S = 15.0
_MOST_REDIRECTS = 3
_KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
_KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates; reading them takes longer than all else about opening a client."""
    return httpx2.create_ssl_context()


class LaneClient(httpx2.AsyncClient):
    """Sends through lanes of a few connections each; the number of requests is bounded by the caller alone.

    ``timeout_s`` is the longest time between two bytes. Answers come whole, within the bounds of ``reply_limits``, and
    with those headers alone that somebody reads; redirects are followed only within the place that was asked.
    """

    def __init__(self, timeout_s: float | None, query: Mapping[str, str], *, lanes: int = _LANES) -> None:
        timeout = httpx2.Timeout(timeout_s, connect=_CONNECT_S)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        certificates = _certificates()
        super().__init__(
            verify=certificates,
            timeout=timeout,
            limits=limits,
            params=dict(query),
            headers={"accept-encoding": ACCEPTED},
        )
        self._lanes = [httpx2.AsyncClient(verify=certificates, timeout=timeout, limits=limits) for _ in range(lanes)]
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._busy = [0] * lanes

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: httpx2._types.AuthTypes | httpx2._client.UseClientDefault | None = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: bool | httpx2._client.UseClientDefault = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """Sends through the first lane that is not full, so that few requests share few connections.

        Raises:
            httpx2.RequestError: no whole answer arrived, or one that is not taken in (``reply_limits``).
        """
        index = next((index for index, busy in enumerate(self._busy) if busy < _FULL), None)
        if index is None:
            index = self._busy.index(min(self._busy))
        self._busy[index] += 1
        try:
            return await self._answer(self._lanes[index], request, auth)
        finally:
            self._busy[index] -= 1

    async def _answer(
        self,
        lane: httpx2.AsyncClient,
        request: httpx2.Request,
        auth: httpx2._types.AuthTypes | httpx2._client.UseClientDefault | None,
    ) -> httpx2.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = await lane.send(request, stream=True, auth=auth, follow_redirects=False)
            try:
                following = next_hop(response)
                if following is None:
                    body = await read_reply(response, self._large)
                    return httpx2.Response(
                        response.status_code, headers=_kept(response.headers), content=body, request=response.request
                    )
            finally:
                await response.aclose()
            request = following
        raise RedirectRefused(f"it redirects more than {_MOST_REDIRECTS} times")

    async def aclose(self) -> None:
        """Closes all lanes."""
        for lane in self._lanes:
            await lane.aclose()
        await super().aclose()


def _kept(headers: httpx2.Headers) -> dict[str, str]:
    """The headers that say when to ask again; any other could hold what was sent."""
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS or name.startswith(_KEPT_PREFIXES)}
    return {**kept, "content-type": "application/json; charset=utf-8"}
