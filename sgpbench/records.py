"""The words of the benchmark as typed records: prompts, requests, completions, outcomes, drawings and scores.

Plain frozen dataclasses that pass between the stages; nothing here does work. The words are defined in the README's
glossary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = [
    "HARNESS_OUTCOMES",
    "MODEL_OUTCOMES",
    "Column",
    "Completion",
    "Drawing",
    "Failure",
    "FinishReason",
    "Flag",
    "ImagePart",
    "Json",
    "Message",
    "Outcome",
    "Part",
    "Prompt",
    "Question",
    "Reference",
    "Request",
    "RubricPart",
    "Sampling",
    "Score",
    "Slice",
    "TextPart",
    "Usage",
]

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Outcome(StrEnum):
    """What became of one sample.

    The first eight are the model's doing: they count in every denominator. The last three are ours (or a provider's):
    they are never scored, never count against a model, and are retried.
    """

    OK = "ok"
    NO_SVG = "no_svg"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    REFUSED = "refused"
    RENDER_ERROR = "render_error"
    RENDER_TIMEOUT = "render_timeout"
    RENDER_CRASH = "render_crash"
    API_ERROR = "api_error"
    JUDGE_ERROR = "judge_error"
    SCORER_ERROR = "scorer_error"

    @property
    def is_ours(self) -> bool:
        """Whether this outcome says nothing about the model."""
        return self in HARNESS_OUTCOMES


HARNESS_OUTCOMES = frozenset({Outcome.API_ERROR, Outcome.JUDGE_ERROR, Outcome.SCORER_ERROR})
MODEL_OUTCOMES = frozenset(Outcome) - HARNESS_OUTCOMES


class Flag(StrEnum):
    """A remark beside an outcome; it never changes a score by itself."""

    BLANK = "blank"
    """The rendering has a single colour."""
    HAS_TEXT = "has_text"
    HAS_RASTER = "has_raster"
    HAS_EXTERNAL_REF = "has_external_ref"
    HAS_SCRIPT = "has_script"
    REPAIRED = "repaired"
    """The program was changed by the protocol's repair step before it was rendered."""
    ADDRESSES_JUDGE = "addresses_judge"
    """The drawing's text reads like an instruction to whoever grades it."""


class FinishReason(StrEnum):
    """Why a model stopped, in one vocabulary for all providers."""

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"
    """Set only when the provider itself says so; no keyword in the text ever decides it."""
    OTHER = "other"


# --- prompts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """One multiple-choice question about an image (TIFA: Hu et al., 2023)."""

    id: str
    text: str
    choices: tuple[str, ...]
    answer: str
    kind: str
    """The element type the question asks about: object, color, counting, spatial, ..."""
    answer_added: bool = False
    """The expected answer was not among the published choices and was put last, so that it can be given at all. The
    released code can never count such a question as answered; ``paper`` scores it 0."""


