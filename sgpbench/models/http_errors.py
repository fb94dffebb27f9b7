"""From what a provider's HTTP answer says to our errors, and how long it wants us to wait."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from sgpbench.errors import ModelError, ModelUnavailable, RateLimited, TransientError
from sgpbench.models.connection import Connection
from sgpbench.models.limiter import Pace

__all__ = ["failure_of", "pace_of", "retry_after_s"]

_SLOW_DOWN = frozenset({429, 529})
_PASSING = frozenset({408, 409, 425, 499})
_NO_MORE_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_LONGEST_MESSAGE = 600
_REFILLED = 0.05
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def failure_of(
    model: str,
    connection: Connection,
    status: int,
    message: str,
    headers: Mapping[str, str],
    *,
    code: str | None = None,
    retry_after: float | None = None,
) -> ModelError:
    """The error that an HTTP status stands for, with the provider's words, without any key.

    429 and 529 are ``RateLimited``; 5xx, 408, 409, 425, 499 and what is no error at all ``TransientError``; everything
    else, and a 429 that says there is no money left, ``ModelUnavailable``.
    """
    words = " ".join(connection.secrets.clean(message).split())[:_LONGEST_MESSAGE] or "no message"
    text = f"{model}: HTTP {status}: {words}"
    wait = retry_after if retry_after is not None else retry_after_s(headers)
    if status in _SLOW_DOWN and code not in _NO_MORE_MONEY:
        pace = pace_of(headers)
        if wait is None and pace is not None and pace.remaining <= 0:
            wait = pace.reset_s
        return RateLimited(text, retry_after=wait)
    if status >= 500 or status in _PASSING or status < 400:
        return TransientError(text, retry_after=wait)
    return ModelUnavailable(text, remedy=_remedy(status, connection))


def _remedy(status: int, connection: Connection) -> str | None:
    if status in {401, 403}:
        return f"Check the key in {connection.key_variable} and what it may use."
    if status == 404:
        return "Check the model's id" + (" and the base_url." if connection.base_urls else ".")
    return None


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the provider asks us to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    if not text:
        return None
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, until - (time.time() if now is None else now))


def pace_of(headers: Mapping[str, str], now: float | None = None) -> Pace | None:
    """What is left of the tightest limit (requests or tokens) and when there is more; ``None`` if nothing is said.

    OpenAI and those like it: ``x-ratelimit-remaining-requests`` with ``x-ratelimit-reset-requests: 6m0s``. Anthropic:
    ``anthropic-ratelimit-requests-remaining`` with ``-reset`` as a date. Both tell when the limit will be whole again and
    refill it all the while, so that a twentieth of that time brings a twentieth of the limit.
    """
    found = []
    for kind in ("requests", "tokens"):
        for remaining_name, reset_name in (
            (f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}"),
            (f"anthropic-ratelimit-{kind}-remaining", f"anthropic-ratelimit-{kind}-reset"),
        ):
            remaining = _number(headers.get(remaining_name))
            reset = _reset_s(headers.get(reset_name), time.time() if now is None else now)
            if remaining is not None and reset is not None:
                found.append(Pace(int(remaining), reset * _REFILLED))
    return min(found, key=lambda pace: pace.remaining, default=None)


def _reset_s(text: str | None, now: float) -> float | None:
    if not text:
        return None
    seconds = _number(text)
    if seconds is not None:
        seconds = seconds / 1000 if seconds > 1e12 else seconds  # Some give the time itself, in ms or s.
        return max(0.0, seconds - now if seconds > 1e9 else seconds)
    if _DURATION.sub("", text) == "":
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        return None
    return number if number is not None and number == number and abs(number) != float("inf") else None
