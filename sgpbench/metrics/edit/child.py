"""The process in which programs get their verdicts: a model's text is read and measured here and nowhere else.

It reads one JSON object a line (``program``, ``edit``) and answers each with one line, in order. It is confined as the
drawing workers are, and its processor time is limited: what asks for more ends the process. Whoever started it then asks
again from there, so that a program counts as too much only where it had a whole process to itself.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from sgpbench.metrics.edit.verdict import Verdict, read_edit, verdict
from sgpbench.records import Json
from sgpbench.svg.confine import forbid_calls, forbid_files, limit_resources

__all__ = ["LIMIT_S", "MEMORY_BYTES", "READY", "main"]

LIMIT_S = 20
"""Seconds of processor time; a real program takes about 0.03."""
MEMORY_BYTES = 2 << 30
READY = "ready"
"""The first line it writes: whatever ends it later was a program's doing."""


def main() -> None:
    """Answers until its input ends."""
    import resource  # Not on every system; the constants above are wanted there too.

    limit_resources(MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 1))
    forbid_files(Path(__file__).parent)
    forbid_calls()
    _answer(READY)
    for line in sys.stdin:
        asked = json.loads(line)
        # Not caught: a program too deep or too large for the reader ends the process, which is its verdict.
        _answer(json.dumps(_as_json(verdict(asked["program"], read_edit(asked["edit"])))))


def _answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _as_json(found: Verdict) -> Json:
    return {
        "validity": found.validity,
        "repair": found.repair,
        "preservation": found.preservation,
        "near": found.near,
        "completion": found.completion,
        "progress": found.progress,
        "kept": found.kept,
        "changes": [dataclasses.asdict(match) for match in found.changes],
        "unexpected": list(found.unexpected),
    }


if __name__ == "__main__":
    main()
