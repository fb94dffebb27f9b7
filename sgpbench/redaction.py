"""Keys that must show nowhere, and server text made safe to show.

A key reaches a server with every request, so a careless or hostile server can send it back in any field of an answer,
plain or encoded. ``Secrets`` knows the keys of one connection and those in this process's environment, and takes them out
of whatever came from outside before it is logged, stored, printed or published.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from sgpbench.terminal import visible

__all__ = ["SECRET_NAME", "Secrets", "environment_secrets", "watch_loggers"]

SECRET_NAME = re.compile(
    r"auth|api[-_]?key|(^|[-_.])key$|subscription|token$|secret|passw|cookie|credential|session|^jwt$|^sig(nature)?$"
    r"|[-_]sig(nature)?$",
    re.IGNORECASE,
)
"""Names of headers, fields and variables whose value is taken for a key."""

_HIDDEN = "[secret]"
_SHORTEST = 4
_SHORTEST_ENCODED = 8
_SURE_LENGTH = 16
_SHORTEST_IN_ANSWERS = 8


class Secrets:
    """Texts that must not appear anywhere, nor their encodings (base64, percent, hex, JSON escapes).

    ``scrub`` is for messages, where taking out too much does no harm. An answer is what is measured, so ``scrub_answer``
    leaves keys alone that may well be ordinary words of an answer (``none``, ``EMPTY``), as users of servers without a
    key make them up.
    """

    def __init__(self, values: Iterable[str | None]) -> None:
        known = {part for value in values if value for part in _with_parts(value) if len(part) >= _SHORTEST}
        self._values = frozenset(known)
        self._in_messages = _longest_first(known)
        self._in_answers = _longest_first(value for value in known if _is_no_word(value))

    def __repr__(self) -> str:
        return f"<{len(self._values)} secrets>"

    def with_more(self, other: Secrets) -> Secrets:
        """These and the other ones."""
        return Secrets(self._values | other._values)

    def scrub(self, text: str) -> str:
        """The text with every secret replaced by ``[secret]``."""
        return _without(text, self._in_messages)

    def scrub_answer(self, text: str) -> str:
        """A completion without those secrets that are surely keys: 16 characters or more, or 8 with letters and digits.

        What cannot be written as UTF-8 (lone surrogates, which JSON may spell) becomes a question mark.
        """
        return _without(text, self._in_answers).encode("utf-8", "replace").decode()

    def clean(self, text: str) -> str:
        """A server's words as they may be logged, stored and printed: no secret, and no command to a terminal."""
        return visible(self.scrub(text))

    def hide_in(self, text: str) -> bool:
        """Whether one of them that is surely a key stands in the text."""
        return any(form in text for form in self._in_answers)


def _with_parts(value: str) -> Iterator[str]:
    """The value of a header, and the key in it: ``Bearer KEY``, ``Basic NAME:KEY`` in base64."""
    yield value
    scheme, _, rest = value.partition(" ")
    if scheme.lower() in {"bearer", "basic", "token", "apikey", "key"} and rest.strip():
        yield rest.strip()
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(rest.strip(), validate=True).decode()
            except ValueError:
                return
            yield pair
            yield pair.partition(":")[2]


def _is_no_word(value: str) -> bool:
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return len(value) >= _SURE_LENGTH or (len(value) >= _SHORTEST_IN_ANSWERS and mixed)


def _longest_first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({form for value in values for form in _forms(value)}, key=len, reverse=True))


def _forms(value: str) -> Iterator[str]:
    """The value and its encodings."""
    yield value
    raw = value.encode("utf-8", "surrogateescape")
    for form in (quote(value, safe="", errors="replace"), value.encode("ascii", "backslashreplace").decode()):
        yield form
    if len(raw) < _SHORTEST_ENCODED:
        return
    digits = raw.hex()
    percent = "".join(f"%{byte:02x}" for byte in raw)
    escaped = "".join(f"\\u{ord(one):04x}" for one in value)
    for form in (digits, percent, escaped):
        yield form
        yield form.upper().replace("\\U", "\\u")
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        # Base64 of the value wherever it begins in a longer text, less the characters that its neighbours decide.
        coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        core = coded[start : -1 if (offset + len(raw)) % 3 else None]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _without(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, _HIDDEN)
    return text


def environment_secrets(environment: Mapping[str, str] | None = None) -> Secrets:
    """Values of environment variables that are named like keys and are surely none of an answer's words."""
    given = os.environ if environment is None else environment
    return Secrets(value for name, value in given.items() if SECRET_NAME.search(name) and _is_no_word(value))


class _Redacting(logging.Filter):
    """Rewrites records of libraries that log addresses, reason phrases and headers as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets = environment_secrets()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.secrets.clean(record.getMessage()), ()
        return True


_LOGGERS = (
    *("httpx2", "httpcore2.connection", "httpcore2.http11", "httpcore2.http2", "httpcore2.proxy", "httpcore2.socks"),
    *("openai", "openai._base_client", "anthropic", "anthropic._base_client", "google_genai._api_client"),
)


def watch_loggers(secrets: Secrets) -> None:
    """Takes these secrets out of what HTTP libraries and SDKs log from now on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        found = next((one for one in logger.filters if isinstance(one, _Redacting)), None)
        if found is None:
            found = _Redacting()
            logger.addFilter(found)
        found.secrets = found.secrets.with_more(secrets)
