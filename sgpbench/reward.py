"""Scoring as a reward for reinforcement learning: the benchmark's own extraction, sandbox and encoders.

``SVGReward`` has the signature that TRL's ``GRPOTrainer`` calls::

    from sgpbench.reward import SVGReward

    reward = SVGReward(text_weight=1.0, image_weight=0.5, gate=-1.0)
    trainer = GRPOTrainer(model=..., reward_funcs=[reward], train_dataset=...)

The data set has a column ``caption`` and, where ``image_weight`` is not 0, a column ``reference`` (an SVG program, or the
path of a picture). A completion that holds no SVG, or one that does not render, gets ``gate``; any other the weighted sum
of the cosines between caption and drawing (SigLIP by default, the reward of arXiv 2509.05208) and between reference and
drawing (DINOv2). What is not the model's fault (an encoder that runs out of memory) raises, and is never a reward.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from sgpbench.errors import DataError, MetricUnavailable, RendererError, UsageError
from sgpbench.metrics.embedder import Embedder
from sgpbench.metrics.embedding_cache import MemoryCache
from sgpbench.metrics.encoder_host import EncoderHost
from sgpbench.metrics.encoder_metric import cosine, encoder_spec, mean
from sgpbench.metrics.encoding import Encoders, EncoderSpec, ImageItem, Unreadable, Vector
from sgpbench.metrics.references import ReferencePictures
from sgpbench.metrics.weights import WEIGHTS, require
from sgpbench.paths import cache_dir
from sgpbench.protocol import load_protocol
from sgpbench.records import FinishReason, Json, Reference
from sgpbench.svg.extract import extract
from sgpbench.svg.sandbox import Sandbox

__all__ = ["Completion", "SVGReward"]

Completion: TypeAlias = str | Sequence[Mapping[str, object]]
"""What a trainer passes for one sample: its text, or a list of chat messages, of which the last one counts."""


class SVGReward:
    """A reward function over batches; equal rewards whatever the batch. Close it, or use it in a ``with`` block.

    Args:
        text_weight: of the cosine between caption and drawing; 0 leaves it out.
        image_weight: of the cosine between reference and drawing; 0 leaves it out.
        gate: what a completion gets that gives no drawing.
        text_encoders: names of weights (``clip-vit-b-32``, ``siglip-base-patch16-384`` ...) whose cosines are averaged.
        image_encoders: the same for the reference (``dinov2-small`` ...).
        protocol: whose extraction, repair and renderer are used.
        task: whose rules of that protocol, where tasks differ.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        own_process: runs the encoders in a process of their own instead of the trainer's.
        render_workers: processes that render; by default one per core.

    Raises:
        UsageError: no weight, or an unknown encoder. MetricUnavailable: packages or weights are missing.
    """

    def __init__(
        self,
        *,
        text_weight: float = 1.0,
        image_weight: float = 0.0,
        gate: float = 0.0,
        text_encoders: Sequence[str] = ("siglip-base-patch16-384",),
        image_encoders: Sequence[str] = ("dinov2-base",),
        protocol: str = "v1",
        task: str = "object",
        device: str = "auto",
        own_process: bool = False,
        render_workers: int | None = None,
    ) -> None:
        if not text_weight and not image_weight:
            raise UsageError("A reward needs a text_weight or an image_weight.")
        self.__name__ = "svg_reward"
        self._text_weight, self._image_weight, self._gate = text_weight, image_weight, gate
        rules = load_protocol(protocol)
        self._extraction = rules.generation.rule(task).extraction
        self._text_specs = _specs(text_encoders, ("open_clip", "siglip")) if text_weight else ()
        self._image_specs = _specs(image_encoders, ("dinov2", "open_clip", "siglip")) if image_weight else ()
        self._embedder = Embedder(_encoders(device, own_process=own_process), MemoryCache())
        self._references = ReferencePictures(cache_dir(), rules.scoring.renderer)
        self._sandbox = Sandbox(rules.scoring.renderer, rules.generation.rule(task).repair, workers=render_workers)
        self.identity: Mapping[str, Json] = {
            "protocol": protocol,
            "text_weight": text_weight,
            "image_weight": image_weight,
            "gate": gate,
            "text_encoders": [spec.key for spec in self._text_specs],
            "image_encoders": [spec.key for spec in self._image_specs],
        }
        """All that decides the rewards, for a training log."""

    def __call__(self, prompts: Sequence[object], completions: Sequence[Completion], **columns: object) -> list[float]:
        """One reward per completion, in their order.

        Args:
            prompts: not read; the words to compare with are in the column ``caption``.
            completions: texts, or lists of chat messages.
            columns: the data set's columns, each a list as long as ``completions``: ``caption``, ``reference``.

        Raises:
            UsageError: a column that is needed is missing or has another length.
            DataError: a reference cannot be read or rendered.
            EncoderError: the encoders cannot be used. RendererError: nor can the sandbox.
        """
        captions = [str(one) for one in _column(columns, "caption", len(completions))] if self._text_specs else []
        against = _column(columns, "reference", len(completions)) if self._image_specs else []
        with tempfile.TemporaryDirectory(prefix="sgpbench-reward-") as folder:
            drawings = self._drawings([_text(completion) for completion in completions], Path(folder))
            valid = sorted(drawings)
            rewards = [self._gate] * len(completions)
            views = self._seen(self._text_specs, [drawings[index] for index in valid])
            if self._text_specs:
                words = self._embedder.texts(self._text_specs, [captions[index] for index in valid])
                for index, caption, view in zip(valid, words, views, strict=True):
                    rewards[index] = self._text_weight * _near(caption, view)
            if self._image_specs:
                views = self._seen(self._image_specs, [drawings[index] for index in valid])
                references = self._seen(self._image_specs, self._pictures([against[index] for index in valid]))
                for index, reference, view in zip(valid, references, views, strict=True):
                    start = rewards[index] if self._text_specs else 0.0
                    rewards[index] = start + self._image_weight * _near(reference, view)
        return rewards

    def _drawings(self, texts: Sequence[str], folder: Path) -> dict[int, Path]:
        """The rendering of each text that gives one, by its place."""
        programs = [extract(text, FinishReason.STOP, self._extraction).program for text in texts]
        futures = {program: self._sandbox.submit(program) for program in programs if program is not None}
        files: dict[str, Path] = {}
        for number, (program, future) in enumerate(futures.items()):
            rendered = future.result()
            if rendered.outcome.is_ours:
                raise RendererError(f"A program could not be drawn through no fault of its own: {rendered.message}")
            if (png := rendered.png) is not None:
                files[program] = folder / f"{number}.png"
                files[program].write_bytes(png)
        return {index: files[program] for index, program in enumerate(programs) if program in files}

    def _pictures(self, references: Sequence[object]) -> list[Path]:
        found = self._references.paths([_reference(one) for one in references])
        for one in found:
            if isinstance(one, Unreadable):
                raise DataError(f"A reference cannot be used: {one.message}.")
        return [one for one in found if not isinstance(one, Unreadable)]

    def _seen(self, specs: Sequence[EncoderSpec], files: Sequence[Path]) -> list[tuple[Vector, ...]]:
        rows = self._embedder.images(specs, [ImageItem(file) for file in files])
        seen = []
        for row in rows:
            vectors = []
            for vector in row:
                if isinstance(vector, Unreadable):
                    raise DataError(f"A picture cannot be used: {vector.message}.")
                vectors.append(vector)
            seen.append(tuple(vectors))
        return seen

    def close(self) -> None:
        """Ends the rendering processes and lets the encoders go."""
        self._sandbox.close()
        self._references.close()
        self._embedder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _specs(names: Sequence[str], families: Sequence[str]) -> tuple[EncoderSpec, ...]:
    usable = [source.name for source in WEIGHTS.values() if source.family in families]
    for name in names:
        if name not in usable:
            raise UsageError(f"'{name}' is no encoder for this.", remedy=f"There are {', '.join(usable)}.")
    found = require("A reward", names, cache_dir(), fetch=" ".join(names))
    return tuple(encoder_spec(weights, fit=weights.name.startswith("hps")) for weights in found)


def _encoders(device: str, *, own_process: bool) -> Encoders:
    if own_process:
        return EncoderHost(device)
    try:
        from sgpbench.metrics.encoder_engine import Engine
    except ImportError as error:
        raise MetricUnavailable(
            f"A reward needs the package {error.name}.", remedy="Install it: pip install 'sgpbench[metrics]'"
        ) from error
    return Engine(device)


def _column(columns: Mapping[str, object], name: str, length: int) -> list[object]:
    values = columns.get(name)
    if not isinstance(values, list | tuple) or len(values) != length:
        raise UsageError(
            f"The reward needs the column '{name}' with one value per completion.",
            remedy=f"Add a column '{name}' to the data set of the trainer.",
        )
    return list(values)


def _text(completion: Completion) -> str:
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    return content if isinstance(content, str) else ""


def _reference(value: object) -> Reference:
    if isinstance(value, str) and "<svg" in value:
        return Reference(svg=value)
    if isinstance(value, str | Path):
        return Reference(image=Path(value))
    raise UsageError("A reference is an SVG program or the path of a picture.")


def _near(left: Sequence[Vector], right: Sequence[Vector]) -> float:
    return mean([cosine(one, other) for one, other in zip(left, right, strict=True)])
