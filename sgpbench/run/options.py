"""What a user may choose about a run, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sgpbench.errors import UsageError
from sgpbench.models.interface import Concurrency

__all__ = ["STAGES", "RunOptions", "Stage", "parse_stages"]

Stage = Literal["generate", "render", "score"]
STAGES: tuple[Stage, ...] = ("generate", "render", "score")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Everything about a run besides model and task. The defaults are those of the command line."""

    protocol: str = "v1"
    split: str | None = None
    """``None``: the task's first one."""
    limit: int | None = None
    prompt_ids: tuple[str, ...] | None = None
    samples: int | None = None
    """Samples per prompt; ``None``: the protocol's."""
    seed: int = 0
    stages: frozenset[Stage] = frozenset(STAGES)
    metrics: tuple[str, ...] | None = None
    """``None`` is ``auto``: what the task asks for and this machine can do."""
    judge: str | None = None
    judge_repeats: int = 1
    judge_args: Mapping[str, str] = field(default_factory=dict)
    model_args: Mapping[str, str] = field(default_factory=dict)
    max_connections: Concurrency | None = None
    judge_connections: Concurrency | None = None
    budget_usd: float | None = None
    patience_s: float = 900.0
    """How long one request may keep failing before its sample is left for the next start."""
    device: str = "auto"
    runs_dir: Path = Path("runs")
    data_dir: Path | None = None
    dry_run: bool = False
    """Nothing will be asked."""
    workers: int | None = None
    """Rendering processes; ``None``: one per core."""
    command: str = ""
    """The command line, for the record."""


def parse_stages(text: str) -> frozenset[Stage]:
    """From ``generate,render,score`` or a part of it.

    Raises:
        UsageError: an unknown stage, or none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STAGES:
            raise UsageError(f"There is no stage named '{name}'.", remedy=f"Stages are {', '.join(STAGES)}.")
    if not names:
        raise UsageError("--stages names no stage.", remedy=f"Stages are {', '.join(STAGES)}.")
    return frozenset(stage for stage in STAGES if stage in names)
