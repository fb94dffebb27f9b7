"""What adapters of network APIs share: their arguments, keys that are never shown, and which server to ask next.

Keys come from environment variables alone. Where a gateway wants a key in a header of its own, the header names the
variable: ``--model-arg header.x-api-key=env:MY_KEY``. Whatever came from a variable is taken out of every message.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sgpbench.errors import ModelUnavailable, UsageError, unknown_name
from sgpbench.models.interface import Concurrency, ModelSpec
from sgpbench.records import Json

__all__ = ["HOSTED", "SHARED_ARGUMENTS", "Connection", "Secrets", "Servers", "connection_of", "seconds"]

HOSTED = Concurrency(1, 200)
"""Requests in flight at an endpoint of which nothing is known."""

SHARED_ARGUMENTS: Mapping[str, str] = {
    "api_key_env": "name of the environment variable that holds the key",
    "base_url": "address of the API, instead of the provider's own",
    "body.NAME": "a further field of the request's body (JSON, or else text)",
    "header.NAME": "a further header; env:VARIABLE takes its value from the environment and keeps it secret",
    "query.NAME": "a further query parameter",
    "timeout": "seconds one request may take",
}
"""Arguments of every network adapter; their descriptions are shown by ``sgpbench models show``."""

_SECRET_NAME = re.compile(r"auth|api[-_]?key|token$|secret|passw|cookie|^key$", re.IGNORECASE)
_SHORTEST_SECRET = 4


class Secrets:
    """Texts that must not appear anywhere; ``scrub`` takes them out."""

    def __init__(self, values: Iterable[str | None]) -> None:
        known = {value for value in values if value and len(value) >= _SHORTEST_SECRET}
        self._values = sorted(known, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"<{len(self._values)} secrets>"

    def scrub(self, text: str) -> str:
        """The text with every secret replaced by ``[secret]``."""
        for value in self._values:
            text = text.replace(value, "[secret]")
        return text

    def hide_in(self, text: str) -> bool:
        """Whether one of them stands in the text."""
        return any(value in text for value in self._values)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach an API."""

    base_urls: tuple[str, ...]
    """Empty: the provider's own address."""
    timeout_s: float | None
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str]
    body: Mapping[str, Json]
    key: str | None = field(repr=False)
    key_variable: str
    secrets: Secrets
    shown_headers: Mapping[str, str]
    """Those headers that came from the command line, not from the environment."""

    def endpoint(self, provider: str) -> str:
        """Names the address and, by a short hash, the key: what shares one rate limit."""
        key = hashlib.sha256(self.key.encode()).hexdigest()[:8] if self.key else "no key"
        return f"{provider} {','.join(sorted(self.base_urls)) or 'default address'} ({key})"

    def identity(self) -> dict[str, Json]:
        """Those arguments that may change answers."""
        parts: dict[str, Json] = {}
        if self.body:
            parts["body"] = dict(sorted(self.body.items()))
        if self.query:
            parts["query"] = dict(sorted(self.query.items()))
        if self.shown_headers:
            parts["headers"] = dict(sorted(self.shown_headers.items()))
        return parts


def connection_of(
    spec: ModelSpec,
    own_arguments: Mapping[str, str],
    *,
    key_variables: Sequence[str],
    url_variable: str,
    key_optional: Callable[[tuple[str, ...]], bool],
) -> Connection:
    """Reads the arguments of a network adapter and finds its key.

    ``key_variables`` are the SDK's own, first found first; ``key_optional`` says for given addresses whether the API
    may be asked without one.

    Raises:
        UsageError: an argument is unknown or malformed, or holds a key.
        ModelUnavailable: there is no key; the message names the variable to set.
    """
    _check_names(spec, {**SHARED_ARGUMENTS, **own_arguments})
    urls = spec.args.get("base_url") or os.environ.get(url_variable) or ""
    base_urls = tuple(_checked_url(url.strip()) for url in urls.split(",") if url.strip())
    variables = (spec.args["api_key_env"],) if "api_key_env" in spec.args else tuple(key_variables)
    found = [(name, os.environ[name].strip()) for name in variables if os.environ.get(name, "").strip()]
    variable, key = found[0] if found else (variables[0], None)
    if key is None and spec.looked_at:
        key = "none"
    if key is None and ("api_key_env" in spec.args or not key_optional(base_urls)):
        raise ModelUnavailable(
            f"{spec.name} needs a key, and {' and '.join(variables)} {'is' if len(variables) == 1 else 'are'} not set.",
            remedy=f"Set it with `export {variable}=...`, or name another with --model-arg api_key_env=NAME.",
        )
    shown, hidden = _headers(spec)
    secrets = Secrets([key, *hidden.values(), *(value for _, value in found)])
    query = _prefixed(spec, "query.")
    body = {name: _json_or_text(text) for name, text in _prefixed(spec, "body.").items()}
    for name, text in spec.args.items():
        if secrets.hide_in(text):
            raise UsageError(
                f"The argument '{name}' of {spec.name} holds a key.",
                remedy="Arguments are stored with the run: name the variable instead (header.NAME=env:VARIABLE).",
            )
    return Connection(
        base_urls=base_urls,
        timeout_s=seconds(spec, "timeout"),
        headers={**shown, **hidden},
        query=query,
        body=body,
        key=key,
        key_variable=variable,
        secrets=secrets,
        shown_headers=shown,
    )


