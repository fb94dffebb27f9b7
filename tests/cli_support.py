"""The command line called within this process, as a user would."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sgpbench.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(json.loads(self.out)["runs"])

    @property
    def run(self) -> dict[str, Any]:
        (document,) = self.runs
        return document


Sgpbench = Callable[..., Done]


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sgpbench:
    """Calls ``sgpbench`` with the given words."""

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["sgpbench", *words])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call
