"""Moments as a stranger writes them into a result."""

from __future__ import annotations

import datetime as dt

__all__ = ["moment_of"]

_FIRST, _LAST = 2020, 2099
"""Years in which a run of ours can have been made; at the ends of what a date can hold, arithmetic overflows."""


def moment_of(text: str | None) -> dt.datetime | None:
    """An ISO 8601 date and time in UTC (without a zone it is taken as UTC), or ``None`` for what is no moment of our time."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if not _FIRST <= moment.year <= _LAST:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
