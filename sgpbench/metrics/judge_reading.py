"""Reading a judge's reply: one of 100, 50, 30 or 0, or nothing. Pure functions of the reply's text.

Two rules, named in a protocol as ``judge.reading``:

``last-line`` (ours)
    The last line that says anything must be ``SCORE: n`` and nothing else. Markdown around it (``**SCORE: 50**``),
    quotes, brackets, a final period, ``/100`` and lower case are forgiven; another number or further words are not.
    Numbers in the reasons, or read off the drawing by the judge, can therefore never become the score.

``paper`` (the released code of arXiv 2509.05208)
    Where the reply holds ``SCORE:`` (capitals), the first word between its first and second occurrence, if it is
    exactly one of the four numbers. Otherwise the last run of digits anywhere in the reply that is one of them. So
    ``SCORE: 50.`` is read from the digits, ``SCORE: 50 or 100`` is 50, ``SCORE: 80 (not 100)`` is 100, and ``1000`` is
    none.
"""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["SCALE", "read_last_line", "read_paper", "read_reply"]

SCALE = (100, 50, 30, 0)
"""The scores a rubric knows, best first."""

_ALLOWED = {str(score): score for score in SCALE}
_DECORATION = r"[\s*_~`#>|\"'“”‘’()\[\]<>]*"
_SAYS_NOTHING = re.compile(r"[\W_]*")
_SCORE_LINE = re.compile(
    rf"{_DECORATION}score{_DECORATION}[:：=]{_DECORATION}(100|50|30|0)(?:\s*/\s*100)?{_DECORATION}[.!]?{_DECORATION}",
    re.IGNORECASE,
)


def read_last_line(reply: str) -> int | None:
    """The score on the last line that holds a letter or digit, or ``None`` where that line is anything else."""
    spoken = [line for line in reply.splitlines() if not _SAYS_NOTHING.fullmatch(line)]
    if not spoken:
        return None
    found = _SCORE_LINE.fullmatch(spoken[-1])
    return int(found.group(1)) if found else None


def read_paper(reply: str) -> int | None:
    """The score by the released code's rule, or ``None`` where no such number is in the reply (it then counts 0)."""
    _, *after = reply.split("SCORE:", 2)
    words = after[0].split() if after else []
    if words and words[0] in _ALLOWED:
        return _ALLOWED[words[0]]
    # Runs of Unicode digits, as the released pattern takes them: "٣100" is one run, and none of the four numbers.
    runs = re.findall(r"\d+", reply)
    return next((_ALLOWED[run] for run in reversed(runs) if run in _ALLOWED), None)


def read_reply(reply: str, reading: Literal["last-line", "paper"]) -> int | None:
    """The score by a protocol's rule, or ``None``."""
    return read_last_line(reply) if reading == "last-line" else read_paper(reply)
