"""``sgpbench run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import command_app

if TYPE_CHECKING:
    from sgpbench.run.options import RunOptions

__all__ = ["app"]

app = command_app()


@app.command()
def run(
    model: Annotated[
        str, typer.Option(metavar="NAME,…", help="Catalog names or adapter/model-id, separated by commas.")
    ],
    task: Annotated[str, typer.Option(metavar="NAME,…", help="Task names, separated by commas.")],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="v1, paper, or a TOML file.")] = "v1",
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="official or generated.  [default: the task's first]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Ask only this many prompts, balanced over categories.")
    ] = None,
    prompt_ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file of prompt ids, one a line: ask only these.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="K", min=1, max=10_000, help="Samples per prompt.  [default: the protocol's]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of samples and generated prompts.")] = 0,
    stages: Annotated[str, typer.Option(metavar="NAME,…", help="Which stages to run.")] = "generate,render,score",
    metrics: Annotated[str, typer.Option(metavar="NAME,…", help="Metric names separated by commas, or auto.")] = "auto",
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model that judges comp (costs calls to it).")
    ] = None,
    judge_repeats: Annotated[int, typer.Option(metavar="N", min=1, help="How often each drawing is judged.")] = 1,
    model_arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="key=value for the model's adapter or its sampling.")
    ] = None,
    judge_arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="key=value for the judge's adapter.")
    ] = None,
    max_connections: Annotated[
        str | None, typer.Option(metavar="N|LO-HI", help="Requests in flight: N, or LO-HI.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="US dollars that generation and judge may cost in all.")
    ] = None,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Seconds a request may keep failing before it is left.")
    ] = 900.0,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="Where encoders run: auto, cpu, cuda, cuda:1 ...")
    ] = "auto",
    runs_dir: Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs are kept.")] = Path("runs"),
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and what it may cost.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Ask models for drawings, render and score them.

    Everything is stored as it arrives. Run the same command again to continue; with a larger --limit or --samples to
    extend; with another --judge or --metrics to score the same drawings in another way.
    """
    from sgpbench.cli.arguments import command_line, metric_names, names, pairs, parse_connections
    from sgpbench.run.options import RunOptions, parse_stages

    options = RunOptions(
        protocol=protocol,
        split=split,
        limit=limit,
        prompt_ids=_prompt_ids(prompt_ids),
        samples=samples,
        seed=seed,
        stages=parse_stages(stages),
        metrics=metric_names(metrics),
        judge=judge,
        judge_repeats=judge_repeats,
        judge_args=pairs(judge_arg or [], "--judge-arg"),
        model_args=pairs(model_arg or [], "--model-arg"),
        max_connections=parse_connections(max_connections),
        budget_usd=budget,
        patience_s=patience,
        device=device,
        runs_dir=runs_dir,
        data_dir=data_dir,
        dry_run=dry_run,
        command=command_line(),
    )
    _run(names(model), names(task), options, as_json=json)


def _prompt_ids(path: Path | None) -> tuple[str, ...] | None:
    from sgpbench.errors import UsageError

    if path is None:
        return None
    try:
        ids = tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--prompt-ids: {path} cannot be read: {error}.") from None
    if not ids:
        raise UsageError(f"--prompt-ids: {path} holds no prompt id.")
    return ids


def _run(models: list[str], tasks: list[str], options: RunOptions, *, as_json: bool) -> None:
    import asyncio
    import threading

    from sgpbench.cli.output import print_estimates, print_runs
    from sgpbench.errors import UsageError
    from sgpbench.run.estimate import estimate_runs, spent_before
    from sgpbench.run.execute import execute
    from sgpbench.run.prepare import plan_runs, plan_task

    if not models or not tasks:
        raise UsageError("--model and --task each take at least one name.")
    plans = [plan_task(name, options) for name in tasks]
    planned = [run for name in models for run in plan_runs(name, plans, options)]
    if options.dry_run:
        print_estimates(estimate_runs(planned, options), as_json=as_json)
        return
    threading.Thread(target=_load_what_the_end_needs, daemon=True).start()
    finished, interrupted = asyncio.run(execute(planned, options, spent=spent_before(planned, options)))
    chosen = {run.folder: len(run.plan.chosen) for run in planned}
    raise typer.Exit(print_runs(finished, as_json=as_json, interrupted=interrupted, chosen=chosen))


def _load_what_the_end_needs() -> None:
    """Loads the libraries of tables and statistics while the model is asked, so that nobody waits for them after it."""
    import importlib

    for module in ("sgpbench.results.from_run", "scipy.optimize", "rich.table"):
        importlib.import_module(module)
