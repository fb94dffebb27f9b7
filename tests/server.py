"""A server that speaks the wire formats of OpenAI, Anthropic and Gemini, and misbehaves on demand.

In a test: ``async with MisbehavingServer(Behaviour(...)) as server``. As a process of its own:
``python tests/server.py --latency-ms 200``, which prints its address, serves until its standard input closes, and then
prints what it served.
Written on asyncio streams, so that it can do what no web framework lets one do: cut a body, reset a connection, trickle.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

Fault = str
"""``ok``, or what goes wrong instead: ``reset`` (in the middle of the body), ``cut`` (the body ends early), ``trickle``
(one byte after the other), ``malformed`` (not JSON), ``empty`` (no choices), ``blank`` (no content), ``html``, or an HTTP
status such as ``500``."""


class HttpError(Exception):
    """Raised by a ``reply`` to answer with a status and an error of its own."""

    def __init__(self, status: int, error: Mapping[str, object]) -> None:
        super().__init__(status)
        self.status = status
        self.error = error


@dataclass
class Behaviour:
    latency_s: float = 0.0
    limit: Callable[[float], int | None] = lambda _: None
    """Most requests in flight, by seconds since the first request; more are answered with 429."""
    storm: Callable[[float], bool] = lambda _: False
    """Whether every request is answered with 429, by seconds since the first request."""
    fault: Callable[[int, str], Fault] = lambda _number, _prompt: "ok"
    """What happens to the request of that number (from 0) and prompt."""
    refusal_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every 429, such as ``retry-after``."""
    most_samples: int = 128
    """``n`` above this is overlooked, as some servers do."""
    error_message: str = "something went wrong"
    reply: Callable[[str, Mapping[str, object]], dict[str, object]] | None = None
    """Builds the whole answer, from path and request body, instead of the server's own; may raise ``HttpError``."""


@dataclass
class Received:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, object]
    at: float
    """Seconds since the first request."""
    prompt: str
    status: int = 0
    done_at: float = 0.0
    in_flight: int = 0
    """Requests in work when this one was let in, itself included."""


