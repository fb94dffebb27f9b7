"""Who serves a model: of an address that is not the provider's own, what may be told; and whose name the answers bear."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from sgpbench.models.catalog import known_models
from sgpbench.publishable import HIDDEN, shown_address

__all__ = ["endpoint_of", "is_other_model"]

_VERSION = re.compile(r"([-@:_.](\d[\d.]*|v\d+|preview|latest|exp|beta))*")


def endpoint_of(model: str, base_urls: Iterable[str], own_host: str = "") -> str | None:
    """Where a model is asked, without scheme, name, key or query: ``gateway.example/v1``; ``None`` at its provider's own.

    Args:
        model: The model as the user named it; an entry of the catalog may state its provider's address.
        base_urls: The addresses that are asked; none is the provider's own.
        own_host: The host of the adapter's own provider.
    """
    own = next((entry.args.get("base_url") for entry in known_models() if model in entry.names), None)
    usual = {_without_scheme(one) for one in (own or "").split(",") if one}
    places = {_without_scheme(address) for address in base_urls if urlsplit(address).hostname != (own_host or None)}
    return ", ".join(sorted(places)) if places - usual else None


def _without_scheme(address: str) -> str:
    shown = shown_address(address).partition("://")[2].rstrip("/")
    if HIDDEN not in shown:
        return shown
    # Two places that show alike must not pass for one.
    parts = urlsplit(address)
    whole = f"{parts.hostname}:{parts.port}{parts.path.rstrip('/')}"
    return f"{shown} (hash:{hashlib.sha256(whole.encode()).hexdigest()[:8]})"


def is_other_model(served: str, asked: Iterable[str]) -> bool:
    """Whether the name that answers bear is none of those asked for: ``gpt-4o-mini`` for ``gpt-4o``.

    The same name with a date or version after it is the same model.
    """
    name = _last(served)
    return not any(_same(name, _last(one)) or _same(_last(one), name) for one in asked if one)


def _same(longer: str, name: str) -> bool:
    return longer.startswith(name) and _VERSION.fullmatch(longer[len(name) :]) is not None


def _last(name: str) -> str:
    return name.strip().rstrip("/").rpartition("/")[2].lower()
