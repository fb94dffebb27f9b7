"""``sgpbench judge check``."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.metrics.calibration_run import Calibration
    from sgpbench.metrics.interface import MetricContext
    from sgpbench.models.calls import Caller
    from sgpbench.protocol import Protocol

__all__ = ["app"]

app = group_app("Calibrate a judge before paying it.")


@app.callback()
def _group() -> None:
    """Calibrate a judge before paying it."""


@app.command()
def check(
    judge: Annotated[
        str, typer.Option(metavar="MODEL", help="A catalog name or adapter/model-id of a model that sees.")
    ],
    judge_arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="key=value for the judge's adapter.")
    ] = None,
    judge_repeats: Annotated[int, typer.Option(metavar="N", min=1, help="How often each drawing is judged.")] = 1,
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="Whose rubrics and reading: v1, paper, or a TOML file.")
    ] = "v1",
    max_connections: Annotated[
        str | None, typer.Option(metavar="N|LO-HI", help="Requests in flight: N, or LO-HI.")
    ] = None,
    budget: Annotated[float | None, typer.Option(metavar="USD", min=0, help="US dollars that this may cost.")] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Seconds a request may keep failing before it is left.")
    ] = 120.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the requests, where the judge takes one.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep the drawings in this folder.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """See how a judge ranks 45 drawings whose right order is known (90 requests a repeat).

    Leaves with 0 if the judge meets every criterion, with 1 if not, with 3 if it did not answer.
    """
    import asyncio
    import tempfile

    from sgpbench.cli.arguments import pairs, parse_connections
    from sgpbench.data.store import DataStore
    from sgpbench.metrics.interface import MetricContext
    from sgpbench.models.calls import Caller
    from sgpbench.models.limiter import Limiters
    from sgpbench.models.money import Ledger
    from sgpbench.models.registry import open_model, resolve
    from sgpbench.paths import cache_dir, data_dirs
    from sgpbench.protocol import load_protocol

    rules = load_protocol(protocol)
    connections = parse_connections(max_connections)
    spec = resolve(judge, pairs(judge_arg or [], "--judge-arg"))
    model = open_model(spec)
    limiters = Limiters()
    limiter = limiters.limiter_for(model.endpoint, connections or model.concurrency)
    caller = Caller(model, limiter, ledger=Ledger(budget, 0.0), patience_s=patience, kind="judge")
    context = MetricContext(
        argument=judge,
        protocol=rules,
        cache_dir=cache_dir(),
        seed=seed,
        judge_repeats=judge_repeats,
        open_caller=lambda _: caller,
        data=DataStore(data_dirs(data_dir)),
    )
    say(f"Asking {judge} about 45 drawings.", err=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = out or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            found = asyncio.run(_calibrate(context, caller, rules, folder))
    finally:
        limiters.close()
    unanswered = caller.stats.gave_up > 0
    if json:
        say_json(_document(found, protocol=rules.name, complete=not unanswered), indent=2)
    else:
        say(_page(found, rules, unanswered))
    raise typer.Exit(3 if unanswered else 0 if found.passed else 1)


async def _calibrate(context: MetricContext, caller: Caller, rules: Protocol, folder: Path) -> Calibration:
    from sgpbench.metrics.calibration_run import calibrate
    from sgpbench.svg.sandbox import Sandbox

    sandbox = Sandbox(rules.scoring.renderer, "none", workers=1)
    try:
        return await calibrate(context, sandbox, folder)
    finally:
        sandbox.close()
        await caller.aclose()


def _document(found: Calibration, *, protocol: str, complete: bool) -> dict[str, object]:
    from sgpbench.metrics.calibration import cases, ranking

    drawings = [
        {
            "id": case.name,
            "category": case.category,
            "kind": case.kind,
            "caption": case.prompt.caption,
            "score": found.scores.get(case.name),
            "failure": found.failures.get(case.name),
        }
        for case in cases()
    ]
    return {
        "judge": found.judge,
        "protocol": protocol,
        "status": "complete" if complete else "incomplete",
        "passed": found.passed,
        "criteria": [asdict(criterion) for criterion in found.criteria],
        "ranking": [] if found.failures else list(ranking(found.scores)),
        "agreement": asdict(found.agreement),
        "drawings": drawings,
        "usage": {
            "replies": found.replies,
            "input_tokens": found.input_tokens,
            "output_tokens": found.output_tokens,
            "cost_usd": found.cost_usd,
        },
        "identity": found.identity,
    }


def _page(found: Calibration, rules: Protocol, unanswered: bool) -> str:
    """At most 80 columns, whatever the terminal."""
    lines = [_clipped(f"Judge {found.judge} under {rules.name}"), f"{found.replies} replies, {_cost(found)}", ""]
    if found.failures:
        lines += _failures(found, unanswered)
        return "\n".join(lines)
    lines += _table(found)
    if found.agreement.repeats > 1:
        alpha = found.agreement.alpha
        said = "not defined (all scores are equal)" if alpha is None else f"{alpha:.2f}"
        lines += ["", f"Agreement of {found.agreement.repeats} repeats (Krippendorff's alpha, interval): {said}"]
    lines.append("")
    for criterion in found.criteria:
        verdict = "pass" if criterion.passed else "FAIL"
        lines.append(f"  {verdict}  {criterion.name}: {criterion.found}")
        lines.append(f"        wanted: {criterion.wanted}")
    lines += ["", "The judge can be used." if found.passed else "This judge should not be used."]
    return "\n".join(lines)


def _table(found: Calibration) -> list[str]:
    """Mean scores by kind of drawing, as this judge ranks them."""
    from sgpbench.metrics.calibration import CATEGORIES, means, ranking

    table = means(found.scores)
    heads = [*CATEGORIES, "mean"]
    lines = ["  " + "drawing".ljust(20) + "".join(head.rjust(11) for head in heads)]
    for kind in ranking(found.scores):
        cells = (f"{table[kind][head]:.0f}" if head in table[kind] else "" for head in heads)
        lines.append("  " + kind.ljust(20) + "".join(cell.rjust(11) for cell in cells))
    return lines


def _failures(found: Calibration, unanswered: bool) -> list[str]:
    first, why = next(iter(found.failures.items()))
    number = len(found.failures)
    many = f"{number} drawing{'' if number == 1 else 's'} could not be judged"
    lines = [
        _clipped(f"{many}, {first} among them:"),
        *textwrap.wrap(why, 78, initial_indent="  ", subsequent_indent="  "),
    ]
    last = (
        "It did not answer. Try again later, or with another address."
        if unanswered
        else "Its replies hold no score in the form asked for. This judge should not be used."
    )
    return [*lines, "", last]


def _cost(found: Calibration) -> str:
    tokens = "" if found.input_tokens is None else f"{found.input_tokens:,.0f} input tokens, "
    return tokens + ("price not known" if found.cost_usd is None else f"{found.cost_usd:.4f} USD")


def _clipped(line: str) -> str:
    return line if len(line) <= 80 else line[:79] + "…"
