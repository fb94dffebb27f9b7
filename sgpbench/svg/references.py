"""Which references a drawing may keep: those into itself, and raster pictures it carries along.

Shared by attributes and style sheets. Nothing here opens anything; pictures are looked at no further than their header.
"""

from __future__ import annotations

import base64
import io
import re
import urllib.parse
from dataclasses import dataclass
from typing import Literal

from PIL import Image, UnidentifiedImageError

__all__ = [
    "MAX_PICTURE_BYTES",
    "MAX_PICTURE_PIXELS",
    "CleanedCss",
    "Reference",
    "classify",
    "clean_css",
    "embedded_bytes",
    "is_raster",
]

MAX_PICTURE_BYTES = 4_000_000
"""Most bytes of one embedded picture, decoded from base64."""
MAX_PICTURE_PIXELS = 16_000_000
"""Most pixels of one embedded picture, by its own header."""

Reference = Literal["internal", "picture", "embedded", "script", "external"]
"""``internal``: ``#id``. ``picture``: a raster picture in a ``data:`` URI, small enough to keep. ``embedded``: any other
``data:`` URI. ``script``: ``javascript:`` and the like. ``external``: everything else."""

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_INVISIBLE = re.compile(r"[\x00-\x20\x7f]+")
_URL = re.compile(r"""url\(\s*+("[^"]*+"|'[^']*+'|[^)"']*+)[^)]*+\)?""", re.IGNORECASE)
_IMPORT = re.compile(r"@import\b[^;]*+;?", re.IGNORECASE)
# What takes an address without url(): the strings in image-set() and src(), up to the declaration's end.
_STRING_PLACE = re.compile(r"\b(?:image-set|src)\([^;{}]*+", re.IGNORECASE)
_STRING = re.compile(r"""\b(?:url|type|format|tech)\([^)]*+\)?|"([^"]*+)"|'([^']*+)'""", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)


def classify(address: str) -> Reference:
    """What kind of reference an ``href`` holds; white space and control characters in it hide nothing."""
    address = _INVISIBLE.sub("", address[:200]) + address[200:]
    head = address[:200].lower()
    if not address or head.startswith("#"):
        return "internal"
    if head.startswith("data:"):
        return "picture" if _is_small_picture(address) else "embedded"
    if head.startswith(("javascript:", "vbscript:")):
        return "script"
    return "external"


def is_raster(address: str) -> bool:
    """Whether a ``data:`` URI claims to be a raster picture."""
    head = _INVISIBLE.sub("", address[:60]).lower()
    return head.startswith("data:image/") and not head.startswith("data:image/svg")


def embedded_bytes(address: str) -> bytes:
    """What a ``data:`` URI holds.

    Raises:
        ValueError: it is none, or is larger than ``MAX_PICTURE_BYTES``.
    """
    head, comma, body = address.partition(",")
    if not comma or not head.strip().lower().startswith("data:") or len(body) > MAX_PICTURE_BYTES * 3:
        raise ValueError("no data: URI of a size that is kept")
    data = urllib.parse.unquote_to_bytes(body)
    if head.strip().lower().endswith(";base64"):
        data = base64.b64decode(data, validate=False)
    if len(data) > MAX_PICTURE_BYTES:
        raise ValueError("no data: URI of a size that is kept")
    return data


def _is_small_picture(address: str) -> bool:
    try:
        # binascii.Error, which broken base64 raises, is a ValueError.
        with Image.open(io.BytesIO(embedded_bytes(address)), formats=_FORMATS) as picture:
            return 0 < picture.width * picture.height <= MAX_PICTURE_PIXELS
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


@dataclass(frozen=True, slots=True)
class CleanedCss:
    """A style sheet or declaration that refers to nothing outside, and whether it did."""

    text: str
    external: bool


def clean_css(css: str) -> CleanedCss:
    r"""Takes out ``@import`` and every address in ``url()``, ``image-set()`` and ``src()`` that leaves the drawing.

    Where an external reference hides behind CSS escapes (``\75rl(``), the whole text goes.
    """
    cleaned, external = _without_references(css)
    if "\\" in css and not external and _without_references(_ESCAPE.sub(_unescape, css))[1]:
        return CleanedCss("", True)
    return CleanedCss(cleaned, external)


def _without_references(css: str) -> tuple[str, bool]:
    lowered = css.lower()
    if not any(sign in lowered for sign in ("url(", "@import", "image-set(", "src(")):
        return css, False
    external = False

    def replace(match: re.Match[str]) -> str:
        nonlocal external
        kind = classify(match.group(1).strip().strip("\"'"))
        external = external or kind in ("external", "script")
        return match.group() if kind == "internal" else "none"

    without_imports, imports = _IMPORT.subn("", css)

    def replace_string(match: re.Match[str]) -> str:
        nonlocal external
        address = match.group(1) or match.group(2)
        kind = classify(address) if address else "internal"
        external = external or kind in ("external", "script")
        return match.group() if kind == "internal" else '""'

    cleaned = _URL.sub(replace, without_imports)
    cleaned = _STRING_PLACE.sub(lambda match: _STRING.sub(replace_string, match.group()), cleaned)
    return cleaned, external or imports > 0


def _unescape(match: re.Match[str]) -> str:
    if match.group(1) is None:
        return str(match.group(2))
    code = int(match.group(1), 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
