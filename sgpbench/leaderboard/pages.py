"""Turns boards and galleries into pages. Everything goes through templates that escape by default."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sgpbench import __version__
from sgpbench.leaderboard import figures
from sgpbench.leaderboard.board import Board, BoardColumn, Cell, Row
from sgpbench.leaderboard.entries import Entry
from sgpbench.leaderboard.gallery import Gallery, Shown, script_json
from sgpbench.leaderboard.naming import plain, safe_link, shortened
from sgpbench.paths import root_folder
from sgpbench.results.unfinished import in_words

__all__ = [
    "POLICY",
    "PROMPTS_A_PAGE",
    "Site",
    "column_domain",
    "counts",
    "environment",
    "thumb",
]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; object-src 'none'"
)
"""Nothing is loaded from anywhere else, no script or style stands in a page."""
PROMPTS_A_PAGE = 10
"""Of a gallery without JavaScript."""

MISSING = {
    "not-run": ("a", "not run", "This model has no published result on this task."),
    "not-scored": (
        "b",
        "not scored",
        "The drawings are here, but nobody has judged or scored them by this metric yet.",
    ),
    "other-scorer": (
        "c",
        "other scorer",
        "Scored by another judge or answerer, or another version: see its own column.",
    ),
    "no-price": (
        "d",
        "price unknown",
        "No price is known for this model. One that runs on hardware of one's own has no price, and shows $0.",
    ),
    "no-tokens": ("e", "not counted", "The provider does not say how many tokens it used, or no tokens are involved."),
    "no-size": ("f", "not public", "The number of parameters is not public, or not in our catalog."),
    "no-facts": ("g", "not stated", "The catalog does not say."),
    "baseline": ("h", "no model", "A baseline of ours, not a model: it has no parameters, no provider and no tokens."),
    "no-validity": ("i", "no samples", "There are no samples to count."),
    "unfinished": (
        "j",
        "unfinished",
        "Some of its samples are still to be answered, drawn or judged. Until then there is no number: failed drawings "
        "count at once, good ones wait for their judge.",
    ),
}
"""Kind → mark, word, footnote. A value is never blank and never a zero that nobody measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """All that pages are made of."""

    boards: Sequence[Board]
    galleries: Sequence[Gallery]
    address: str | None = None
    """Where it will be served, for the links that must be absolute."""
    newest: str = ""
    """Day of the newest result."""
    problems: Sequence[str] = field(default_factory=tuple)

    @property
    def rows(self) -> list[tuple[Board, Row]]:
        """Every model under every protocol."""
        return [(board, row) for board in self.boards for row in board.rows]

    def shown(self, row: Row, entry: Entry) -> tuple[Gallery, Shown] | None:
        """Where a result's drawings are."""
        for gallery in self.galleries:
            for one in gallery.shown:
                if one.row is row and one.entry is entry:
                    return gallery, one
        return None


@functools.cache
def environment() -> Environment:
    """The templates with everything they may call."""
    made = Environment(
        loader=FileSystemLoader(root_folder("leaderboard") / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters.update(
        dollars=figures.dollars,
        interval=figures.interval,
        name=_name,
        percent=figures.percent,
        plain=lambda text: plain(str(text)),
        ranked=figures.ranked,
        score=figures.score,
        short=lambda text, most=80: shortened(plain(str(text)), most),
        size=figures.size,
        thumb=thumb,
        tokens=figures.tokens,
    )
    made.globals.update(
        MISSING=MISSING,
        in_words=lambda unfinished: in_words(unfinished.model_dump()),
        OUTCOME_WORDS=figures.OUTCOME_WORDS,
        cell_note=_cell_note,
        chip=_chip,
        domain=column_domain,
        isfinite=math.isfinite,
        outcome_bar=figures.outcome_bar,
        policy=POLICY,
        safe_link=safe_link,
        script_json=script_json,
        version=__version__,
        whisker=figures.whisker,
    )
    return made


def thumb(digest: str) -> str:
    """A thumbnail's path on the site."""
    return f"thumbs/{digest[:2]}/{digest}.webp"


def _name(text: object, most: int = 60) -> str:
    """A stranger's name in one line of bounded length."""
    return shortened(" ".join(plain(str(text)).split()), most)


def column_domain(board: Board, column: BoardColumn) -> tuple[float, float]:
    """The scale of a column's small drawings."""
    numbers = [cell.number for row in board.rows if (cell := row.cells[column.key]).number]
    bounds = (column.scoring.low, column.scoring.high) if column.scoring else (None, None)
    return figures.domain(numbers, *bounds)


def _chip(cell: Cell) -> str:
    """One word for why a score has no rank."""
    if cell.entry is None:
        return ""
    if cell.entry.is_baseline:
        return "baseline"
    if cell.entry.result.status != "complete":
        return cell.entry.result.status
    if cell.entry.result.verification.status != "verified":
        return "unverified"
    return "unranked"


def _cell_note(cell: Cell) -> str:
    """All that a hover over a score says."""
    if cell.entry is None or cell.number is None:
        return ""
    number, result = cell.number, cell.entry.result
    words = [f"{number.n:,} prompts in {number.clusters:,} clusters"]
    if cell.rank:
        words.append(f"rank {cell.rank.rank}; the data leave {figures.ranked(cell.rank)} open")
    words += [f"not ranked: {reason}" for reason in cell.reasons]
    if number.valid_only:
        words.append(f"valid drawings alone: {figures.score(number.valid_only.mean, number.mean)}")
    if result.verification.status == "verified":
        words.append(f"verified {result.verification.date}")
    return plain(". ".join(words) + ".")


def counts(entries: Sequence[Entry]) -> Mapping[str, int]:
    """What the first page counts."""
    return {
        "results": len(entries),
        "models": len({entry.row_key for entry in entries if not entry.is_baseline}),
        "samples": sum(entry.result.samples for entry in entries),
    }
