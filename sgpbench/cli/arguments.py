"""Reading option values that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgpbench.errors import UsageError
from sgpbench.publishable import publishable_command

if TYPE_CHECKING:
    from sgpbench.models.interface import Concurrency

__all__ = ["command_line", "metric_names", "names", "pairs", "parse_connections"]


def pairs(values: Sequence[str], flag: str) -> dict[str, str]:
    """``key=value`` options as a mapping.

    Raises:
        UsageError: one has no ``=``.
    """
    found = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            # Not shown: it may be a key.
            raise UsageError(f"{flag} takes key=value, and one of them has no key or no '='.")
        found[key] = rest
    return found


def names(text: str) -> list[str]:
    """The names in a comma-separated list; commas within brackets belong to a name."""
    return [name.strip() for name in re.findall(r"(?:[^,\[]|\[[^\]]*\]?)+", text) if name.strip()]


def metric_names(text: str) -> tuple[str, ...] | None:
    """``--metrics``: names, or ``None`` for ``auto``.

    Raises:
        UsageError: none is named, or there is no metric of a name.
    """
    from sgpbench.metrics.registry import check_name

    if text == "auto":
        return None
    found = tuple(names(text))
    if not found:
        raise UsageError("--metrics names no metric.", remedy="See `sgpbench metrics list`, or leave it out.")
    for name in found:
        check_name(name)
    return found


def parse_connections(text: str | None) -> Concurrency | None:
    """``--max-connections`` as bounds.

    Raises:
        UsageError: neither N nor LO-HI.
    """
    from sgpbench.models.interface import Concurrency

    try:
        return Concurrency.parse(text) if text else None
    except ValueError as error:
        raise UsageError(f"--max-connections: {error}.") from None


def command_line() -> str:
    """The command for the record, without keys and without this machine's directories."""
    return publishable_command(sys.argv[1:])
