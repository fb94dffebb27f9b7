"""Stands for ``vllm``: serves /health and the two completion paths, and leaves processes around as vLLM does.

It prints its arguments, and starts a child in a session of its own whose parent is gone, and which ignores SIGTERM if
FAKE_VLLM_STUBBORN is set. The folder in FAKE_VLLM_PIDS gets a file for every process. ``--broken`` makes it fail at the start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def note(kind: str) -> None:
    (Path(os.environ["FAKE_VLLM_PIDS"]) / f"{kind}-{os.getpid()}").touch()


def leave_an_orphan() -> None:
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if "FAKE_VLLM_STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("orphan")
    time.sleep(600)
    os._exit(0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = sys.argv[sys.argv.index("--served-model-name") + 1]
        self._send({"data": [{"id": name, "max_model_len": 512}]} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [
            f"{body.get('prompt', 'chat')} {number} of {body.get('max_tokens')}" for number in range(body.get("n", 1))
        ]
        if "die" in str(body):
            os._exit(3)
        chat = self.path == "/v1/chat/completions"
        choices = [
            {"index": i, "finish_reason": "stop"}
            | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            for i, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 3, "completion_tokens": len(texts), "total_tokens": 3 + len(texts)}
        self._send({"id": "1", "object": "x", "created": 1, "model": body["model"], "choices": choices, "usage": usage})

    def _send(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    print("arguments:", json.dumps(sys.argv[1:]), flush=True)
    if "--broken" in sys.argv:
        sys.exit("RuntimeError: no such architecture")
    note("server")
    leave_an_orphan()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
