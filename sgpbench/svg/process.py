"""A worker process as the sandbox holds it: started, spoken to, killed, and asked how it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from sgpbench.errors import RendererError
from sgpbench.svg.frames import FrameError, Pipe

if TYPE_CHECKING:
    from sgpbench.records import Json

__all__ = ["Worker"]

_START_LIMIT_S = 60.0
_ROOT = str(Path(__file__).resolve().parents[2])
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from sgpbench.svg.worker import main; sys.exit(main())"
)


class Worker:
    """One process. Started and used by one thread, which must live as long as the process (PDEATHSIG)."""

    def __init__(self, settings: Mapping[str, Json]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        path = [entry for entry in sys.path if entry and Path(entry).is_absolute()]
        if _ROOT not in path:
            path.append(_ROOT)
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        try:
            self._process = subprocess.Popen(
                # Isolated, and without the site module: the paths are ours, and nothing of the user's environment runs.
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, json.dumps(path), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env={
                    **kept,
                    "LANG": "C.UTF-8",
                    "MALLOC_ARENA_MAX": "1",
                    "FONTCONFIG_FILE": str(Path(__file__).parent / "fonts" / "fonts.conf"),
                },
                cwd="/",
                # Away from the terminal's Ctrl-C, which is for the main process to handle.
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise RendererError(f"The rendering worker cannot be started: {error.strerror}.") from None
        if self._process.stdin is None or self._process.stdout is None:
            raise RendererError("The rendering worker has no pipes.")
        self.pipe = Pipe(self._process.stdout.fileno(), self._process.stdin.fileno())

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def greet(self) -> Mapping[str, Json]:
        """Waits until the worker is ready: its ``level`` and its renderer's ``identity``.

        Raises:
            RendererError: it cannot work here. The process has been ended.
        """
        try:
            kind, payload = self.pipe.receive(time.monotonic() + _START_LIMIT_S)
        except FrameError:
            words = self.last_words() or "it said nothing"
            self.end()
            raise RendererError(f"The rendering worker does not start: {words}.") from None
        if kind != b"H":
            self.end()
            refusal = cast("dict[str, str | None]", json.loads(payload))
            raise RendererError(refusal["message"] or "The renderer does not load.", remedy=refusal["remedy"])
        return cast("Mapping[str, Json]", json.loads(payload))

    def kill(self) -> None:
        """Kills the process, from any thread; the thread that uses it notices."""
        self._process.kill()

    def end(self) -> None:
        """Kills the process if it still runs, and frees all that belongs to it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def exit_status(self) -> int:
        """The exit status of a worker that closed its pipe, negative for a signal; killed if it does not end."""
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """The last line it wrote to its standard error, hints of Rust's aside; at most 300 characters."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        words = self._errors.read().decode("utf-8", "replace").splitlines()
        lines = [line.strip() for line in words if line.strip() and not line.startswith("note: ")]
        return lines[-1][:300].rstrip(".") if lines else ""