class MisbehavingServer:
    """Counts what it gets and what it answered in full."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.received: list[Received] = []
        self.answered: Counter[str] = Counter()
        """Full answers sent, by prompt: what a provider would charge for."""
        self.in_flight = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._began: float | None = None
        self.url = ""

    async def __aenter__(self) -> MisbehavingServer:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=512)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    # --- one connection ------------------------------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1].partition("?")[0]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        received = Received(path, headers, body, now - self._began, _prompt_of(path, body))
        self.received.append(received)
        fault = self._decide(received)
        try:
            return await self._answer(received, fault, writer)
        finally:
            received.done_at = asyncio.get_running_loop().time() - self._began

    def _decide(self, received: Received) -> Fault:
        behaviour = self.behaviour
        limit = behaviour.limit(received.at)
        if behaviour.storm(received.at) or (limit is not None and self.in_flight >= limit):
            return "429"
        return behaviour.fault(len(self.received) - 1, received.prompt)

    async def _answer(self, received: Received, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        if fault == "429":
            received.status = 429
            return await self._send(writer, 429, self._error(received.path, 429), self.behaviour.refusal_headers)
        self.in_flight += 1
        received.in_flight = self.in_flight
        held = True
        try:
            await asyncio.sleep(self.behaviour.latency_s)
            if fault.isdecimal():
                received.status = int(fault)
                return await self._send(writer, received.status, self._error(received.path, received.status))
            received.status = 200
            try:
                reply = self._reply(received, fault)
            except HttpError as error:
                received.status = error.status
                return await self._send(writer, error.status, json.dumps({"error": error.error}).encode())
            body = json.dumps(reply).encode()
            if fault in {"malformed", "html"}:
                body = body[: len(body) // 2] if fault == "malformed" else b"<html>Bad gateway</html>"
            if fault in {"reset", "cut", "trickle"}:
                return await self._break(writer, body, fault)
            if fault == "ok":
                self.answered[received.prompt] += 1
            # A provider frees the place before the client can have read the answer.
            self.in_flight -= 1
            held = False
            return await self._send(writer, 200, body)
        finally:
            if held:
                self.in_flight -= 1

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> bool:
        further = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{further}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        return True

    async def _break(self, writer: asyncio.StreamWriter, body: bytes, fault: Fault) -> bool:
        head = f"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode())
        if fault == "trickle":
            for byte in body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
            return True
        writer.write(body[: len(body) // 2])
        await writer.drain()
        if fault == "reset":
            writer.transport.abort()
        return False

    # --- what it says --------------------------------------------------------------------------------------------

    def _error(self, path: str, status: int) -> bytes:
        message = self.behaviour.error_message
        if "generateContent" in path:
            return json.dumps({"error": {"code": status, "message": message, "status": "FAILED"}}).encode()
        error: dict[str, object] = {"type": "error", "message": message}
        return json.dumps({"type": "error", "error": error}).encode()

    def _reply(self, received: Received, fault: Fault) -> dict[str, object]:
        if self.behaviour.reply is not None:
            return self.behaviour.reply(received.path, received.body)
        return reply_to(received.path, received.body, received.prompt, fault, self.behaviour.most_samples)


def reply_to(
    path: str, body: Mapping[str, object], prompt: str, fault: Fault = "ok", most_samples: int = 128
) -> dict[str, object]:
    """A well-formed answer in the path's format; ``empty`` and ``blank`` leave out what must be there."""
    text = f"<svg>{prompt}</svg>"
    if "generateContent" in path:
        config = body.get("generationConfig")
        wanted = config.get("candidateCount", 1) if isinstance(config, dict) else 1
        content = {} if fault == "blank" else {"content": {"role": "model", "parts": [{"text": text}]}}
        candidates = [{**content, "finishReason": "STOP"} for _ in range(min(wanted, most_samples))]
        usage = {"promptTokenCount": 7, "candidatesTokenCount": 5 * len(candidates), "thoughtsTokenCount": 2}
        return {"candidates": [] if fault == "empty" else candidates, "usageMetadata": usage, "modelVersion": "m-1"}
    if path.endswith("/messages"):
        blocks = [] if fault in {"empty", "blank"} else [{"type": "text", "text": text}]
        stop = None if fault in {"empty", "blank"} else "end_turn"
        return {
            "content": blocks,
            "model": "m-1",
            "stop_reason": stop,
            "usage": {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 3},
        }
    if path.endswith("/responses"):
        parts = [] if fault == "blank" else [{"type": "output_text", "text": text}]
        usage = {"input_tokens": 7, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}
        output = [{"type": "reasoning"}, {"type": "message", "content": parts}]
        reply: dict[str, object] = {"model": "m-1", "status": "completed", "usage": usage}
        return reply if fault == "empty" else {**reply, "output": output}
    given = body.get("n", 1)
    wanted = given if isinstance(given, int) and given <= most_samples else 1
    chat = path.endswith("/chat/completions")
    one: dict[str, object] = {"finish_reason": "stop"}
    one |= {"message": {"role": "assistant", "content": None if fault == "blank" else text}} if chat else {"text": text}
    return {
        "model": "m-1",
        "choices": [] if fault == "empty" else [{**one, "index": index} for index in range(wanted)],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5 * wanted, "total_tokens": 7 + 5 * wanted},
    }


def _prompt_of(path: str, body: Mapping[str, object]) -> str:
    """The last text of the request."""
    if isinstance(prompt := body.get("prompt"), str):
        return prompt
    for name in ("messages", "contents", "input"):
        turns = body.get(name)
        if isinstance(turns, list) and turns:
            turn = turns[-1]
            parts = turn.get("parts") or turn.get("content")
            if isinstance(parts, str):
                return parts
            texts = [part["text"] for part in parts if "text" in part]
            return str(texts[-1]) if texts else ""
    return ""


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[MisbehavingServer]:
    """The server, in a thread with an event loop of its own."""
    server = MisbehavingServer(behaviour)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _serve(latency_s: float) -> None:
    async with MisbehavingServer(Behaviour(latency_s=latency_s)) as server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        served = server.received
        seconds = max((one.done_at for one in served), default=0.0)
        peak = max((one.in_flight for one in served), default=0)
        print(json.dumps({"answered": server.answered.total(), "seconds": seconds, "peak": peak}), flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--latency-ms", type=float, default=0.0)
    asyncio.run(_serve(arguments.parse_args().latency_ms / 1000))
