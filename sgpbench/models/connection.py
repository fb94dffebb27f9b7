"""What adapters of network APIs share: their arguments, keys that are never shown, and which server to ask next.

Keys come from environment variables alone. Where a gateway wants a key in a header of its own, the header names the
variable: ``--model-arg header.x-api-key=env:MY_KEY``. Whatever came from a variable is taken out of every message.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sgpbench.errors import ModelUnavailable, UsageError, unknown_name
from sgpbench.models.endpoints import endpoint_of
from sgpbench.models.interface import Concurrency, ModelSpec
from sgpbench.publishable import (
    address_secrets,
    is_variable_name,
    looks_like_key,
    names_a_key,
    nested_key,
    publishable_body,
    publishable_field,
    shown_address,
)
from sgpbench.records import Json
from sgpbench.redaction import Secrets, environment_secrets, watch_loggers

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
    other_endpoint: str | None = None
    """Where the model is asked, if not at its provider's own address; holds no key."""

    def endpoint(self, provider: str) -> str:
        """Names the address and, by a short hash, the key: what shares one rate limit."""
        key = hashlib.sha256(self.key.encode()).hexdigest()[:8] if self.key else "no key"
        where = hashlib.sha256(",".join(sorted(self.base_urls)).encode()).hexdigest()[:8]
        shown = (
            f"{','.join(map(shown_address, sorted(self.base_urls)))} {where}" if self.base_urls else "default address"
        )
        return f"{provider} {shown} ({key})"

    def identity(self) -> dict[str, Json]:
        """Those arguments that may change answers; values that are not known to be harmless are hashed."""
        parts: dict[str, Json] = {}
        if self.body:
            parts["body"] = {name: publishable_body(value) for name, value in sorted(self.body.items())}
        if self.query:
            parts["query"] = {name: publishable_field(name, text) for name, text in sorted(self.query.items())}
        if self.shown_headers:
            parts["headers"] = {
                name: publishable_field(name, text) for name, text in sorted(self.shown_headers.items())
            }
        return parts


def connection_of(
    spec: ModelSpec,
    own_arguments: Mapping[str, str],
    *,
    key_variables: Sequence[str],
    url_variable: str,
    key_optional: Callable[[tuple[str, ...]], bool],
    own_host: str,
) -> Connection:
    """Reads the arguments of a network adapter and finds its key.

    ``key_variables`` are the SDK's own, first found first; ``key_optional`` says for given addresses whether the API may be
    asked without one. ``own_host`` is that of the provider whose API it is: any other is part of a run's identity.

    Raises:
        UsageError: an argument is unknown or malformed, or holds a key.
        ModelUnavailable: there is no key; the message names the variable to set.
    """
    _check_names(spec, {**SHARED_ARGUMENTS, **own_arguments})
    urls = spec.args.get("base_url") or os.environ.get(url_variable) or ""
    base_urls = tuple(_checked_url(url.strip()) for url in urls.split(",") if url.strip())
    own_variable = spec.args.get("api_key_env")
    variables = tuple(key_variables) if own_variable is None else (_variable(spec, "api_key_env", own_variable),)
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
    places = [part for url in base_urls for part in address_secrets(url)]
    secrets = Secrets([*hidden.values(), *(value for _, value in found), *places])
    query = _prefixed(spec, "query.")
    body = {name: _json_or_text(text) for name, text in _prefixed(spec, "body.").items()}
    for name, text in spec.args.items():
        if name != "base_url" and (secrets.hide_in(text) or looks_like_key(text)):
            raise UsageError(
                f"The argument '{name}' of {spec.name} holds a key.",
                remedy="Arguments are stored with the run: name the variable instead (header.NAME=env:VARIABLE).",
            )
    secrets = secrets.with_more(environment_secrets())
    watch_loggers(secrets)
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
        other_endpoint=endpoint_of(spec.name, base_urls, own_host),
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
        if prefix != "header." and (names_a_key(name) or nested_key(_json_or_text(found[name])) is not None):
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
            variable = _variable(spec, f"header.{name}", text.removeprefix("env:"))
            value = os.environ.get(variable)
            if not value:
                raise ModelUnavailable(
                    f"The header '{name}' of {spec.name} is to come from the environment variable {variable}, "
                    "which is not set.",
                    remedy=f"Set it with `export {variable}=...`.",
                )
            hidden[name] = value
        elif names_a_key(name):
            raise UsageError(
                f"The header '{name}' looks like a key, which sgpbench takes only from the environment.",
                remedy=f"Write --model-arg header.{name}=env:VARIABLE.",
            )
        else:
            shown[name] = text
    return shown, hidden


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        reachable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        reachable = False
    if not reachable:
        raise UsageError(f"The base_url '{shown_address(url)}' is not an http or https address.")
    if parts.username or parts.password:
        raise UsageError(
            "A base_url must not hold a name or a password.",
            remedy="Use header.Authorization=env:VARIABLE.",
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"The base_url '{shown_address(url)}' must not hold a query or a fragment.",
            remedy="Use query.NAME=VALUE, or for a key header.NAME=env:VARIABLE.",
        )
    return url.rstrip("/")


def _variable(spec: ModelSpec, argument: str, name: str) -> str:
    """The name of an environment variable; where it is none, it may be the key itself, and is not shown."""
    if not is_variable_name(name) or (name not in os.environ and not name.replace("_", "").isupper()):
        raise UsageError(
            f"The argument '{argument}' of {spec.name} is to name an environment variable, and there is none of that name.",
            remedy="Set it with `export VARIABLE=...`, and name it, never the key itself.",
        )
    return name


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
