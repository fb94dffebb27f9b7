"""The words generated prompts are made of: COCO's category names with their plurals, attributes and relations."""

from __future__ import annotations

__all__ = ["ANIMATE", "COLORS", "NOUNS", "NUMBERS", "RELATIONS", "SHAPES", "TEXTURES", "article", "plural"]

NOUNS = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie"),
    *("suitcase", "frisbee", "snowboard", "kite", "skateboard", "surfboard", "bottle", "cup", "fork", "knife", "spoon"),
    *("bowl", "banana", "apple", "sandwich", "carrot", "pizza", "donut", "cake", "chair", "couch", "bed", "toilet"),
    *("tv", "laptop", "mouse", "remote", "keyboard", "microwave", "oven", "toaster", "sink", "refrigerator", "book"),
    *("clock", "vase", "toothbrush", "traffic light", "fire hydrant", "stop sign", "parking meter", "sports ball"),
    *("baseball bat", "baseball glove", "tennis racket", "wine glass", "hot dog", "potted plant", "dining table"),
    *("cell phone", "teddy bear", "hair drier"),
)
"""COCO's 80 categories without ``scissors`` and ``skis`` (no singular), ``broccoli`` (not counted) and ``orange`` (a
colour)."""

ANIMATE = ("person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
"""Who can do something to something."""

COLORS = (
    *("red", "blue", "green", "yellow", "black", "white", "brown", "grey", "purple", "pink", "orange", "turquoise"),
    *("crimson", "beige"),
)
SHAPES = (
    *("round", "square", "triangular", "oval", "rectangular", "hexagonal", "star-shaped", "heart-shaped"),
    *("diamond-shaped", "crescent-shaped", "cone-shaped", "cube-shaped"),
)
TEXTURES = ("wooden", "metal", "glass", "furry", "woollen", "stone", "leather", "knitted", "paper", "brick")

RELATIONS = {
    "2d_spatial": ("to the left of", "to the right of", "above", "below", "next to"),
    "3d_spatial": ("behind", "in front of", "partly hidden by"),
    "implicit": (
        "is holding",
        "is looking at",
        "is sitting on",
        "is standing on",
        "is playing with",
        "is walking beside",
        "is carrying",
        "is leaning against",
    ),
}

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_PLURALS = {"person": "people", "sheep": "sheep", "mouse": "mice", "knife": "knives", "tv": "tvs"}
_HISSING = ("s", "x", "z", "ch", "sh")


def plural(noun: str) -> str:
    """The plural of one of ``NOUNS``: its last word's."""
    *before, last = noun.split(" ")
    return " ".join([*before, _PLURALS.get(last) or last + ("es" if last.endswith(_HISSING) else "s")])


def article(words: str) -> str:
    """The words with ``a`` or ``an`` before them. None of ours has a silent h or a u spoken like you."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
