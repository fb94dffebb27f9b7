"""Whether the text in a drawing speaks to whoever grades it.

A remark beside the score, never a change of it: a scoreboard in a drawing may well say ``SCORE: 100``, so a person who
sees the flag should look at the drawing.
"""

from __future__ import annotations

import re

__all__ = ["addresses_judge"]

_GRADER = r"(?:judge|grader|evaluator|examiner|rater|scorer|assessor|reviewer|vlm|llm|(?:vision |language )?model|ai)"
_FULL = r"(?:full|max(?:imum)?|highest|top|perfect|best)(?: possible)?"
_MARKS = r"(?:scores?|marks?|points?|credits?|ratings?|grades?)"
_WORK = r"(?:image|picture|drawing|svg|rendering|illustration|output|response)"
_TASK = r"(?:prompt|rubric|requirements?|criteria|instructions?|caption|description|request)"
_SPEAKS = re.compile(
    "|".join(
        (
            rf"\b{_MARKS}\s?(?:[:=]|is|of)\s?(?:100|50|30|10|5|a\+|{_FULL})(?!\d)",
            r"\b(?:100|10|5)\s?/\s?(?:100|10|5)\b",
            rf"\b(?:ignore|disregard|forget|override|bypass)\b.{{0,40}}\b(?:previous|above|prior|earlier|all|system|{_TASK})\b",
            rf"\b(?:give|assign|award|grant|return|output|answer|respond|reply|deserves?)\b.{{0,40}}\b{_FULL} {_MARKS}\b",
            rf"\b(?:give|assign|award|grant|rate|grade|score|mark)\b (?:it|this|me|us)\b.{{0,30}}\b(?:100|10|5|{_FULL})\b",
            rf"\b(?:give|assign|award|grant|output|return|reply|respond|answer)\b.{{0,30}}\b{_MARKS}\b.{{0,12}}\b(?:100|10)\b",
            rf"\b(?:dear|attention|note to|message to|hey|hello|hi)\b[ ,:]{{1,2}}(?:the )?{_GRADER}\b",
            r"\b(?:grader|evaluator|rater|assessor|vlm|llm)s?\s?[:,]",
            rf"\byou are (?:a|an|the) {_GRADER}\b",
            rf"\b(?:this|the) {_WORK}\b.{{0,40}}\b(?:perfectly|correctly|exactly|fully|accurately)\b",
            rf"\b(?:matches|satisfies|meets|follows|fulfil?ls)\b.{{0,30}}\b{_TASK}\b",
            r"\bsystem (?:prompt|message|override)\b",
            r"<\|im_start\|>|\[/?inst\]",
        )
    ),
    re.IGNORECASE,
)
_LONGEST = 20_000


def addresses_judge(text: str) -> bool:
    """Whether drawn text reads like an instruction or a verdict to a grader; its first 20,000 characters are read."""
    return _SPEAKS.search(" ".join(text[:_LONGEST].split())) is not None
