"""Serves a built site on this machine alone."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sgpbench.errors import UsageError
from sgpbench.leaderboard.output import MARKER
from sgpbench.terminal import say

__all__ = ["make_server", "serve_site"]


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - as the base class declares it
        **SimpleHTTPRequestHandler.extensions_map,
        ".webp": "image/webp",
        ".js": "text/javascript; charset=utf-8",
        ".parquet": "application/vnd.apache.parquet",
        ".xml": "application/atom+xml",
        ".bib": "text/plain; charset=utf-8",
    }

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Says nothing."""


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the site on 127.0.0.1; the caller runs and closes it.

    Raises:
        UsageError: the folder holds no site, or the port is taken or not allowed.
    """
    if not (folder / MARKER).is_file():
        raise UsageError(f"There is no site in {folder}.", remedy="Run: sgpbench leaderboard build")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise UsageError(
            f"Port {port} cannot be used: {error.strerror}.", remedy="Choose another with --port; 0 takes any free one."
        ) from None


def serve_site(folder: Path, port: int) -> None:
    """Serves until interrupted."""
    with make_server(folder, port) as server:
        say(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl+C ends it)")
        server.serve_forever()
