"""Protocols: everything that decides a number besides model and task, read from ``protocols/<name>.toml``.

A protocol has two parts, each with a hash of its own: *generation* (what is asked, how it is sampled, how a program is
taken out of a reply) and *scoring* (renderer, invalid policy, rubrics, how a judge is read). A key enters a hash only
where it is not at its default, so that a new key, whose default is what was done before, moves no number. Unknown keys are
errors, so that a misspelt setting can never be ignored.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sgpbench.errors import ProtocolError, unknown_name
from sgpbench.paths import root_folder

__all__ = [
    "DinoRule",
    "DiversityRule",
    "Extraction",
    "Generation",
    "GenerationRule",
    "HpsRule",
    "InvalidRule",
    "JudgeRule",
    "Protocol",
    "RendererRule",
    "Repair",
    "Scoring",
    "Template",
    "VqaRule",
    "canonical_hash",
    "load_protocol",
    "protocol_names",
]

Extraction = Literal["last-complete", "paper-first", "paper-answer"]
Repair = Literal["namespaces", "none", "lxml-recover"]
InvalidPolicy = Literal["zero", "omit"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Template(_Frozen):
    """Words with placeholders in braces: our own (``text``), or a name in the pinned upstream files (``upstream``).

    Upstream words are data: they are looked up by ``sgpbench.data.templates`` and are never part of this package.
    """

    text: str | None = None
    upstream: str | None = None


class GenerationRule(_Frozen):
    """How one task's prompts are put to a model, and how a program is taken out of the reply."""

    form: Literal["messages", "text"]
    """One user message (with ``system`` before it), or raw text to a completions endpoint."""
    template: Template
    """Takes ``{caption}``."""
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    tries: tuple[int, ...]
    """The limit on output tokens, reasoning included, of each try. A later try is made only when the one before held no
    SVG; most protocols have one try."""
    samples: int
    """Samples per prompt of a complete run."""
    stop: tuple[str, ...] = ()
    keep_stop: bool = False
    extraction: Extraction
    repair: Repair
    chat: ChatRule | None = None
    """Used instead when ``form`` is ``text`` and the model takes only messages."""


class ChatRule(_Frozen):
    """What replaces a raw-text form for models that take only messages."""

    template: Template
    temperature: float | None = None
    tries: tuple[int, ...]


class Generation(_Frozen):
    """Generation rules: ``default``, and per task where a task differs."""

    default: GenerationRule
    tasks: Mapping[str, GenerationRule] = Field(default_factory=dict)

    def rule(self, task: str) -> GenerationRule:
        """The rule of a task by name."""
        return self.tasks.get(task, self.default)


class RendererRule(_Frozen):
    """How a program becomes pixels."""

    name: Literal["resvg", "cairosvg"]
    version: str
    """Pinned; another installed version is an error, never a silent change of pixels."""
    longer_side: int | None = None
    """Pixels of the longer side; ``None`` keeps the drawing's own size."""
    background: str
    timeout_s: float
    memory_mb: int
    max_program_bytes: int
    jpeg: Mapping[str, int] = Field(default_factory=dict)
    """Metrics that see the rendering as a JPEG of this quality."""
    lxml: str | None = None
    """The version of lxml that parses programs, complete or its first parts; ``None`` takes any. Its repairs differ."""
    libxml2: str | None = None
    """The same for the libxml2 that lxml was built with."""


class JudgeRule(_Frozen):
    """How a vision-language model judges a drawing."""

    model: str
    """The judge that ranked results use."""
    order: Literal["text-image", "image-text"]
    system: str | None = None
    temperature: float | None = None
    max_tokens: int
    image: Literal["png", "jpeg95"]
    reading: Literal["last-line", "paper"]
    clarifying_retries: int
    unreadable: Literal["error", "zero"]
    """What a reply without a score becomes: ``judge_error`` (asked again), or the score 0."""
    numeracy: Literal["exact", "truncated"]
    numeracy_weights: tuple[float, float, float]
    """Of ``total``, ``items`` and the mean of ``count`` over nouns."""
    unrendered_parts: Literal["zero", "none"]
    """Whether the parts of a program that does not render count 0 or are absent."""
    unparsed_parts: Literal["zero", "none"]
    """The same for a program that is missing or does not parse."""
    rubrics: Mapping[Literal["binding", "relation", "total", "items", "count"], Template]


