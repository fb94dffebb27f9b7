"""A worker process as the sandbox holds it: started, spoken to, killed, and asked how it died."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from sgpbench.errors import RendererError
from sgpbench.svg.frames import GREETINGS, FrameError, Pipe
from sgpbench.svg.patience import Patience
from sgpbench.svg.process_view import ProcessView, low_limits, open_view
from sgpbench.svg.render import FONTS_FOLDER

if TYPE_CHECKING:
    from sgpbench.records import Json

__all__ = ["Worker", "copy_to_root"]

_START_LIMIT_S = 60.0  # of processor time, and of sleep
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
                    "FONTCONFIG_FILE": str(FONTS_FOLDER / "fonts.conf"),
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
        self.programs = 0
        """How many it was given."""
        self.program_bytes = 0
        """How many bytes those had."""
        self._look: ProcessView = open_view(self._process.pid)
        self._used = 0.0

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
            kind, payload = self.pipe.receive(GREETINGS, Patience(self, _START_LIMIT_S).seconds_to_wait)
        except FrameError:
            words = self.last_words() or "it said nothing"
            self.end()
            raise RendererError(f"The rendering worker does not start: {words}.", remedy=low_limits()) from None
        if kind != b"H":
            self.end()
            refusal = cast("dict[str, str | None]", json.loads(payload))
            raise RendererError(refusal["message"] or "The renderer does not load.", remedy=refusal["remedy"])
        return cast("Mapping[str, Json]", json.loads(payload))

    def processor_seconds(self) -> float:
        """Seconds of processor time that the process has used, its threads together; the last that was seen once it ends."""
        self._used = max(self._used, self._look.processor_seconds())
        return self._used

    def is_asleep(self) -> bool:
        """Whether all its threads wait for something that is neither a processor, nor a disk, nor being continued."""
        return self._look.is_asleep()

    def mapped_bytes(self) -> int:
        """The address space that the process has mapped; 0 once it has ended."""
        return self._look.mapped_bytes()

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

    def exit_status(self) -> int | None:
        """The exit status of a worker that closed its pipe, negative for a signal; ``None`` if it lives and is killed now."""
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def last_words(self) -> str:
        """The last line it wrote to its standard error, hints of Rust's aside; at most 300 characters."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 4096))
        words = self._errors.read().decode("utf-8", "replace").splitlines()
        lines = [line.strip() for line in words if line.strip() and not line.startswith("note: ")]
        return lines[-1][:300].rstrip(".") if lines else ""


def copy_to_root(folder: Path) -> Path:
    """A new folder for workers to have as their root: it holds a copy of ``folder``, under the same name, and nothing else."""
    root = Path(tempfile.mkdtemp(prefix="sgpbench-root-"))
    inside = root.joinpath(*folder.parts[1:])
    inside.mkdir(parents=True)
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy2(file, inside)
            (inside / file.name).chmod(0o444)
    for made in (root, *(root.joinpath(*folder.parts[1:number]) for number in range(2, len(folder.parts) + 1))):
        made.chmod(0o755)  # workers may be another user
    shutil.copystat(folder, inside)
    return root
