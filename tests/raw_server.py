"""A server that answers with whatever bytes a test gives it, made while they are sent."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[str], Iterable[bytes]]
"""From the head and body of a request to the bytes of the answer, head included; the connection then closes."""


@dataclass
class RawServer:
    """Takes one request per connection."""

    answer: Answer
    requests: list[str] = field(default_factory=list)
    """Head and body of each."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def http(body: bytes | str, status: str = "200 OK", *headers: str, length: int | None = None) -> Iterable[bytes]:
    """A well-formed answer; ``length`` is what its head says of the body."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(data) if length is None else length}", "connection: close"]
    if not any(header.lower().startswith("content-type") for header in headers):
        lines.append("content-type: application/json")
    yield "\r\n".join([*lines, *headers, "", ""]).encode()
    yield data


def _read(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return (head + b"\r\n\r\n" + body).decode("latin-1")


def _serve(server: RawServer, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        request = _read(connection)
        if request.strip():
            server.requests.append(request)
            for part in server.answer(request):
                connection.sendall(part)


@contextlib.contextmanager
def raw_serving(answer: Answer) -> Iterator[RawServer]:
    """The server, on threads of this process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = RawServer(answer, port=listener.getsockname()[1])

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=_serve, args=(server, listener.accept()[0]), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def chat(adapter: str, text: str = "", **parts: Any) -> dict[str, Any]:
    """An answer in the wire format of an adapter. ``parts``: ``model``, ``refusal``, ``usage``, ``finish``."""
    model, usage, refusal = parts.get("model", "m-1"), parts.get("usage"), parts.get("refusal")
    if adapter == "google":
        if refusal is not None:
            return {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": refusal}, "modelVersion": model}
        candidate = {"content": {"parts": [{"text": text}]}, "finishReason": parts.get("finish", "STOP")}
        return {"candidates": [candidate], "modelVersion": model, "usageMetadata": usage}
    if adapter == "anthropic":
        stop = "refusal" if refusal is not None else parts.get("finish", "end_turn")
        details = {"explanation": refusal} if refusal is not None else None
        blocks = [{"type": "text", "text": text}]
        return {"content": blocks, "model": model, "stop_reason": stop, "stop_details": details, "usage": usage}
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": parts.get("finish", "stop"), "message": message}
    return {"model": model, "choices": [choice], "usage": usage}


def encoded(adapter: str, text: str = "", **parts: Any) -> str:
    """``chat`` as JSON."""
    return json.dumps(chat(adapter, text, **parts))
