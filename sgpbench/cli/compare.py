"""``sgpbench compare``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import console, say_json, styled

if TYPE_CHECKING:
    from rich.console import Console

    from sgpbench.results.compare import ColumnComparison, SliceComparison

__all__ = ["app"]

app = command_app()


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model, a result file, or a run's directory.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Compare on this task only.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Compare in this column; may be given again.  [default: the headline]"),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the results of models are.")] = Path("results"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Compare two models over the prompts they share: difference, interval, p-value, wins, and prompts needed.

    The p-value is of the hypothesis that their means are equal; it and the interval heed clusters and categories of prompts.
    """
    from sgpbench.results.compare import compare as compare_scores
    from sgpbench.results.compare import load_scores, to_document

    found = compare_scores(load_scores(a, results, task), load_scores(b, results, task), columns=column or [])
    if json:
        say_json(to_document(found))
        return
    out = console()
    for one in found:
        _print(out, one)


def _print(out: Console, one: ColumnComparison) -> None:
    from rich.table import Table

    overall = one.slices[0].comparison
    out.print(styled(f"{one.task} · {one.column}", "bold"))
    out.print(styled(f"{overall.n:,} prompts in {overall.clusters:,} clusters", "dim"))
    for letter, label in (("A", one.first), ("B", one.second)):
        out.print(styled(f"{letter}  {label}"), soft_wrap=True)
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold", max_width=20)
    for name in ("A", "B", "A − B", "95 % interval", "p", "W/T/L", "needed"):
        table.add_column(name, justify="right", overflow="fold")
    digits = 1 if max(abs(one.slices[0].first_mean), abs(one.slices[0].second_mean)) >= 10 else 3
    for part in one.slices:
        table.add_row(*(styled(cell) for cell in _cells(part, digits)), style="bold" if part.kind == "overall" else "")
    out.print(table)
    out.print(styled(_verdict(one)))
    out.print(
        styled(
            "p is not corrected for the number of rows;\n"
            "W/T/L: prompts where A wins, ties, loses;\n"
            "needed: prompts that would show the difference with a power of 0.8",
            "dim",
        )
    )
    for note in one.notes:
        out.print(styled(note, "yellow"))
    out.print()


def _cells(part: SliceComparison, digits: int) -> list[str]:
    found = part.comparison
    name = f"  {part.name.split('/')[-1]}" if "/" in part.name else part.name
    return [
        name,
        f"{part.first_mean:.{digits}f}",
        f"{part.second_mean:.{digits}f}",
        f"{found.difference:+.{digits}f}",
        _interval(found.low, found.high, digits),
        _p(found.p_value),
        f"{found.wins}/{found.ties}/{found.losses}",
        _needed(found.prompts_needed),
    ]


def _interval(low: float, high: float, digits: int) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not known"
    return f"{low:+.{digits}f} … {high:+.{digits}f}"


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}"


def _needed(prompts: int | None) -> str:
    if prompts is None:
        return "–"
    return f"{prompts:,}" if prompts < 1_000_000 else ">1 million"


def _verdict(one: ColumnComparison) -> str:
    found = one.slices[0].comparison
    if found.p_value >= 0.05:
        if found.prompts_needed is None:
            return "There is no difference between the two."
        return (
            f"These prompts do not tell the two apart; a difference of this size would take about "
            f"{_needed(found.prompts_needed)} prompts."
        )
    better = "A" if (found.difference > 0) == one.higher_is_better else "B"
    return f"{better} is better (p {_p(found.p_value) if found.p_value < 0.001 else f'= {_p(found.p_value)}'})."
