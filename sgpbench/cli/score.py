"""``sgpbench score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgpbench.cli.apps import command_app

__all__ = ["app"]

app = command_app()


@app.command()
def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    metrics: Annotated[str, typer.Option(metavar="NAME,…", help="Metric names separated by commas, or auto.")] = "auto",
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model that judges comp (costs calls to it).")
    ] = None,
    judge_repeats: Annotated[int, typer.Option(metavar="N", min=1, help="How often each drawing is judged.")] = 1,
    judge_arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="key=value for the judge's adapter.")
    ] = None,
    max_connections: Annotated[
        str | None, typer.Option(metavar="N|LO-HI", help="Requests in flight: N, or LO-HI.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="US dollars that the judge may cost in all.")
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Seconds a request may keep failing before it is left.")
    ] = 900.0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where encoders run: auto, cpu, cuda, cuda:1 ...")
    ] = "auto",
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Render and score a run again, with no call to its model. Only what has changed is done again."""
    import asyncio

    from sgpbench.cli.arguments import command_line, metric_names, pairs, parse_connections
    from sgpbench.cli.output import print_runs
    from sgpbench.run.estimate import spent_before
    from sgpbench.run.execute import execute
    from sgpbench.run.options import RunOptions
    from sgpbench.run.prepare import plan_stored_run

    options = RunOptions(
        stages=frozenset({"render", "score"}),
        metrics=metric_names(metrics),
        judge=judge,
        judge_repeats=judge_repeats,
        judge_args=pairs(judge_arg or [], "--judge-arg"),
        judge_connections=parse_connections(max_connections),
        budget_usd=budget,
        patience_s=patience,
        device=device,
        data_dir=data_dir,
        command=command_line(),
    )
    planned = plan_stored_run(run, options)
    spent = spent_before([planned], options)
    finished, interrupted = asyncio.run(execute([planned], options, spent=spent))
    raise typer.Exit(print_runs(finished, as_json=json, interrupted=interrupted))
