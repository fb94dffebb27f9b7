"""What the procedural baseline understands of a caption: how many of what, in which colour, and where.

It reads plain English by its function words: a chunk of words between them is a thing, its last word the noun. That is
enough for every caption of ``shapes``, and for a rough drawing of any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["COLORS", "Item", "Link", "Reading", "read_caption"]

COLORS = {
    "red": "#e02020",
    "orange": "#ff8c00",
    "yellow": "#ffd800",
    "green": "#1f9d3a",
    "blue": "#2050e0",
    "purple": "#8a2bb8",
    "pink": "#ff7ab8",
    "brown": "#85491c",
    "gray": "#8a8a8a",
    "grey": "#8a8a8a",
    "black": "#101010",
    "white": "#fafafa",
    "golden": "#e0b020",
    "gold": "#e0b020",
    "silver": "#b8bcc4",
    "beige": "#e8dcc0",
    "cyan": "#20c8d8",
    "teal": "#108080",
    "turquoise": "#30c8b8",
    "violet": "#8040d0",
    "maroon": "#701020",
    "navy": "#102060",
    "cream": "#f4ecd0",
    "tan": "#c8a878",
    "magenta": "#e020d0",
    "lime": "#a0e020",
    "olive": "#707820",
}
_NUMBERS = {
    word: value
    for value, words in enumerate(
        ("", "one a an single", "two both pair couple", "three several some", "four", "five many", "six", "seven")
    )
    for word in words.split()
} | {"eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12}
_MOST = 12

# Phrases that say where things are, longest first; each becomes one token.
_PHRASES = (
    ("left", r"(?:to|on|at) the left(?: side)? of|left of"),
    ("right", r"(?:to|on|at) the right(?: side)? of|right of"),
    ("above", r"on the top of|on top of|at the top of|above|over|atop"),
    ("below", r"on the bottom of|at the bottom of|below|beneath|underneath|under"),
    ("inside", r"inside of|inside|within|contained in"),
    ("taller", r"at least twice as (?:tall|high|big|large) as"),
    ("front", r"in front of"),
    ("behind", r"behind|hidden by|at the back of"),
    ("beside", r"next to|on the side of|on side of|beside|near to|near|close to|adjacent to"),
    ("above", r"\bon\b"),
    ("inside", r"\bin\b|\binto\b"),
)
_FUNCTION_TEXT = """
and or with of at by for from to as is are was were be being been has have having that which who while where whose
entirely partly fully very its their his her it they them there stands standing sits sitting lies lying sit stand lie
hanging hangs holding holds wearing riding ride playing looking walking running eating drawing picture image photo view
shows showing depicts depicting illustration icon featuring features set scene against into onto through around up down
out off one's another other
look looks talk talks walk walks run runs eat eats jump jumps fly flies sleep sleeps chase chases push pushes pull pulls hold
watch watches watching follow follows carry carries carrying swim swims made
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
_DEFINITE = frozenset({"the", "both", "all", "each"})
_NOT_THINGS = frozenset(
    {"background", "view", "top", "bottom", "side", "left", "right", "front", "back", "each", "most"}
)
_RULES = ("1.5 times", "opaque fill", "nothing else")
_TOKEN = re.compile(r"@\w+|[\w'-]+|[.,;:!?]")


@dataclass(frozen=True, slots=True)
class Item:
    """``count`` things of one kind; ``color`` is a name out of ``COLORS`` or ``None``."""

    count: int
    color: str | None
    noun: str
    """In the singular, lower case."""


@dataclass(frozen=True, slots=True)
class Link:
    """``kind`` holds between two items, by their places in the reading."""

    kind: str
    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was understood."""

    items: tuple[Item, ...]
    links: tuple[Link, ...]


@dataclass(slots=True)
class _Chunk:
    words: list[str]
    count: int | None = None
    color: str | None = None
    definite: bool = False


def read_caption(caption: str) -> Reading:
    """The items and links of a caption; at least one item, whatever it says."""
    items: list[Item] = []
    links: list[Link] = []
    for sentence in re.split(r"(?<=[.!?])\s+", caption.strip()):
        if not any(rule in sentence for rule in _RULES):
            _read_sentence(sentence, items, links)
    return Reading(tuple(items) or (Item(1, None, "thing"),), tuple(dict.fromkeys(links)))


def _read_sentence(sentence: str, items: list[Item], links: list[Link]) -> None:
    text = sentence.lower().replace("five-pointed ", "")
    for kind, pattern in _PHRASES:
        text = re.sub(rf"(?<![\w@-])(?:{pattern})(?![\w-])", f" @{kind} ", text)
    mentioned: list[int] = []
    pending: str | None = None
    chunk = _Chunk([])
    for token in [*_TOKEN.findall(text), "."]:
        if token.startswith("@") or token in _FUNCTION_WORDS or not token[0].isalnum():
            index = _item_of(chunk, items)
            chunk = _Chunk([])
            if index is not None:
                if pending and mentioned and mentioned[-1] != index:
                    links.append(Link(pending, mentioned[-1], index))
                pending = None
                mentioned.append(index)
            if token.startswith("@"):
                pending = token[1:]
            continue
        _add(token, chunk)
    if "overlap" in text and len(mentioned) >= 2:
        links.append(Link("overlap", mentioned[0], mentioned[1]))


def _add(token: str, chunk: _Chunk) -> None:
    if token in _DEFINITE:
        chunk.definite = True
        if token == "both":
            chunk.count = 2
    elif token in _NUMBERS:
        chunk.count = _NUMBERS[token]
    elif token.isascii() and token.isdigit():
        chunk.count = max(1, min(_MOST, int(token)))
    elif token in COLORS:
        chunk.color = token
    elif token not in ("overlap", "equally", "tall", "plain"):
        chunk.words.append(token)


def _item_of(chunk: _Chunk, items: list[Item]) -> int | None:
    """The place of the item that a chunk names, new or named before; ``None`` where it names none."""
    if not chunk.words or chunk.words[-1] in _NOT_THINGS:
        return None
    noun, plural = _singular(chunk.words[-1], expect=chunk.count is not None and chunk.count > 1)
    if chunk.definite:
        for index, item in enumerate(items):
            if item.noun == noun and chunk.color in (None, item.color):
                return index
    items.append(Item(chunk.count or (3 if plural else 1), chunk.color, noun))
    return len(items) - 1


def _singular(word: str, *, expect: bool) -> tuple[str, bool]:
    """A noun in the singular, and whether it was a plural."""
    irregular = {"people": "person", "men": "man", "women": "woman", "children": "child", "sheep": "sheep"}
    if word in irregular:
        return irregular[word], word != "sheep"
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y", True
    if word.endswith(("shes", "ches", "xes", "sses")):
        return word[:-2], True
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and (expect or len(word) > 3):
        return word[:-1], True
    return word, False
