"""What a person sees while a run works: a live table on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sgpbench.records import Completion, Outcome
from sgpbench.terminal import console, say, styled

__all__ = ["RunProgress", "report"]

_PLAIN_EVERY_S = 10.0


@dataclass
class RunProgress:
    """Counters of one run; the stages write them, the display reads them."""

    label: str
    wanted: int
    done: int = 0
    """Samples with a final completion, those of earlier starts included."""
    failed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    rendered: int = 0
    scored: Counter[str] = field(default_factory=Counter)
    unscored: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    priced: bool = False
    retries: int = 0
    note: str = ""
    started: float = field(default_factory=time.monotonic)
    done_before: int = 0
    finished: bool = False
    last_at: float | None = None
    """When the last wanted completion arrived."""

    def began(self, wanted: int, done: int) -> None:
        """Generation begins now: so many samples are wanted, and so many are there from earlier starts."""
        self.started = time.monotonic()
        self.wanted = wanted
        self.done = self.done_before = done

    def completed(self, completion: Completion, outcome: Outcome, final: bool) -> None:
        """Counts a stored completion."""
        self.input_tokens += completion.usage.input_tokens or 0
        self.output_tokens += completion.usage.output_tokens or 0
        if completion.cost_usd is not None:
            self.priced = True
            self.cost_usd += completion.cost_usd
        if final:
            self.done += 1
            self.last_at = time.monotonic() if self.done >= self.wanted else None
            if outcome is not Outcome.OK:
                self.outcomes[str(outcome)] += 1

    def judged(self, reply: Completion) -> None:
        """Counts what a judge's or answerer's reply has cost."""
        if reply.cost_usd is not None:
            self.priced = True
            self.cost_usd += reply.cost_usd

    def drawn(self, outcome: Outcome) -> None:
        """Counts a finished rendering."""
        self.rendered += 1
        self.outcomes[str(outcome)] += 1

    @property
    def rate(self) -> float:
        """Completions per second since this start, until the last one."""
        elapsed = (self.last_at or time.monotonic()) - self.started
        return (self.done - self.done_before) / elapsed if elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until generation is done at the present rate."""
        left = self.wanted - self.done - self.failed
        return left / self.rate if left and self.rate else None


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _tokens(count: int) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e3 else str(count)


def _details(progress: RunProgress) -> str:
    """Everything but the bar, in one line."""
    left = _duration(progress.seconds_left)
    parts = [
        f"{progress.done}/{progress.wanted}",
        f"{progress.rate:.1f}/s" if progress.rate >= 1 else f"{progress.rate:.2f}/s",
    ]
    if left:
        parts.append(f"{left} left")
    if progress.done >= progress.wanted:
        parts.append(f"{progress.rendered} rendered")
    outcomes = progress.outcomes.most_common(4)
    parts += [f"{count} {name}" for name, count in outcomes]
    if progress.failed:
        parts.append(f"{progress.failed} api_error")
    if progress.retries:
        parts.append(f"{progress.retries} retries")
    if progress.output_tokens:
        parts.append(f"{_tokens(progress.input_tokens)}+{_tokens(progress.output_tokens)} tokens")
    if progress.priced and progress.cost_usd:
        parts.append(f"${progress.cost_usd:.2f}")
    slow = [
        f"{name} {count}"
        for name, count in progress.scored.items()
        if count < progress.done and name not in {"validity", "structure"}
    ]
    if slow:
        parts.append("scored: " + ", ".join(slow))
    if progress.note:
        parts.append(progress.note)
    return " · ".join(parts)


async def report(runs: Sequence[RunProgress]) -> None:
    """Shows the runs' progress until cancelled."""
    if sys.stderr.isatty():
        await _live(runs)
    else:
        await _plain(runs)


async def _plain(runs: Sequence[RunProgress]) -> None:
    while True:
        await asyncio.sleep(_PLAIN_EVERY_S)
        for progress in runs:
            if not progress.finished and progress.done != progress.done_before:
                say(f"{progress.label}: {_details(progress)}", err=True)


async def _live(runs: Sequence[RunProgress]) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    screen = console(err=True)

    def draw() -> Group:
        lines: list[Table | Text] = []
        for progress in runs:
            if progress.finished or (not progress.done and not progress.rate and len(runs) > 4):
                continue
            row = Table.grid(padding=(0, 1))
            row.add_row(styled(progress.label, "bold"), ProgressBar(progress.wanted, progress.done, width=24))
            details = styled("  " + _details(progress), "dim")
            details.overflow, details.no_wrap = "ellipsis", True
            lines += [row, details]
        return Group(*lines)

    with Live(draw(), console=screen, refresh_per_second=8, transient=True) as live:
        while True:
            await asyncio.sleep(0.15)
            live.update(draw())