def seconds(spec: ModelSpec, name: str) -> float | None:
    """The argument of that name in seconds, or None where it is not given.

    Raises:
        UsageError: it is no number above 0.
    """
    text = spec.args.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"The argument '{name}' of {spec.name} is seconds above 0, not '{text}'.")
    return value


def _check_names(spec: ModelSpec, known: Mapping[str, str]) -> None:
    families = tuple(name.removesuffix("NAME") for name in known if name.endswith(".NAME"))
    for name in spec.args:
        if name not in known and not (name.startswith(families) and not name.endswith(".")):
            plain = [one.removesuffix("NAME") if one.endswith(".NAME") else one for one in known]
            kind = f"argument of the {spec.adapter} adapter"
            raise unknown_name(kind, name, plain, listing=f"sgpbench models show {spec.name}")


def _prefixed(spec: ModelSpec, prefix: str) -> dict[str, str]:
    found = {name.removeprefix(prefix): text for name, text in spec.args.items() if name.startswith(prefix)}
    for name in found:
        if prefix != "header." and _SECRET_NAME.search(name):
            raise UsageError(
                f"'{prefix}{name}' looks like a key, which sgpbench takes only from the environment.",
                remedy="Use api_key_env=VARIABLE, or header.NAME=env:VARIABLE.",
            )
    return found


def _headers(spec: ModelSpec) -> tuple[dict[str, str], dict[str, str]]:
    """Headers given as text, and headers whose value comes from the environment."""
    shown: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for name, text in _prefixed(spec, "header.").items():
        if text.startswith("env:"):
            variable = text.removeprefix("env:")
            value = os.environ.get(variable)
            if not value:
                raise ModelUnavailable(
                    f"The header '{name}' of {spec.name} is to come from the environment variable {variable}, "
                    "which is not set.",
                    remedy=f"Set it with `export {variable}=...`.",
                )
            hidden[name] = value
        elif _SECRET_NAME.search(name):
            raise UsageError(
                f"The header '{name}' looks like a key, which sgpbench takes only from the environment.",
                remedy=f"Write --model-arg header.{name}=env:VARIABLE.",
            )
        else:
            shown[name] = text
    return shown, hidden


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"The base_url '{url}' is not an http or https address.")
    if parts.username or parts.password:
        raise UsageError(
            "A base_url must not hold a name or a password.",
            remedy="Use header.Authorization=env:VARIABLE.",
        )
    return url.rstrip("/")


def _json_or_text(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value


class Servers:
    """Which of several equal servers to ask next: the one with the fewest requests, leaving out those that are down.

    A server that refuses connections would otherwise always be the least busy and draw every request.
    """

    _FIRST_REST_S = 2.0
    _LONGEST_REST_S = 60.0

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._busy = [0] * count
        self._failures = [0] * count
        self._resting_until = [0.0] * count
        self._clock = clock
        self._turn = 0

    def take(self) -> int:
        """The index of the server to ask; give it back with ``give_back``."""
        count = len(self._busy)
        now = self._clock()
        self._turn = (self._turn + 1) % count
        order = [(self._turn + offset) % count for offset in range(count)]
        up = [index for index in order if self._resting_until[index] <= now]
        chosen = min(up, key=lambda index: self._busy[index]) if up else min(order, key=self._resting_until.__getitem__)
        self._busy[chosen] += 1
        return chosen

    def give_back(self, index: int, *, reached: bool) -> None:
        """``reached``: whether the server could be connected to."""
        self._busy[index] -= 1
        if reached:
            self._failures[index] = 0
            self._resting_until[index] = 0.0
        else:
            rest = min(self._LONGEST_REST_S, self._FIRST_REST_S * 2.0 ** self._failures[index])
            self._failures[index] += 1
            self._resting_until[index] = self._clock() + rest
