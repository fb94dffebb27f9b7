"""An HTTP client that spreads its requests over many small connection pools.

One pool of ``httpx2`` looks at every one of its connections whenever a request begins or ends. With a hundred requests
in flight that costs more than all else together; over lanes the pools stay small. The SDKs take it for the one client
that it looks like: it builds the requests, the lanes send them.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping

import httpx2

__all__ = ["LaneClient"]

_LANES = 24
_FULL = 8
"""Requests a lane takes while others are free; beyond 192 in flight they take more."""
_CONNECT_S = 15.0


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates; reading them takes longer than all else about opening a client."""
    return httpx2.create_ssl_context()


class LaneClient(httpx2.AsyncClient):
    """Sends through lanes of a few connections each; the number of requests is bounded by the caller alone.

    ``timeout_s`` is the longest time between two bytes.
    """

    def __init__(self, timeout_s: float | None, query: Mapping[str, str], *, lanes: int = _LANES) -> None:
        timeout = httpx2.Timeout(timeout_s, connect=_CONNECT_S)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        certificates = _certificates()
        super().__init__(verify=certificates, timeout=timeout, limits=limits, follow_redirects=True, params=dict(query))
        self._lanes = [
            httpx2.AsyncClient(verify=certificates, timeout=timeout, limits=limits, follow_redirects=True)
            for _ in range(lanes)
        ]
        self._busy = [0] * lanes

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: httpx2._types.AuthTypes | httpx2._client.UseClientDefault | None = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: bool | httpx2._client.UseClientDefault = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        """Sends through the first lane that is not full, so that few requests share few connections."""
        index = next((index for index, busy in enumerate(self._busy) if busy < _FULL), None)
        if index is None:
            index = self._busy.index(min(self._busy))
        self._busy[index] += 1
        try:
            return await self._lanes[index].send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        finally:
            self._busy[index] -= 1

    async def aclose(self) -> None:
        """Closes all lanes."""
        for lane in self._lanes:
            await lane.aclose()
        await super().aclose()
