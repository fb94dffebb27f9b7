"""``log.jsonl``: what happened on the wire, one JSON object a line. Never holds prompts, replies or keys."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO

from sgpbench.models.calls import CallEvent
from sgpbench.redaction import environment_secrets

__all__ = ["RunLog"]


class RunLog:
    """Appends events to a run's log; a log that cannot be written is no reason to stop."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log.jsonl"
        self._file: IO[str] | None = None
        self._secrets = environment_secrets()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def call(self, event: CallEvent) -> None:
        """Logs what a caller reports, plain answers left out."""
        if event.kind == "answered":
            return
        try:
            if self._file is None:
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
            record = {**asdict(event), "message": self._secrets.clean(event.message)}
            self._file.write(json.dumps({"at": round(time.time(), 3), **record}) + "\n")
        except OSError:
            self._file = None
