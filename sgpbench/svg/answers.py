"""What a worker says of one program, as a record; whatever a worker of ours would not say is an error of the frame.

A worker may have been taken over by the program that it holds, so each value is checked for its type and its range.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from sgpbench.records import Flag, Outcome
from sgpbench.svg.frames import FrameError
from sgpbench.svg.pictures import require_plain_png
from sgpbench.svg.structure import MEASURES

if TYPE_CHECKING:
    from sgpbench.records import Json

__all__ = ["Rendered", "failed", "rendered"]

_OUTCOMES = frozenset({Outcome.OK, Outcome.RENDER_ERROR, Outcome.RENDER_CRASH, Outcome.SCORER_ERROR})
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]+")
_LONGEST_MESSAGE = 400
_Word = TypeVar("_Word", Flag, Outcome)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of one program."""

    outcome: Outcome
    """``ok``, ``render_error``, ``render_timeout``, ``render_crash``; or ``scorer_error``, a fault of our own code."""
    program: str | None = None
    """As rendered, after repair and cleaning; ``None`` where it could not be parsed."""
    png: bytes | None = None
    """RGB, on the protocol's background; there exactly if the outcome is ``ok``."""
    png_without_text: bytes | None = None
    """The same with all text elements taken out, where the program has any."""
    flags: frozenset[Flag] = frozenset()
    structure: Mapping[str, float] = field(default_factory=dict)
    """``sgpbench.svg.structure.MEASURES``, wherever the program could be parsed."""
    width: int | None = None
    height: int | None = None
    message: str | None = None
    """Why it is not ``ok``."""
    seconds: float = 0.0


def rendered(answers: Mapping[bytes, bytes]) -> Rendered:
    """All frames that a worker sent for one program, the last (``R``) among them.

    Raises:
        FrameError: they are not what our worker sends.
    """
    answer = _object(answers[b"R"])
    outcome = _one_of(Outcome, answer.get("outcome"))
    seconds = _number(answer.get("seconds"))
    if outcome not in _OUTCOMES:
        raise FrameError(f"a worker that says {outcome.value}")
    if outcome is not Outcome.OK:
        return failed(outcome, answers, _line(answer.get("message")), seconds)
    if b"C" not in answers or b"P" not in answers:
        raise FrameError("an answer without a program or a picture")
    program, flags, structure = _cleaned(answers[b"C"])
    size = require_plain_png(answers[b"P"])
    if (answer.get("width"), answer.get("height")) != size or not isinstance(answer.get("blank"), bool):
        raise FrameError("a picture of another size than is said")
    if b"T" in answers:
        require_plain_png(answers[b"T"])
    return Rendered(
        outcome,
        program,
        answers[b"P"],
        answers.get(b"T"),
        flags | {Flag.BLANK} if answer["blank"] else flags,
        structure,
        *size,
        None,
        seconds,
    )


def failed(outcome: Outcome, answers: Mapping[bytes, bytes], message: str, seconds: float) -> Rendered:
    """A program without a picture, with what was learned of it before.

    Raises:
        FrameError: what was said of it is not what our worker says.
    """
    program, flags, structure = _cleaned(answers[b"C"]) if b"C" in answers else (None, frozenset[Flag](), {})
    return Rendered(outcome, program, flags=flags, structure=structure, message=message, seconds=seconds)


def _cleaned(payload: bytes) -> tuple[str, frozenset[Flag], dict[str, float]]:
    cleaned = _object(payload)
    program, flags, structure = cleaned.get("program"), cleaned.get("flags"), cleaned.get("structure")
    if not isinstance(program, str) or not isinstance(flags, list) or not isinstance(structure, dict):
        raise FrameError("a cleaned program that is none")
    try:
        program.encode()
    except UnicodeEncodeError:
        raise FrameError("a cleaned program with surrogates") from None
    if structure.keys() != MEASURES.keys():
        raise FrameError("measures that we do not take")
    measures = {name: _number(value) for name, value in structure.items()}
    return program, frozenset(_one_of(Flag, flag) for flag in flags), measures


def _object(payload: bytes) -> dict[str, Json]:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise FrameError("a frame that is no JSON") from None
    if not isinstance(value, dict):
        raise FrameError("a frame that is no JSON object")
    return value


def _one_of(kind: type[_Word], value: Json) -> _Word:
    try:
        return kind(value if isinstance(value, str) else "")
    except ValueError:
        raise FrameError(f"a word that is no {kind.__name__.lower()}") from None


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf or value > 1e15:
        raise FrameError("a number that is none, or out of range")
    return float(value)


def _line(value: Json) -> str:
    if not isinstance(value, str):
        raise FrameError("a message that is no text")
    return _UNPRINTABLE.sub(" ", value[:_LONGEST_MESSAGE])
