"""What is sent to a judge: the picture as the protocol shows it, the words, and the identity of a request."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from sgpbench.protocol import JudgeRule, canonical_hash
from sgpbench.records import ImagePart, Json, Message, Request, Sampling, TextPart

__all__ = ["CLARIFY", "TooLarge", "derived_seed", "judge_request", "picture", "request_hash"]

CLARIFY = (
    "I could not find your score. Do not look again; give the score that your answer stands for, "
    "as one line and nothing else: SCORE: followed by 100, 50, 30 or 0."
)
"""What a judge is told, once, when its reply holds no score (``judge.clarifying_retries``)."""

_NO_WORDS = "(no answer)"
_JPEG_SIDE = 65_500
_JPEG_QUALITY = 95
_MOST_PIXELS = 178_956_970
"""More than this and Pillow, which the released code uses, refuses to open the picture."""


class TooLarge(ValueError):
    """The rendering cannot be made into the picture that the protocol shows: too many pixels, or a side too long."""


def picture(rendering: Path, form: Literal["png", "jpeg95"]) -> ImagePart:
    """A rendering (a PNG on white) as a judge sees it: its bytes as they are, or as a JPEG of quality 95.

    Made once per drawing and shared by all requests about it.

    Raises:
        TooLarge: it cannot be a JPEG.
        OSError: the file is missing or damaged.
    """
    data = rendering.read_bytes()
    return ImagePart(data, "image/png") if form == "png" else ImagePart(_jpeg(data), "image/jpeg")


def _jpeg(png: bytes) -> bytes:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(png))
        except Image.DecompressionBombError as error:
            raise TooLarge(str(error)) from None
    with image:
        width, height = image.size
        if max(width, height) > _JPEG_SIDE or width * height > _MOST_PIXELS:
            raise TooLarge(f"{width} x {height} pixels are too many for a JPEG")
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def judge_request(
    rule: JudgeRule, words: str, shown: ImagePart, replies: Sequence[str] = (), *, seed: int = 0, prompt_id: str = ""
) -> Request:
    """The request for one rubric part; after ``replies`` without a score, the same conversation and ``CLARIFY``."""
    text = TextPart(words)
    parts = (text, shown) if rule.order == "text-image" else (shown, text)
    messages = [Message("user", parts)]
    if rule.system is not None:
        messages.insert(0, Message("system", (TextPart(rule.system),)))
    for reply in replies:
        # Some providers refuse an empty turn.
        messages.append(Message("assistant", (TextPart(reply if reply.strip() else _NO_WORDS),)))
        messages.append(Message("user", (TextPart(CLARIFY),)))
    return Request(
        sampling=Sampling(temperature=rule.temperature, max_tokens=rule.max_tokens),
        messages=tuple(messages),
        seeds=(seed,),
        prompt_id=prompt_id,
    )


def request_hash(request: Request, model: Mapping[str, Json]) -> str:
    """Identity of all that decides a reply, the seed aside: 32 hex digits.

    ``model`` is the judge's identity. A picture counts by its own hash.
    """
    turns = [[message.role, [_content(part) for part in message.parts]] for message in request.messages]
    sampling = request.sampling
    sent = [turns, sampling.temperature, sampling.top_p, sampling.max_tokens, list(sampling.stop)]
    return canonical_hash([dict(model), sent], 32)


def _content(part: TextPart | ImagePart) -> list[str]:
    if isinstance(part, TextPart):
        return ["text", part.text]
    return [part.media_type, hashlib.sha256(part.data).hexdigest()]


def derived_seed(*origin: str | int) -> int:
    """A seed (63 bits) that depends on all of ``origin`` and nothing else."""
    text = "\x1f".join(str(value) for value in origin)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
