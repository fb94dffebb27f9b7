"""What people read on a terminal: the one place that writes there.

Names, messages and replies come from strangers (servers, models, plugins, files). They are text and never markup, so that
``judge[gpt-5-mini]`` keeps its brackets, and never instructions to the terminal: the characters that could move the cursor,
change colours or reorder letters are shown as U+FFFD.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["VisibleFormatter", "console", "one_line", "say", "say_json", "styled", "visible"]

_REORDERS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_RAW_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What ``json.dumps`` leaves as it is and ``visible`` does not."""


def visible(text: str) -> str:
    """The same text with control characters and those that change its direction shown as U+FFFD.

    Line breaks and tabs stay. Lone surrogates, which have no UTF-8, become U+FFFD too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _is_hidden(character) else character for character in text)


def _is_hidden(character: str) -> bool:
    if character in _REORDERS:
        return True
    return character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cs"}


def one_line(text: str) -> str:
    """The same for a line or a cell: runs of white space are one space."""
    return visible(" ".join(text.split()))


def say(text: object = "", *, err: bool = False) -> None:
    """Prints text on stdout, or on stderr."""
    print(visible(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


def say_json(document: object, *, indent: int | None = None) -> None:
    """Prints one JSON document on stdout: UTF-8, but what ``visible`` replaces is escaped.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    print(_RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def console(*, err: bool = False, soft_wrap: bool = False) -> Console:
    """A rich console that takes text: no markup, no emoji names, no colours of its own; see ``styled`` for ours."""
    from rich.console import Console

    return Console(stderr=err, markup=False, emoji=False, highlight=False, soft_wrap=soft_wrap)


def styled(text: object, style: str = "") -> Text:
    """A value, or words of ours, for a console or a cell of a table."""
    from rich.text import Text

    return Text(visible(str(text)), style)


class VisibleFormatter(logging.Formatter):
    """Lines of a log as ``visible`` shows them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return visible(super().format(record))
