"""Takes the program out of a reply, by the rule of the protocol.

All rules are linear in the length of the text: each looks for fixed tokens and never goes back. Nothing is parsed here;
whether what was found is SVG at all is decided in the sandbox.

``last-complete`` (``v1``)
    What stands after the last ``</think>``, if there is one; in it the last complete ``<svg …>…</svg>`` (or
    ``<svg …/>``) that is not inside another complete one. Code fences and prose need no rule of their own. A start tag
    holds no ``<``, so that a bare mention of ``<svg`` in prose opens nothing; a mention that looks like a whole tag is
    skipped when it is never closed. Comments and CDATA inside a program are not searched. Letter case is ignored, as
    a reader would; XML then refuses ``<SVG>``.
``paper-first``
    From the first ``<svg`` to the first ``</svg>``. Where that stands before it, an empty program, which is never drawn
    and never asked for again.
``paper-answer``
    If the reply ends with ``</answer>`` (to the letter: no line break after it), holds ``</think> <answer>`` and closes
    no text element, only what follows its last ``<answer>``; there, the last of the non-overlapping stretches from
    ``<svg`` and a space to the next ``</svg>``; without one, from the last ``<svg`` to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sgpbench.protocol import Extraction
from sgpbench.records import FinishReason, Outcome

__all__ = ["Extracted", "extract"]

_TOKEN = re.compile(r"<svg(?=[\s/>])|</svg|<!--|<!\[CDATA\[", re.IGNORECASE | re.ASCII)
_OPENING = re.compile(r"<svg(?:[\s/>]|\Z)", re.IGNORECASE | re.ASCII)
# Possessive throughout, so that a tag is read once, whatever is wrong with it.
_TAG_REST = re.compile(r"""(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>""")
_CLOSED_BY = {"<!--": "-->", "<![cdata[": "]]>"}
_TEXT_ENDS = ("</text>", "</tspan>", "</textPath>")


@dataclass(frozen=True, slots=True)
class Extracted:
    """``ok`` and a program, or one of ``refused``, ``truncated``, ``malformed``, ``no_svg`` and none."""

    outcome: Outcome
    program: str | None


def extract(text: str, finish_reason: FinishReason, rule: Extraction) -> Extracted:
    """The program in a reply, or what the reply is instead.

    Under ``last-complete`` a refusal by the provider comes before all else; the paper's rules know no refusals, so there
    it only names a reply that holds no program.
    """
    if rule == "last-complete":
        if finish_reason is FinishReason.REFUSAL:
            return Extracted(Outcome.REFUSED, None)
        text = text[text.rfind("</think>") + len("</think>") :] if "</think>" in text else text
        program = _last_complete(text)
    elif rule == "paper-first":
        program = _first(text)
    else:
        text = _answer(text)
        program = _last_or_open(text)
    if program is not None:
        return Extracted(Outcome.OK, program)
    return Extracted(_without_program(text, finish_reason), None)


def _without_program(text: str, finish_reason: FinishReason) -> Outcome:
    if finish_reason is FinishReason.REFUSAL:
        return Outcome.REFUSED
    if finish_reason is FinishReason.LENGTH:
        return Outcome.TRUNCATED
    return Outcome.MALFORMED if _OPENING.search(text) else Outcome.NO_SVG


# --- last-complete -------------------------------------------------------------------------------------------------


def _last_complete(text: str) -> str | None:
    last: tuple[int, int] | None = None
    for start, end in _complete_spans(text):
        # Spans come in the order of their ends: one that starts earlier holds the one before.
        last = (start, end)
    return text[last[0] : last[1]] if last else None


def _complete_spans(text: str) -> Iterator[tuple[int, int]]:
    """Every element that is opened and closed, nested ones before those that hold them."""
    open_at: list[int] = []
    endless: set[str] = set()
    position = 0
    while match := _TOKEN.search(text, position):
        token = match.group().lower()
        position = match.end()
        if token == "<svg":
            end = _tag_end(text, position)
            if end is None:
                continue
            position = end
            if text[end - 2] == "/":
                yield match.start(), end
            else:
                open_at.append(match.start())
        elif token == "</svg":
            end = _closing_end(text, position)
            if end is not None and open_at:
                position = end
                yield open_at.pop(), end
        elif open_at and token not in endless:
            closing = _CLOSED_BY[token]
            found = text.find(closing, position)
            if found < 0:
                endless.add(token)
            else:
                position = found + len(closing)


def _tag_end(text: str, position: int) -> int | None:
    """Where the start tag ends, past its ``>``; ``None`` if another ``<`` or the end of the text comes first.

    A ``>`` inside a quoted value does not end the tag, unless the quotes never close.
    """
    if match := _TAG_REST.match(text, position):
        return match.end()
    limit = text.find("<", position)
    end = text.find(">", position, limit if limit >= 0 else len(text))
    return end + 1 if end >= 0 else None


def _closing_end(text: str, position: int) -> int | None:
    """Where ``</svg`` ends, past its ``>``; white space may stand before that."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position + 1 if text[position : position + 1] == ">" else None


# --- the paper's rules ---------------------------------------------------------------------------------------------


def _first(text: str) -> str | None:
    start, end = text.find("<svg"), text.find("</svg>")
    return text[start : end + len("</svg>")] if start >= 0 and end >= 0 else None


def _answer(text: str) -> str:
    well_formed = "</think> <answer>" in text and text.endswith("</answer>")
    if not well_formed or any(tag in text for tag in _TEXT_ENDS):
        return text
    return text[text.rfind("<answer>") + len("<answer>") :].replace("</answer>", "")


def _last_or_open(text: str) -> str | None:
    found: tuple[int, int] | None = None
    position = 0
    while (start := text.find("<svg ", position)) >= 0:
        end = text.find("</svg>", start)
        if end < 0:
            break
        position = end + len("</svg>")
        found = (start, position)
    if found:
        return text[found[0] : found[1]]
    start = text.rfind("<svg")
    return text[start:].strip() if start >= 0 else None
