"""``sgpbench export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import say, say_json

__all__ = ["app"]

app = command_app()


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of results.")] = Path("results"),
    evidence_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where evidence too large for git (5 MB) can be had.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Write a run's result and its evidence, checked against the schema."""
    from sgpbench.cli.output import writing_to
    from sgpbench.results.from_run import export_run

    with writing_to(out):
        paths = export_run(run, out, address=evidence_url)
    if json:
        say_json({"result": str(paths[0]), "evidence": str(paths[1])})
        return
    for path in paths:
        say(f"{path}  ({path.stat().st_size / 1000:,.0f} kB)")