@dataclass(frozen=True, slots=True)
class RubricPart:
    """One question to a judge: which rubric of the protocol, and the values its template takes."""

    id: str
    """Unique within the prompt: ``binding``, ``relation``, ``total``, ``items``, ``count.1`` ..."""
    rubric: Literal["binding", "relation", "total", "items", "count"]
    values: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a drawing is compared with: a picture file or an SVG program. Exactly one is set.

    ``missing`` names the data set to fetch where the reference is known of but not here.
    """

    image: Path | None = None
    svg: str | None = None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One item of a task."""

    id: str
    """Stable, readable, unique within task and split."""
    caption: str
    category: str
    """``major`` or ``major/minor``; means are reported for every level."""
    cluster: str
    """Prompts that are not independent share a cluster; intervals and tests resample clusters."""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    reference: Reference | None = None
    questions: tuple[Question, ...] = ()
    rubric: tuple[RubricPart, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What the request must show beside the caption: each takes the place of its ``{name}`` in the protocol's words."""

    @property
    def traits(self) -> frozenset[str]:
        """What the prompt carries for metrics: ``reference``, ``questions``, ``question:<kind>``, ``rubric``,
        ``rubric:<rubric>``, and the name of each mapping in ``metadata``
        (a specification, such as the ``scene`` of ``shapes``).
        """
        found = {f"question:{question.kind}" for question in self.questions} | {
            f"rubric:{part.rubric}" for part in self.rubric
        }
        found |= {"questions"} if self.questions else set()
        found |= {"rubric"} if self.rubric else set()
        found |= {"reference"} if self.reference is not None else set()
        found |= {name for name, value in self.metadata.items() if isinstance(value, Mapping)}
        return frozenset(found)


# --- asking a model ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    data: bytes
    media_type: str
    """``image/png`` or ``image/jpeg``."""


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a model is to sample; ``None`` leaves a value to the provider."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    """Most output tokens, reasoning included."""
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    """Whether a matched stop string stays at the end of the text."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model: either ``messages`` or raw ``text``, for ``len(seeds)`` samples."""

    sampling: Sampling
    messages: tuple[Message, ...] = ()
    text: str | None = None
    seeds: tuple[int, ...] = (0,)
    """One seed per wanted sample (63-bit). Their number is how many completions are wanted."""
    prompt_id: str = ""
    """For logs, ``replay`` and test models; never sent."""
    samples: tuple[int, ...] = (0,)
    """The sample index that belongs to each seed; for ``replay``, never sent."""
    caption: str = ""
    """The prompt's own words, for the baselines, which read nothing else; never sent."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one sample; ``None`` where the provider does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    """All output tokens, reasoning included."""
    cached_tokens: int | None = None
    """Those of ``input_tokens`` that were read from a cache."""
    reasoning_tokens: int | None = None
    """Those of ``output_tokens`` that were reasoning."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model returned for one sample."""

    text: str
    finish_reason: FinishReason
    usage: Usage = Usage()
    latency_s: float | None = None
    """Seconds from sending the request that succeeded to its last byte."""
    cost_usd: float | None = None
    """From the model's known price; ``None`` where it is not known."""
    served_by: str | None = None
    """The model's own name for itself in its answer."""
    dropped: tuple[str, ...] = ()
    """Sampling values of the protocol that this model fixes or refuses and that were therefore not sent."""
    refusal: str | None = None
    """The provider's words where it refused."""


# --- scoring -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawing:
    """One sample as a metric sees it. Only samples whose outcome is ``ok`` reach a metric, unless it asks for all."""

    prompt: Prompt
    sample: int
    outcome: Outcome
    program: str | None
    """The SVG as rendered (after cleaning and repair)."""
    rendering: Path | None
    """PNG, RGB, white background."""
    rendering_hash: str | None
    """Identity of the pixels' making: program, renderer, options."""
    flags: frozenset[Flag] = frozenset()
    rendering_without_text: Path | None = None
    """The same with all text taken out of the program, where it had any."""
    structure: Mapping[str, float] = field(default_factory=dict)
    """What ``sgpbench.svg.structure`` measured of the program."""


@dataclass(frozen=True, slots=True)
class Column:
    """One published number of a metric."""

    name: str
    """The metric's name, alone for its headline, else ``metric.part``; an answerer stands in brackets."""
    higher_is_better: bool | None
    """``None`` for descriptive columns that have no better or worse."""
    description: str
    low: float | None = None
    high: float | None = None
    invalid: Literal["zero", "omit"] = "zero"
    """What a sample whose outcome is not ``ok`` counts as: 0, or nothing (descriptive columns)."""
    needs: tuple[str, ...] = ()
    """Traits (``Prompt.traits``) without which a prompt can have no value here; such prompts are never counted as 0."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a metric says of one drawing: a value for each of its columns (where it has one) and its evidence."""

    values: Mapping[str, float]
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one drawing could not be scored, through no fault of the model; it stays pending and is tried again."""

    outcome: Literal[Outcome.JUDGE_ERROR, Outcome.SCORER_ERROR, Outcome.API_ERROR]
    message: str


@dataclass(frozen=True, slots=True)
class Slice:
    """One weighted mean over prompts: which prompts make a published number, and with what weight.

    ``weights`` maps prompt id to a positive weight; prompts left out do not count.
    """

    name: str
    """``overall``, a category such as ``binding`` or ``binding/color``, or a variant such as ``distinct texts``."""
    weights: Mapping[str, float]
    kind: Literal["overall", "category", "variant"] = "category"
