"""Which bundled font stands in for a font family that a drawing names.

The three Liberation families have the widths of Arial, Times New Roman and Courier New. A family that is not bundled
would fall to the renderer's last resort whatever it looks like; here a generic family of its kind is put behind it, as
a browser's settings would.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["FAMILIES_VERSION", "with_generic", "with_generic_families"]

FAMILIES_VERSION = "1"

_GENERIC = frozenset({"serif", "sans-serif", "monospace", "cursive", "fantasy", "inherit"})
_MONO = ("mono", "courier", "consol", "code", "menlo", "terminal", "typewriter")
_SERIF = ("serif", "times", "georgia", "garamond", "palatino", "cambria", "baskerville", "bodoni", "didot", "roman")
_IN_CSS = re.compile(r"(font-family\s*+:\s*+)([^;}!]++)", re.IGNORECASE)


def with_generic(families: str) -> str:
    """The list of families with a generic one at its end, unless it holds one."""
    names = [name.strip().strip("\"'").lower() for name in families.split(",")]
    if not any(names) or any(name in _GENERIC for name in names):
        return families
    first = next(name for name in names if name)
    if any(word in first for word in _MONO):
        generic = "monospace"
    elif "sans" not in first and any(word in first for word in _SERIF):
        generic = "serif"
    else:
        generic = "sans-serif"
    return f"{families.rstrip().rstrip(',')}, {generic}"


def with_generic_families(root: etree._Element) -> None:
    """Does so, in place, for every attribute, style and style sheet that names families."""
    for element in root.iter("*"):
        if family := element.get("font-family"):
            element.set("font-family", with_generic(family))
        if style := element.get("style"):
            element.set("style", _in_css(style))
        if element.tag.rpartition("}")[2] == "style" and element.text:
            element.text = _in_css(element.text)


def _in_css(css: str) -> str:
    return _IN_CSS.sub(lambda match: match.group(1) + with_generic(match.group(2)), css)
