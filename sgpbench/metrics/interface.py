"""What a metric is. A metric factory takes a ``MetricContext`` and returns a ``Metric`` or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from sgpbench.metrics.shared import Shared
from sgpbench.records import Column, Completion, Drawing, Failure, Json, Prompt, Score

if TYPE_CHECKING:
    from sgpbench.data.interface import DataFolders
    from sgpbench.models.calls import Caller
    from sgpbench.protocol import Protocol as BenchmarkProtocol

__all__ = ["Metric", "MetricContext", "MetricFactory", "Need", "ReplyStore"]

Need: TypeAlias = str
"""What a prompt must carry for the metric to apply (one of ``Prompt.traits``): ``reference``, ``questions``, ``rubric``, or
the name of a specification in its metadata, such as ``scene``. ``invalid`` is no trait: the metric wants samples without
a valid drawing too (their ``rendering`` is ``None``)."""


class ReplyStore(Protocol):
    """Keeps what judges and answerers replied, so that a drawing whose other parts failed is not paid for again."""

    def get(self, key: str) -> str | None:
        """The text of the newest reply under that key, or ``None``."""

    def put(self, key: str, completion: Completion) -> None:
        """Keeps a reply, with what it cost, before anything else is done with it; a newer one replaces an older."""


@dataclass(frozen=True, slots=True)
class MetricContext:
    """What a factory may use to build a metric for one run."""

    argument: str | None
    """What stood in brackets: ``fast`` in ``clip[fast]``, ``blip-large`` in ``vqa[blip-large]``."""
    protocol: BenchmarkProtocol
    cache_dir: Path
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` ..."""
    seed: int = 0
    judge: str | None = None
    """``--judge``: the catalog name or ``adapter/model-id``; ``None`` means the protocol's."""
    judge_repeats: int = 1
    open_caller: Callable[[str], Caller] | None = None
    """Opens a model by name for asking, within its limits and the budget; ``None`` where asking is not allowed."""
    data: DataFolders | None = None
    """Where upstream wording (``paper`` rubrics) is looked up."""
    replies: ReplyStore | None = None
    """Where paid replies are kept; ``None`` keeps them in memory, for this metric's life."""
    prompts: Sequence[Prompt] = ()
    """All prompts of the split, in the published order, for metrics that score a prompt with others of its kind."""
    shared: Shared = field(default_factory=Shared)
    """Encoders and the like, opened once for all metrics that are opened with this context (or a ``replace`` of it)."""


class Metric(Protocol):
    """Scores drawings in batches; equal results whatever the batch.

    ``score`` may be called again before an earlier call has returned (a few batches are kept in flight).
    """

    name: str
    """As asked for, argument included: ``clip``, ``clip[fast]``, ``judge[gpt-4o-mini]``."""
    version: str
    needs: frozenset[Need]
    unit: Literal["sample", "prompt"]
    """``prompt``: a batch is all valid drawings of one prompt, and one score comes back for it (diversity)."""
    batch_size: int
    columns: tuple[Column, ...]
    identity: Mapping[str, Json]
    """Version, weights (revision, file hash), answerer, rubric hash ...: all that decides its values."""

    async def score(self, batch: Sequence[Drawing]) -> Sequence[Score | Failure]:
        """One answer per drawing, in their order (one in all where ``unit`` is ``prompt``)."""

    async def aclose(self) -> None:
        """Frees memory, devices and connections."""


MetricFactory: TypeAlias = Callable[[MetricContext], Metric]
"""Registered under the entry point group ``sgpbench.metrics``. Raises ``MetricUnavailable`` with a remedy."""
