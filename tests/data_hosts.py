"""A local HTTP server that plays the hosts of data sets, well-behaved and not, and manifests that point to it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sgpbench.data import DataStore
from sgpbench.data.download import Policy
from sgpbench.data.fetch import FileResult, fetch

QUICK = Policy(attempts=4, backoff_s=0.01, connect_s=2.0, stall_s=0.3)


class Answer(BaseHTTPRequestHandler):
    """Writes one answer; behaviours are functions of it."""

    protocol_version = "HTTP/1.1"
    hosts: Hosts

    def do_GET(self) -> None:
        host = self.hosts
        path = self.path if self.path.startswith("/") else "/" + self.path.split("/", 3)[3]
        with host.lock:
            host.requests[path] += 1
            host.ranges.append(self.headers.get("Range"))
            number = host.requests[path]
        if path not in host.behaviours:
            self.plain(404, b"no such file")
            return
        host.behaviours[path](self, number)

    do_HEAD = do_GET  # noqa: N815

    def plain(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ranged(self, body: bytes, *, etag: str | None = '"one"') -> None:
        """The body, or the part of it that was asked for."""
        wanted = self.headers.get("Range")
        current = self.headers.get("If-Range") in (None, etag)
        tags = {"ETag": etag} if etag else {}
        if wanted and current:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.plain(416, b"")
                return
            self.plain(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", **tags)
        else:
            self.plain(200, body, **tags)

    def cut(self, body: bytes, after: int, *, etag: str | None = '"one"') -> None:
        """Announces the whole body and closes the connection early."""
        self.send_response(200)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:after])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on stderr."""


Behaviour = Callable[[Answer, int], None]


@dataclass
class Hosts:
    """What each path answers, and what was asked."""

    address: str = ""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    ranges: list[str | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, path: str, body: bytes) -> None:
        """A well-behaved file."""
        self.behaviours[path] = lambda answer, _: answer.ranged(body)

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(self.requests.values())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the play."""


@contextmanager
def serving() -> Iterator[Hosts]:
    """A server for the time of a test."""
    hosts = Hosts()
    handler = type("Handler", (Answer,), {"hosts": hosts})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hosts.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hosts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Recorder:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int | None]] = []
        self.done: dict[str, int] = {}
        self.ended: list[FileResult] = []

    def begin(self, dataset: str, files: int, size: int | None) -> None:
        self.begun.append((dataset, files, size))

    def bytes(self, name: str, done: int) -> None:
        self.done[name] = done

    def end(self, result: FileResult) -> None:
        self.ended.append(result)


@dataclass
class Site:
    """A folder of manifests and a folder for data."""

    hosts: Hosts
    root: Path

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def store(self) -> DataStore:
        return DataStore([self.root / "data"], manifests=self.manifests)

    def path(self, dataset: str, name: str) -> Path:
        return self.root / "data" / dataset / name

    def manifest(self, name: str, body: str, *, licence: str = 'name = "MIT"') -> None:
        """Writes a manifest; ``body`` is its ``[[files]]`` or ``[derived]``."""
        self.manifests.mkdir(parents=True, exist_ok=True)
        keys = ("title", "description", "source", "citation", "selection", "split")
        head = "\n".join(f'{key} = "a {key}"' for key in keys)
        text = f'name = "{name}"\nhomepage = "https://example.org"\n{head}\n[licence]\n{licence}\n{body}'
        (self.manifests / f"{name}.toml").write_text(text, "utf-8")

    def one_file(self, body: bytes, *addresses: str, name: str = "file.bin", locked: bool = False) -> None:
        """The data set ``one`` with one file at these addresses (full ones, or paths on the server)."""
        full = [address if "://" in address else self.hosts.address + address for address in addresses]
        sha256 = "locked at first fetch" if locked else hashlib.sha256(body).hexdigest()
        size = "" if locked else f"bytes = {len(body)}\n"
        self.manifest("one", f'[[files]]\nname = "{name}"\n{size}sha256 = "{sha256}"\naddresses = {json.dumps(full)}\n')

    def fetch(self, dataset: str = "one", policy: Policy = QUICK) -> list[FileResult]:
        self.progress = Recorder()
        return fetch(dataset, self.store, self.progress, policy=policy)


def trickle(body: bytes, pieces: int, pause_s: float) -> Behaviour:
    """Sends a body in pieces with pauses between them."""

    def answer(answer: Answer, number: int) -> None:
        answer.send_response(200)
        answer.send_header("Content-Length", str(len(body)))
        answer.end_headers()
        step = -(-len(body) // pieces)
        for start in range(0, len(body), step):
            answer.wfile.write(body[start : start + step])
            answer.wfile.flush()
            time.sleep(pause_s)

    return answer
