"""Whether bytes from a worker are a PNG that nothing can be hidden in, checked without a decoder for pictures.

Nobody else may open what a worker sent before this has looked at it: other decoders (Pillow tries many) guess formats, start
programs for some, and raise what they like.
"""

from __future__ import annotations

import struct
import zlib

from sgpbench.svg.frames import FrameError

__all__ = ["MAX_PIXELS", "require_plain_png"]

MAX_PIXELS = 360_000_000
"""More than a worker has memory for."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = b"\x08\x02\x00\x00\x00"
_STEP = 1 << 20


def require_plain_png(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG as our workers write it: RGB, eight bits, not interlaced, and complete.

    Raises:
        FrameError: it is anything else.
    """
    chunks = _chunks(data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or bytes(chunks[0][1][8:]) != _RGB:
        raise FrameError("a picture that is no RGB PNG")
    width, height = struct.unpack(">II", chunks[0][1][:8])
    if not 0 < width * height <= MAX_PIXELS:
        raise FrameError(f"a picture of {width} by {height} pixels")
    kinds = [kind for kind, _ in chunks[1:]]
    if kinds[-1:] != [b"IEND"] or set(kinds[:-1]) != {b"IDAT"}:
        raise FrameError("a picture with parts that we do not write")
    _require_rows([body for kind, body in chunks if kind == b"IDAT"], 3 * width + 1, height)
    return width, height


def _chunks(data: bytes) -> list[tuple[bytes, memoryview]]:
    if not data.startswith(_SIGNATURE):
        raise FrameError("a picture that is no PNG")
    found: list[tuple[bytes, memoryview]] = []
    view, position = memoryview(data), len(_SIGNATURE)
    while position < len(data):
        if position + 12 > len(data):
            raise FrameError("a picture that is cut off")
        length = int.from_bytes(view[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise FrameError("a picture that is damaged")
        found.append((bytes(view[position + 4 : position + 8]), view[position + 8 : end - 4]))
        position = end
    return found


def _require_rows(bodies: list[memoryview], row: int, rows: int) -> None:
    """Inflates in steps: exactly as many bytes as the rows need, each row with a filter that exists."""
    inflater = zlib.decompressobj()
    seen = 0
    try:
        for body in bodies:
            pending = bytes(body)
            while pending and not inflater.eof:
                piece = inflater.decompress(pending, _STEP)
                pending = inflater.unconsumed_tail
                if any(filtered > 4 for filtered in piece[-seen % row :: row]):
                    raise FrameError("a picture with filters that do not exist")
                seen += len(piece)
                if seen > row * rows:
                    raise FrameError("a picture with too many rows")
    except zlib.error:
        raise FrameError("a picture that is damaged") from None
    if seen != row * rows or not inflater.eof or inflater.unused_data:
        raise FrameError("a picture with too few rows")
