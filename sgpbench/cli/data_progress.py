"""How a fetch shows itself: a bar on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from sgpbench.data.fetch import FileResult
from sgpbench.terminal import console, say

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["BarProgress", "PlainProgress", "progress_for_stderr", "size_text"]


def size_text(size: float) -> str:
    """``3.2 MB``, ``812 kB`` or ``14 B``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}" if size < 100 * scale else f"{size / scale:.0f} {unit}"
    return f"{size:.0f} B"


class PlainProgress:
    """A line when a fetch begins and at most one every ten seconds after that."""

    every_s = 10.0

    def __init__(self) -> None:
        self._files = 0
        self._ended = 0
        self._done: dict[str, int] = {}
        self._last = time.monotonic()

    def begin(self, dataset: str, files: int, size: int | None) -> None:
        """Says what is to come."""
        self._files = files
        size_known = f", {size_text(size)}" if size is not None else ""
        say(f"{dataset}: fetching {files} file{'s' if files > 1 else ''}{size_known}", err=True)

    def bytes(self, name: str, done: int) -> None:
        """Says how far it is, now and then."""
        self._done[name] = done
        self._say()

    def end(self, result: FileResult) -> None:
        """Counts a file."""
        self._ended += 1
        self._say()

    def _say(self) -> None:
        if time.monotonic() - self._last >= self.every_s:
            self._last = time.monotonic()
            say(f"{self._ended} of {self._files} files, {size_text(sum(self._done.values()))}", err=True)

    def close(self) -> None:
        """Nothing to close."""


class BarProgress:
    """One bar for all files of a data set."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[ended]}/{task.fields[files]} files"),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console(err=True),
        )
        self._task: TaskID | None = None
        self._done: dict[str, int] = {}
        self._ended = 0

    def begin(self, dataset: str, files: int, size: int | None) -> None:
        """Starts the bar."""
        self._progress.start()
        self._task = self._progress.add_task(dataset, total=size, ended=0, files=files)

    def bytes(self, name: str, done: int) -> None:
        """Moves the bar."""
        self._done[name] = done
        self._update()

    def end(self, result: FileResult) -> None:
        """Counts a file."""
        self._ended += 1
        self._update()

    def _update(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=sum(self._done.values()), ended=self._ended)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self._progress.stop()


def progress_for_stderr() -> BarProgress | PlainProgress:
    """A bar if stderr is a terminal, else lines."""
    return BarProgress() if sys.stderr.isatty() else PlainProgress()
