"""What of addresses, arguments and commands may be published, by lists of what is known to be harmless.

A run keeps its command and its model's arguments, and its result publishes them. Whatever is not on a list here is
replaced by ``***`` in a command, and by a short hash where it decides a model's answers and so must stay tellable apart.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from sgpbench.errors import UsageError
from sgpbench.records import Json
from sgpbench.redaction import SECRET_NAME, environment_secrets

__all__ = [
    "HIDDEN",
    "address_secrets",
    "is_variable_name",
    "looks_like_key",
    "names_a_key",
    "nested_key",
    "publishable_body",
    "publishable_command",
    "publishable_field",
    "refuse_keys",
    "shown_address",
]

HIDDEN = "***"

ARGUMENTS = frozenset(
    {
        *("api", "api_key_env", "base_url", "context", "data_parallel_size", "device", "dtype", "generation_config"),
        *("gpu_layers", "max_model_len", "max_tokens", "min_p", "n", "price_cached", "price_input", "price_output"),
        *("price_reasoning", "prompt_format", "raw_text", "reasoning_effort", "repeat_penalty", "revision", "sees"),
        *("servers", "slots", "start_timeout", "temperature", "tensor_parallel_size", "thinking_budget", "threads"),
        *("timeout", "top_k", "top_p"),
    }
)
"""Arguments of models and judges whose value a command shows."""

FIELDS = frozenset(
    {
        *(
            "anthropic-beta",
            "anthropic-version",
            "api-version",
            "api_version",
            "http-referer",
            "openai-beta",
            "user-agent",
        ),
        *("x-title", "beta", "version"),
    }
)
"""Headers and query parameters whose value is published."""

_NO_KEYS = frozenset({"prompt_cache_key", "max_tokens", "session_id"})
_PLACES = frozenset({"--data-dir", "--runs-dir"})
_PATH_WORD = re.compile(r"[a-z]{1,16}|v\d{1,2}(alpha|beta)?\d{0,2}")
_LABEL = re.compile(r"(?=.*\d)(?=.*[a-z])[a-z0-9-]{20,}|[a-z0-9-]{40,}", re.IGNORECASE)
_RANDOM = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[A-Za-z0-9_\-+/=.~]{20,}")
_PLAIN = re.compile(r"true|false|null|-?\d{1,7}(\.\d{1,7})?")
_KEY = re.compile(
    r"\b(sk|pk|rk|key)-[A-Za-z0-9_-]{12,}|\bAIza[\w-]{20,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bhf_[A-Za-z0-9]{16,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{12,}|\bgsk_\w{16,}|\bnvapi-[\w-]{12,}|\bxai-[\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}|\b(Bearer|Basic)\s+\S{8,}"
)


def looks_like_key(text: str) -> bool:
    """Whether something in the text has the form of a well-known kind of key."""
    return _KEY.search(text) is not None


def names_a_key(name: str) -> bool:
    """Whether a header, parameter or field of that name is expected to hold a key."""
    return name not in _NO_KEYS and SECRET_NAME.search(name) is not None


def is_variable_name(text: str) -> bool:
    """Whether it is written as names of environment variables are, and not like a key."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", text) is not None and not looks_like_key(text)


def refuse_keys(owner: str, arguments: Mapping[str, str]) -> None:
    """Checks that no argument holds a key; addresses are looked at by whoever asks them.

    Raises:
        UsageError: one does. The message names the argument and does not show its value.
    """
    known = environment_secrets()
    for name, text in arguments.items():
        if name != "base_url" and (looks_like_key(text) or known.hide_in(text)):
            raise UsageError(
                f"The argument '{HIDDEN if looks_like_key(name) else name}' of {owner} holds a key.",
                remedy="Arguments are stored with the run: name the variable instead (header.NAME=env:VARIABLE).",
            )


def shown_address(address: str) -> str:
    """Scheme, host, port, and of the path those words that are surely no key; nothing else.

    Several addresses may stand between commas.
    """
    return ",".join(_one_address(one.strip()) for one in address.split(",") if one.strip())


def _one_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return HIDDEN
    if not host or not re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}", parts.scheme):
        return HIDDEN
    shown = ".".join(HIDDEN if _LABEL.fullmatch(label) else label for label in host.split("."))
    words = [word if not word or _PATH_WORD.fullmatch(word) else HIDDEN for word in parts.path.split("/")]
    place = f"[{shown}]" if ":" in shown else shown
    return f"{parts.scheme}://{place}{f':{port}' if port else ''}{'/'.join(words)}".rstrip("/")


def address_secrets(address: str) -> list[str]:
    """The parts of an address that ``shown_address`` hides."""
    parts = urlsplit(address)
    labels = [label for label in (parts.hostname or "").split(".") if _LABEL.fullmatch(label)]
    words = [word for word in parts.path.split("/") if word and not _PATH_WORD.fullmatch(word)]
    return [*labels, *words]


def publishable_field(name: str, value: str) -> str:
    """A header's or parameter's value as a result may tell it: itself if the name is on the list, else a short hash."""
    if name.lower() in FIELDS and not _RANDOM.search(value):
        return value
    return f"hash:{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:8]}"


def publishable_command(words: Sequence[str]) -> str:
    """The command for the record: without keys, and without this machine's directories."""
    shown: list[str] = []
    given = iter(words)
    for word in given:
        flag, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if flag in _PLACES:
            if not equals:
                next(given, None)
            continue
        if flag.startswith("--") and flag.endswith("-arg"):
            shown += [flag, _argument(value if equals else next(given, ""))]
        elif equals:
            shown.append(f"{flag}={_word(value)}")
        else:
            shown.append(_word(word))
    return shlex.join(["sgpbench", *shown])


def _argument(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals or looks_like_key(name):
        return HIDDEN
    if name == "base_url":
        return f"{name}={shown_address(value)}"
    if name == "api_key_env" or (name.startswith("header.") and value.startswith("env:")):
        variable = value.removeprefix("env:")
        return f"{name}={value if is_variable_name(variable) and variable.isupper() else HIDDEN}"
    plain = not names_a_key(name) and _PLAIN.fullmatch(value) is not None
    harmless = (name in ARGUMENTS or plain) and not looks_like_key(value) and not environment_secrets().hide_in(value)
    return f"{name}={value if harmless else HIDDEN}"


def _word(text: str) -> str:
    if looks_like_key(text) or environment_secrets().hide_in(text):
        return HIDDEN
    if "://" in text:
        return shown_address(text)
    name, equals, _ = text.partition("=")
    return f"{name}={HIDDEN}" if equals and names_a_key(name) else text


def nested_key(value: Json) -> str | None:
    """The name of a field, however deep, that is expected to hold a key; ``None`` where there is none."""
    if isinstance(value, Mapping):
        named = next((name for name, inner in value.items() if names_a_key(name) and isinstance(inner, str)), None)
        return named or nested_key(list(value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return next((found for found in map(nested_key, value) if found is not None), None)
    return None


def publishable_body(value: Json) -> Json:
    """A further field of a request as a result may tell it: texts that look like chance are replaced by a hash."""
    if isinstance(value, str):
        return publishable_field("", value) if _RANDOM.search(value) else value
    if isinstance(value, Mapping):
        return {name: publishable_body(inner) for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [publishable_body(inner) for inner in value]
    return value