class InvalidRule(_Frozen):
    """What samples without a valid drawing count as, and which prompts count at all."""

    default: InvalidPolicy
    metrics: Mapping[str, InvalidPolicy] = Field(default_factory=dict)
    last_of_cluster: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Task → metrics of which only the last prompt of each cluster counts (released code: keyed by photograph)."""

    def policy(self, metric: str) -> InvalidPolicy:
        """The policy of a metric by name."""
        return self.metrics.get(metric, self.default)


class VqaRule(_Frozen):
    """How questions about a drawing are asked and counted."""

    answers: Literal["free-form", "multiple-choice"]
    answerer: str
    """Who answers where none is asked for: ``blip-large``, ``blip-base``, or a model's name."""
    samples: Literal["all", "last-valid"]
    """Whether every sample of a prompt counts, or only its last valid one."""
    unlisted_answers: Literal["offered", "wrong"]
    """An expected answer that is none of the published choices: offered as one more, or never right (released code)."""
    per_prompt: Literal["mean"] = "mean"
    keyed_by: str | None = None
    """See ``metrics.keyed``: under which of a prompt's metadata the questions of several captions are pooled."""
    matching: Literal["normal", "exact"] = "normal"
    """When a free answer is a choice as it stands: case and final periods aside, or only letter by letter."""
    answer_tokens: int = 20
    """Most tokens of a free-form answer of BLIP; the released code's limit of 50 counts the token that starts it."""


class HpsRule(_Frozen):
    """How HPS is joined to prompts, and what of pictures that cannot be embedded."""

    keyed_by: str | None = None
    """As in ``VqaRule``: only the last prompt of a key has a value."""
    too_narrow: Literal["one-pixel", "zero-all"] = "one-pixel"
    """A picture whose shorter side would vanish in the input, or that HPSv2's package fails on otherwise: fitted in all the
    same, at least one pixel wide; or (released code) all drawings of its prompt are 0."""


class DiversityRule(_Frozen):
    """Which prompts count in the mean of diversity."""

    only_positive: bool = False
    """Whether a prompt of identical drawings, whose diversity is 0, has no value (released code)."""


class DinoRule(_Frozen):
    """How a reference is prepared for DINO."""

    squash_reference: bool = False
    """Whether the reference is first resized to 224 × 224 whatever its aspect, in floating point, and cut to whole bytes,
    as the released code does."""


class Scoring(_Frozen):
    """Everything that decides a score once a program is given."""

    renderer: RendererRule
    invalid: InvalidRule
    judge: JudgeRule
    vqa: VqaRule
    dino: DinoRule = DinoRule()
    hps: HpsRule = HpsRule()
    diversity: DiversityRule = DiversityRule()
    metrics: Mapping[str, Annotated[str, Field(min_length=1)]]
    """The version of each metric; the code refuses to score under a version it does not implement."""


class Protocol(_Frozen):
    """A named protocol; ``generation_hash`` and ``scoring_hash`` identify its two parts."""

    name: str
    description: str
    generation: Generation
    scoring: Scoring

    def generation_hash(self, task: str) -> str:
        """Hash of all that decides a task's programs besides the model: 16 hex digits."""
        return canonical_hash(self.generation.rule(task).model_dump(mode="json", exclude_defaults=True))

    @property
    def scoring_hash(self) -> str:
        """Hash of all that decides a score once a program is given: 16 hex digits."""
        return canonical_hash(self.scoring.model_dump(mode="json", exclude_defaults=True))


GenerationRule.model_rebuild()


def canonical_hash(value: object, length: int = 16) -> str:
    """The first ``length`` hex digits of the SHA-256 of a value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def protocol_names() -> list[str]:
    """The names of the protocols that come with the package, sorted."""
    return sorted(path.stem for path in root_folder("protocols").glob("*.toml"))


def load_protocol(name_or_path: str) -> Protocol:
    """The protocol of that name, or in that TOML file.

    Raises:
        UsageError: there is no protocol of that name.
        ProtocolError: the file is not a valid protocol; the message names the file and the key.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else root_folder("protocols") / f"{name_or_path}.toml"
    if not path.is_file():
        raise unknown_name("protocol", name_or_path, protocol_names(), listing="sgpbench run --help")
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        # Through JSON: strict validation takes lists for tuples only there.
        protocol = Protocol.model_validate_json(json.dumps(data))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"{path} is not valid TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"{path}: {where}: {first['msg']}.") from None
    if protocol.name != path.stem:
        raise ProtocolError(f"{path} calls itself '{protocol.name}'; name and file name must agree.")
    return protocol
