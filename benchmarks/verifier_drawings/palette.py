"""Colours as models write them, and colours that are another one."""

from __future__ import annotations

SHADES = {
    "red": ("red", "#ff0000", "#e53e3e", "#d90429", "crimson", "#cc1100", "#f03030", "rgb(220,20,30)", "#E74C3C"),
    "orange": ("orange", "#ffa500", "darkorange", "#ff8800", "#f58220", "hsl(33,100%,50%)", "#FB8C00", "#ed7d1a"),
    "yellow": ("yellow", "#ffff00", "gold", "#ffe119", "#f7d417", "#FFEB3B", "rgb(255,221,0)", "#fde74c"),
    "green": ("green", "#008000", "forestgreen", "limegreen", "#00aa44", "#2ecc71", "#3cb44b", "#0a0", "seagreen"),
    "blue": ("blue", "#0000ff", "royalblue", "dodgerblue", "#1f4fd8", "#3498db", "navy", "#0055cc", "#2962ff"),
    "purple": ("purple", "#800080", "indigo", "#8e44ad", "darkviolet", "#7d3cb5", "#6a1b9a", "blueviolet"),
    "pink": ("pink", "#ffc0cb", "hotpink", "#ff69b4", "deeppink", "#f783ac", "lightpink", "#ff8fc7", "#fa6ea8"),
    "brown": ("brown", "saddlebrown", "#8B4513", "sienna", "#795548", "#6b3e1f", "#7a4a24", "#5d3a1a"),
    "gray": ("gray", "grey", "#808080", "#999", "darkgray", "dimgray", "#8a8f94", "silver", "#777777"),
    "black": ("black", "#000", "#000000", "#111", "#222222", "#1c1c1c", "rgb(10,10,10)", "#0d0d12"),
    "cyan": ("cyan", "#00e0e0"),
    "teal": ("teal", "#009688"),
    "magenta": ("magenta", "#f0f"),
    "sky": ("skyblue", "#8fd0f0"),
    "olive": ("olive", "#7f7f10"),
}

NEAR_COLORS = {
    "red": ("orange", "brown", "pink"),
    "orange": ("yellow", "red", "brown"),
    "yellow": ("orange", "olive"),
    "green": ("teal", "olive", "blue"),
    "blue": ("purple", "cyan", "teal", "sky"),
    "purple": ("blue", "pink", "magenta"),
    "pink": ("purple", "red", "magenta"),
    "brown": ("red", "orange", "black", "olive"),
    "gray": ("black", "sky", "teal"),
    "black": ("gray", "brown", "purple"),
}
_ASKED = tuple(NEAR_COLORS)
OTHER_COLORS = {color: tuple(c for c in _ASKED if c != color and c not in NEAR_COLORS[color]) for color in _ASKED}
OTHER_COLORS["red"] = tuple(c for c in _ASKED if c != "red")

TINTS = {
    "#fff2a8": "yellow",
    "#cfe8ff": "blue",
    "#ffd9b8": "orange",
    "#c9f2cf": "green",
    "#ffd6e0": "pink",
    "#cfcfcf": "gray",
}
"""Pale backgrounds, with the asked-for colour that each is nearest to."""
FULL = {
    "#ffe600": "yellow",
    "#2a6fdb": "blue",
    "#28a745": "green",
    "#202020": "black",
    "#7a7a7a": "gray",
    "#ff9a1f": "orange",
}

_CLOSE = (
    {"red", "brown"},
    {"red", "orange"},
    {"orange", "brown"},
    {"orange", "yellow"},
    {"red", "pink"},
    {"purple", "blue"},
)


def far_apart(color: str, others: set[str]) -> bool:
    """Whether a colour is not even close to any of the others."""
    return all({color, other} not in _CLOSE for other in others)
