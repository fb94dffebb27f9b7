"""Numbers as people read them, and the small drawings that are made of numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from sgpbench.results.ranking import Rank
from sgpbench.results.schema import Number

__all__ = [
    "OUTCOME_WORDS",
    "dollars",
    "interval",
    "outcome_bar",
    "percent",
    "ranked",
    "score",
    "size",
    "tokens",
    "whisker",
]

OUTCOME_WORDS = {
    "ok": "drawn",
    "no_svg": "no SVG in the reply",
    "truncated": "stopped by the token limit",
    "malformed": "unfinished SVG",
    "refused": "refused",
    "render_error": "not drawable",
    "render_timeout": "took too long to draw",
    "render_crash": "broke the renderer",
    "api_error": "no answer from the API (not the model's doing)",
    "judge_error": "no answer from the judge (not the model's doing)",
    "scorer_error": "could not be scored (not the model's doing)",
}


def _digits(value: float, high: float | None) -> int:
    return 1 if (high if high is not None else abs(value)) >= 10 else 3


def score(value: float, high: float | None = None) -> str:
    """One decimal on scales to 100, three on scales to 1."""
    text = f"{value:.{_digits(value, high)}f}"
    return text.replace("-", "−")


def interval(number: Number, high: float | None = None) -> str:
    """``61.2–64.8``; says so where it is not known."""
    if number.ci95 is None:
        return "interval not known"
    low, top = (score(value, high) for value in number.ci95)
    return f"{low}–{top}" if not low.startswith("−") and not top.startswith("−") else f"{low} to {top}"


def percent(value: float) -> str:
    """A share as a percentage; never rounded to 100 or 0 when it is not."""
    share = 100 * value
    if 99 < share < 100:
        return f"{math.floor(share * 10) / 10:.1f} %"
    if 0 < share < 1:
        return f"{share:.1f} %" if share >= 0.05 else "<0.1 %"
    return f"{share:.0f} %"


def dollars(value: float) -> str:
    """Cents below 100 dollars, whole dollars above."""
    if value == 0:
        return "$0"
    if value < 0.01:
        return "<$0.01"
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def tokens(value: float) -> str:
    """A number of tokens."""
    return f"{value:,.0f}".replace(",", "\u202f")


def size(value: float) -> str:
    """Billions of parameters."""
    return f"{value * 1000:,.0f}M" if value < 1 else f"{value:,.3g}B" if value < 1000 else f"{value / 1000:,.3g}T"


def ranked(rank: Rank) -> str:
    """The ranks that the data leave open: ``1–3``, or ``2`` alone."""
    return str(rank.low) if rank.low == rank.high else f"{rank.low}–{rank.high}"


def whisker(number: Number, low: float, high: float) -> Markup:
    """A mean and its interval on a scale from ``low`` to ``high``, as a small drawing.

    One path for dot and interval, and the axis left to the style sheet: hundreds of them must not slow sorting down.
    """
    span = (high - low) or 1.0

    def place(value: float) -> str:
        return f"{4 + 92 * min(1.0, max(0.0, (value - low) / span)):.1f}"

    ends = number.ci95 or [number.mean, number.mean]
    return Markup(
        '<svg class="whisker" viewBox="0 0 100 8" aria-hidden="true" focusable="false">'
        '<path d="M{} 3.2V4.8H{}V3.2zM{} 4m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0"/></svg>'
    ).format(place(ends[0]), place(ends[1]), place(number.mean))


def outcome_bar(outcomes: Mapping[str, int]) -> Markup:
    """Outcomes as one stacked bar; the table beside it says the same."""
    total = sum(outcomes.values()) or 1
    parts: list[Markup] = []
    start = 0.0
    for name in OUTCOME_WORDS:
        count = outcomes.get(name, 0)
        if not count:
            continue
        width = 600 * count / total
        parts.append(
            Markup(
                '<rect class="outcome-{}" x="{:.1f}" y="0" width="{:.1f}" height="16"><title>{}: {}</title></rect>'
            ).format(name.replace("_", "-"), start, max(width, 1.0), OUTCOME_WORDS[name], count)
        )
        start += width
    return Markup('<svg class="stack" viewBox="0 0 600 16" preserveAspectRatio="none" role="img">{}</svg>').format(
        Markup("").join([Markup("<title>What became of the samples</title>"), *parts])
    )


def domain(numbers: Sequence[Number], low: float | None, high: float | None) -> tuple[float, float]:
    """The scale of a column: its bounds where it has both, else what occurs."""
    if low is not None and high is not None and low >= 0:
        return low, high
    ends = [value for number in numbers for value in (number.ci95 or [number.mean])]
    if not ends:
        return 0.0, 1.0
    return min(ends), max(ends)
