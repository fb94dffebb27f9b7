"""A judge that answers by the text of the request alone, behind OpenAI's wire format.

In a thread of this process (``JudgeServer``), or as a program of its own: ``python judge_server.py`` prints its port and
serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

SCALE = ("100", "50", "30", "0")
FORMS = (
    "REASONING: as asked.\nSCORE: {a}",
    "REASONING: as asked.\nSCORE:{a}\n",
    "REASONING: {b} of 100 things.\nSCORE: {a}",
    "SCORE: {a}\nREASONING: not {b}, and not {c}.",
    "SCORE: {a} SCORE: {b}",
    "SCORE: {a}SCORE: {b}",
    "I hesitate between SCORE: SCORE: {a} and {b}.",
    "**SCORE: {a}**",
    "SCORE: {a}. It could be {b}.",
    "SCORE: {a}/100",
    "[SCORE: {a}]",
    "score: {a}",
    "SCORE: 80, between {a} and {b}",
    "It has 1000 lines and 7 dots; {a} at most.",
    "SCORE: very good",
    "SCORE:",
    "",
    "I see {a} dots, {b} lines, 0.{c} of it white.",
    "SCORE:\u2003{a}\u2003points",
    "Zero.",
)


def reply_to(text: str) -> str:
    """Well formed, malformed, or with several numbers: decided by the text alone."""
    digest = hashlib.sha256(text.encode()).digest()
    a, b, c = (SCALE[byte % 4] for byte in digest[1:4])
    return FORMS[digest[0] % len(FORMS)].format(a=a, b=b, c=c)


def instant(text: str) -> str:
    """A short, well-formed reply."""
    return f"REASONING: as asked.\nSCORE: {SCALE[len(text) % 4]}"


class _Connection(asyncio.Protocol):
    """One kept-alive HTTP connection; no more of HTTP than a client in its right mind sends."""

    def __init__(self, server: JudgeServer) -> None:
        self._server = server
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.connections.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head_end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:head_end]).lower()
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            end = head_end + 4 + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[head_end + 4 : end])
            del self._buffer[:end]
            self._answer(json.loads(body))

    def _answer(self, request: dict) -> None:
        server = self._server
        server.requests += 1
        user = next(message for message in request["messages"] if message["role"] == "user")
        text = next(part["text"] for part in user["content"] if part["type"] == "text")
        if server.is_down(text):
            status, answer = "503 Service Unavailable", {"error": {"message": "down"}}
        else:
            server.answered.append(text)
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": server.reply(text)},
            }
            usage = {"prompt_tokens": 900, "completion_tokens": 12, "total_tokens": 912}
            status = "200 OK"
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "judge", "choices": [choice]}
            answer["usage"] = usage
        data = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        self._transport.write(head.encode() + data)


class JudgeServer:
    """Serves from a thread while in its ``with`` block. ``is_down`` says by the text which requests get a 503."""

    def __init__(self, reply: Callable[[str], str] = reply_to) -> None:
        self.reply = reply
        self.is_down: Callable[[str], bool] = lambda _: False
        self.answered: list[str] = []
        self.requests = 0
        self.connections: set[asyncio.BaseTransport] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._until_stopped())
        self._loop.close()

    async def _until_stopped(self) -> None:
        self._stop = asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        await asyncio.sleep(0)


def main() -> None:
    with JudgeServer(instant) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
