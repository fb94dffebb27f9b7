"""Colour names: which of them a pixel shows.

A pixel has the name of the nearest example in CIELAB (CIE 1976 distance). The examples are the shades that people and
models use for a name: CSS keywords and the palettes of common design systems. Names that no caption uses (cyan, coral
...) take the shades that are not clearly one of the ten.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["BACKGROUND", "NAMES", "color_names", "lab", "named_lab"]

_EXAMPLES = {
    "white": "ffffff fafafa f5f5f5 f0f0f0 eeeeee e8e8e8 e0e0e0 "
    "fffff0 f8f9fa f0f8ff fffaf0 e5e7eb fefefe eeeeff fff5f5 f5fff5 f1f5f9 fffbf0",
    "red": "ff0000 e60000 cc0000 b30000 a00000 8b0000 dc143c e74c3c c0392b ff4136 d32f2f f44336 c62828 b71c1c ff3333 "
    "ff4444 ff5252 ff6b6b b22222 ef4444 dc2626 b91c1c e63946 d62828 ff0033 ee3333 e53935",
    "orange": "ffa500 ff8c00 ff7f00 f39c12 e67e22 ff9800 fb8c00 f57c00 ff851b f97316 fd7e14 ff6600 ffb347 d35400 e65100 "
    "ff6f00 ea580c ff9933 ffa726 fb923c ffb300",
    "yellow": "ffff00 ffd700 f1c40f ffeb3b fdd835 ffdc00 ffe600 facc15 fde047 eab308 f4d03f fcd34d ffea00 ffc107 e6e600 "
    "ffff66 ffef00 fff176 ffee58 f9e79f f7dc6f ffcc00",
    "green": "008000 00ff00 228b22 2ecc71 27ae60 4caf50 00a000 32cd32 3cb371 2e8b57 006400 00b300 388e3c 43a047 66bb6a "
    "2ecc40 22c55e 16a34a 15803d 166534 10b981 1e8449 00cc00 55a630 6ab04c 90ee90 34a853 28a745 2e7d32 1b5e20 4ade80",
    "blue": "0000ff 0000cd 00008b 000080 4169e1 1e90ff 3498db 2980b9 2196f3 1976d2 0d47a1 007bff 4a90e2 3b82f6 2563eb "
    "1d4ed8 1e40af 0074d9 0066cc 4285f4 5dade2 6495ed 4682b4 3366ff 0000aa 1565c0 191970 60a5fa 1e88e5 42a5f5",
    "purple": "800080 9b59b6 8e44ad 6a0dad a020f0 9c27b0 7b1fa2 8a2be2 9400d3 9932cc 663399 6f42c1 7c3aed a855f7 8b5cf6 "
    "b10dc9 9333ea 4a148c 6a1b9a ba55d3 9370db 673ab7 5e35b1 7e22ce 6b21a8 4b0082 8b008b 6c3483",
    "pink": "ffc0cb ffb6c1 ff69b4 ff1493 ec4899 e91e63 f06292 ff80ab f8bbd0 f48fb1 ffa6c9 fd79a8 e84393 ff85a2 f78fb3 "
    "db7093 ff99cc f472b6 f9a8d4 ffaec9 ec407a",
    "brown": "a52a2a 8b4513 a0522d 795548 6d4c41 5d4037 964b00 8b5a2b 654321 7b3f00 6f4e37 8d6e63 4e342e 92400e 78350f "
    "7f5539 cd853f d2691e 5c4033 b5651d 855e42 a0522d 6b4226 3e2723",
    "gray": "808080 888888 999999 777777 a9a9a9 696969 666666 95a5a6 7f8c8d 9e9e9e 757575 616161 b0b0b0 c0c0c0 d3d3d3 "
    "bdbdbd 6c757d adb5bd 6b7280 9ca3af 555555 8c8c8c cccccc 708090",
    "black": "000000 0a0a0a 111111 1a1a1a 222222 2c2c2c 333333 212121 111827 1f2937",
    "maroon": "660000 5a0f1c",
    "cyan": "00ffff 00bcd4 00e5ff 40e0d0 48d1cc 1abc9c 17a2b8 7fffd4",
    "teal": "008080 009688 16a085 20b2aa",
    "light blue": "87ceeb 87cefa add8e6 b0e0e6 90caf9 bbdefb e0f7fa d6eaf8",
    "magenta": "ff00ff ee82ee da70d6 d500f9 c71585 dda0dd",
    "lavender": "e6e6fa d8bfd8 d1c4e9",
    "coral": "ff7f50 fa8072 f08080 ffa07a e9967a",
    "orange-red": "ff4500 ff5722",
    "olive": "808000 6b8e23 556b2f 9acd32",
    "lime": "7fff00 adff2f c6ff00 ccff00",
    "tan": "d2b48c deb887 c19a6b f4a460 bdb76b",
    "cream": "f5f5dc f5deb3 ffe4c4 ffefd5 fff8dc ffdab9 ffe4e1 fde2e4 faebd7 f0e68c fff9c4",
    "mint": "98ff98 98fb98 c8e6c9 d5f5e3",
    "slate": "2c3e50 34495e 2f4f4f 475569 37474f",
}

NAMES = tuple(_EXAMPLES)
BACKGROUND = NAMES.index("white")


def color_names(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The index into ``NAMES`` of every pixel; ``(h, w, 3)`` in, ``(h, w)`` out."""
    return _table().take(_codes(pixels))


def lab(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """CIELAB (D65) of sRGB pixels in steps of 8 levels; ``(..., 3)`` in and out."""
    return _lab_table().take(_codes(pixels), axis=0)


def named_lab(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """CIELAB of sRGB colours, ``(n, 3)``, unrounded (D65, 2 degrees)."""
    linear = rgb.astype(np.float64) / 255.0
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    values = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return values.astype(np.float32)


def _codes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """Five bits per channel: an index into the tables."""
    packed = cv2.cvtColor(np.ascontiguousarray(pixels).reshape(1, -1, 3), cv2.COLOR_RGB2BGR555)
    return packed.view(np.uint16).reshape(pixels.shape[:-1])


@cache
def _lab_table() -> npt.NDArray[np.float32]:
    codes = np.arange(32768, dtype=np.uint16)
    steps = np.stack([codes >> 10, (codes >> 5) & 31, codes & 31], axis=-1)
    return named_lab(np.rint(steps * (255 / 31)).astype(np.uint8))


@cache
def _table() -> npt.NDArray[np.uint8]:
    """The name of each of the 32,768 colours, shape ``(32768,)``."""
    owners = [index for index, text in enumerate(_EXAMPLES.values()) for _ in text.split()]
    rgb = np.array([list(bytes.fromhex(code)) for text in _EXAMPLES.values() for code in text.split()], np.uint8)
    colors, examples = _lab_table(), named_lab(rgb)
    distance = (colors**2).sum(1)[:, None] - 2 * colors @ examples.T + (examples**2).sum(1)[None, :]
    return np.asarray(np.array(owners, np.uint8)[distance.argmin(1)], np.uint8)
