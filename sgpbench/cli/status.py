"""``sgpbench status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import say

__all__ = ["app"]

app = command_app()


@app.command()
def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Say how far a run has come, what is pending, and why."""
    from sgpbench.cli.output import print_documents
    from sgpbench.results.from_run import run_document
    from sgpbench.run.identity import read_identity
    from sgpbench.run.status import run_status
    from sgpbench.run.store import RunView

    identity = read_identity(run)
    if json:
        raise typer.Exit(print_documents([run_document(run)], as_json=True))
    view = RunView(run)
    try:
        now = run_status(view)
    finally:
        view.close()
    say(f"{identity.model} on {identity.task} ({identity.split}), protocol {identity.protocol}: {now.status}")
    say(
        f"  prompts     {now.prompts} of {now.split_prompts}, {now.samples} sample{'' if now.samples == 1 else 's'} each"
    )
    say(
        f"  completions {now.prompts * now.samples - now.pending_completions} stored, {now.pending_completions} pending"
    )
    say(f"  renderings  {now.pending_renderings} pending")
    for name, count in now.pending_scores.items():
        say(f"  scores      {count} pending for {name}")
    for outcome, count in now.failures.items():
        say(f"  {outcome:<11} {count}, the last: {now.last_failures[outcome]}")
    if now.status == "incomplete":
        say("Run the same `sgpbench run` command again to continue.")
        raise typer.Exit(3)
