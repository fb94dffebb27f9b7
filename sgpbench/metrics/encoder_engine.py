"""Runs encoders: reads pictures ahead in threads, embeds them in batches that fit, and starts over smaller when not.

Imports torch. Used directly where a program already lives with torch (``reward``), else inside the process that
``encoder_host`` starts.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sgpbench.metrics.encoder_models import Answering, Dinov2, LoadedModel, Sentences, load_model
from sgpbench.metrics.encoding import (
    Answered,
    Embedded,
    EmbedImages,
    EmbedTexts,
    EncoderError,
    EncoderSpec,
    ImageItem,
    Reply,
    Request,
    Unreadable,
    Vector,
)
from sgpbench.metrics.preprocess import Preprocessing, decoded, prepared, to_input
from sgpbench.system import available_cores

__all__ = ["Engine", "pick_device"]

_LOG = logging.getLogger(__name__)
_CHUNKS_AHEAD = 2

Read: TypeAlias = NDArray[np.uint8] | Unreadable
Item = TypeVar("Item")
Made = TypeVar("Made")


def pick_device(wanted: str) -> torch.device:
    """The device by name; ``auto`` is the first GPU, else the CPU.

    Raises:
        EncoderError: there is no such device here.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EncoderError(f"The device '{wanted}' cannot be used here: {str(error).splitlines()[0]}") from error
    return device


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Pictures of one request that are being read."""

    ticket: int
    request: Request
    first: int
    reading: tuple[Future[Read], ...]
    last: bool


class Engine:
    """Loaded encoders on one device. Not for several threads at once, save ``call``, which takes turns."""

    def __init__(self, device: str = "auto", *, largest_batch: int | None = None) -> None:
        """``largest_batch`` limits how many pictures are embedded at once; by default 32 on a CPU and 256 on a GPU."""
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        self.device = pick_device(device)
        on_gpu = self.device.type == "cuda"
        self._most = largest_batch or (256 if on_gpu else 32)
        self._batch: dict[str, int] = defaultdict(lambda: min(self._most, 64 if on_gpu else 16))
        self._ceiling: dict[str, int] = defaultdict(lambda: self._most)
        self._chunk = max(self._most, 64)
        self._models: dict[str, LoadedModel] = {}
        self._pool = ThreadPoolExecutor(max_workers=min(16, max(2, available_cores())), thread_name_prefix="read")
        self._turn = threading.Lock()

    def call(self, request: Request) -> Reply:
        """See ``encoding.Encoders``."""
        with self._turn:
            _, reply = next(self.run(iter([(0, request)])))
        if isinstance(reply, EncoderError):
            raise reply
        return reply

    def close(self) -> None:
        """Lets the models and the reading threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._models.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def run(self, requests: Iterable[tuple[int, Request]]) -> Iterator[tuple[int, Reply | EncoderError]]:
        """Answers numbered requests in their order; while one is computed, the pictures of what follows are read."""
        ahead: queue.Queue[_Chunk | None] = queue.Queue(_CHUNKS_AHEAD)
        planner = threading.Thread(target=self._plan, args=(requests, ahead), name="plan", daemon=True)
        planner.start()
        done: dict[int, list[Reply]] = defaultdict(list)
        failed: dict[int, EncoderError] = {}
        while (chunk := ahead.get()) is not None:
            if chunk.ticket not in failed:
                try:
                    with torch.inference_mode():
                        done[chunk.ticket].append(self._compute(chunk))
                except EncoderError as said:
                    failed[chunk.ticket] = said
            if chunk.last:
                parts = done.pop(chunk.ticket, [])
                error = failed.pop(chunk.ticket) if chunk.ticket in failed else None
                yield chunk.ticket, error or _joined(parts)

    def _plan(self, requests: Iterable[tuple[int, Request]], ahead: queue.Queue[_Chunk | None]) -> None:
        try:
            for ticket, request in requests:
                images: Sequence[ImageItem] = () if isinstance(request, EmbedTexts) else request.images
                starts = range(0, len(images), self._chunk) or (0,)
                for first in starts:
                    part = images[first : first + self._chunk]
                    reading = tuple(self._pool.submit(_read, item) for item in part)
                    ahead.put(_Chunk(ticket, request, first, reading, last=first == starts[-1]))
        finally:
            ahead.put(None)

    def model(self, spec: EncoderSpec) -> LoadedModel:
        """The model, loaded once.

        Raises:
            EncoderError: its files do not load, or it does not fit into memory.
        """
        if spec.key not in self._models:
            _LOG.info("loading %s on %s", spec.name, self.device)
            try:
                self._models[spec.key] = load_model(spec, self.device)
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise EncoderError(f"{spec.name} does not fit into the memory of {self.device}.") from error
        return self._models[spec.key]

    def _compute(self, chunk: _Chunk) -> Reply:
        request = chunk.request
        if isinstance(request, EmbedTexts):
            return Embedded((self._texts(request),))
        specs = request.encoders if isinstance(request, EmbedImages) else (request.encoder,)
        models = [(spec, self.model(spec)) for spec in specs]
        read = [future.result() for future in chunk.reading]
        if isinstance(request, EmbedImages):
            return Embedded(tuple(self._images(spec, model, read) for spec, model in models))
        asked = request.questions[chunk.first : chunk.first + len(read)]
        return Answered(self._answers(*models[0], read, asked))

    def _texts(self, request: EmbedTexts) -> tuple[Vector, ...]:
        spec = request.encoder
        model = self.model(spec)
        if isinstance(model, Dinov2 | Answering):
            raise EncoderError(f"{spec.name} does not embed texts.")
        return tuple(
            self._in_batches(f"{spec.key} texts", request.texts, lambda part: list(_vectors(model.texts(part))))
        )

    def _images(self, spec: EncoderSpec, model: LoadedModel, read: Sequence[Read]) -> tuple[Vector | Unreadable, ...]:
        if isinstance(model, Sentences | Answering):
            raise EncoderError(f"{spec.name} does not embed pictures.")
        return self._each_readable(
            spec, read, model.preprocessing, lambda part: list(_vectors(model.images(torch.stack(list(part)))))
        )

    def _answers(
        self, spec: EncoderSpec, model: LoadedModel, read: Sequence[Read], asked: Sequence[tuple[str, ...]]
    ) -> tuple[tuple[str, ...] | Unreadable, ...]:
        if not isinstance(model, Answering):
            raise EncoderError(f"{spec.name} does not answer questions.")
        seen = self._each_readable(
            spec, read, model.preprocessing, lambda part: list(model.look(torch.stack(list(part))))
        )
        groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for i, view in enumerate(seen):
            if not isinstance(view, Unreadable):
                for j, question in enumerate(asked[i]):
                    groups[model.tokens(question)].append((i, j))

        def answer(part: Sequence[tuple[int, int]]) -> list[str]:
            views = torch.stack([view for i, _ in part if isinstance(view := seen[i], torch.Tensor)])
            return model.answer(views, [asked[i][j] for i, j in part])

        said: dict[tuple[int, int], str] = {}
        for pairs in groups.values():
            said.update(zip(pairs, self._in_batches(f"{spec.key} questions", pairs, answer), strict=True))
        return tuple(
            view if isinstance(view, Unreadable) else tuple(said[i, j] for j in range(len(asked[i])))
            for i, view in enumerate(seen)
        )

    def _each_readable(
        self,
        spec: EncoderSpec,
        read: Sequence[Read],
        rule: Preprocessing,
        make: Callable[[Sequence[torch.Tensor]], list[Made]],
    ) -> tuple[Made | Unreadable, ...]:
        """What ``make`` makes of the pictures that could be read, each as ``(3, size, size)``, in the order given."""
        good = {i: one for i, one in enumerate(read) if not isinstance(one, Unreadable)}
        inputs = self._inputs(list(good.values()), rule)
        made = dict(zip(good, self._in_batches(spec.key, inputs, make), strict=True))
        return tuple(one if isinstance(one, Unreadable) else made[i] for i, one in enumerate(read))

    def _inputs(self, pictures: Sequence[NDArray[np.uint8]], rule: Preprocessing) -> list[torch.Tensor]:
        """Pictures as an encoder sees them, on the device; those of one size are resized together."""
        if self.device.type == "cpu" and rule.shape != "fit":
            pictures = list(self._pool.map(prepared, pictures, [rule] * len(pictures)))
        sizes: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, picture in enumerate(pictures):
            sizes[picture.shape].append(position)
        ready: dict[int, torch.Tensor] = {}
        for positions in sizes.values():
            of_size = [pictures[position] for position in positions]
            inputs = self._in_batches("resize", of_size, lambda part: list(to_input(self._uploaded(part), rule)))
            ready.update(zip(positions, inputs, strict=True))
        return [ready[position] for position in range(len(pictures))]

    def _uploaded(self, part: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        pixels = torch.from_numpy(np.stack(part))
        return pixels.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else pixels

    def _in_batches(self, key: str, items: Sequence[Item], make: Callable[[Sequence[Item]], list[Made]]) -> list[Made]:
        """``make`` over all items, in batches that grow to what fits and are halved where memory runs out."""
        made: list[Made] = []
        while len(made) < len(items):
            size = self._batch[key]
            try:
                made += make(items[len(made) : len(made) + size])
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                self._shrink(key, size, error)
                continue
            if len(made) < len(items):
                self._batch[key] = min(size * 2, self._ceiling[key])
        return made

    def _shrink(self, key: str, size: int, error: Exception) -> None:
        if not _is_out_of_memory(error):
            raise EncoderError(f"Encoding failed on {self.device}: {str(error).splitlines()[0]}") from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if size == 1:
            raise EncoderError(f"Not even one item fits into the memory of {self.device}.") from error
        self._batch[key] = self._ceiling[key] = size // 2
        _LOG.warning("memory of %s ran out with %d items at once; going on with %d", self.device, size, size // 2)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _read(item: ImageItem) -> Read:
    try:
        return decoded(item.path, jpeg=item.jpeg, squash=item.squash)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow says SyntaxError and ValueError of some damaged files.
        return Unreadable(f"the picture {item.path} cannot be read: {error}")


def _vectors(rows: torch.Tensor) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = rows.to("cpu", torch.float32).numpy()
    return vectors


def _joined(parts: Sequence[Reply]) -> Reply:
    if isinstance(parts[0], Answered):
        return Answered(tuple(one for part in parts if isinstance(part, Answered) for one in part.answers))
    rows = [part.vectors for part in parts if isinstance(part, Embedded)]
    return Embedded(tuple(tuple(one for row in column for one in row) for column in zip(*rows, strict=True)))
