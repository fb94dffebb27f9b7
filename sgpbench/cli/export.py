"""``sgpbench export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's directory.")],
    out: Annotated[Path, typer.Option(help="The folder of results.")] = Path("results"),
    evidence_url: Annotated[
        str | None, typer.Option(help="Where evidence too large for git (5 MB) can be had.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Write a run's result and its evidence, checked against the schema."""
    from sgpbench.cli.output import writing_to
    from sgpbench.results.from_run import export_run

    with writing_to(out):
        paths = export_run(run, out, address=evidence_url)
    if json:
        import json as json_module

        print(json_module.dumps({"result": str(paths[0]), "evidence": str(paths[1])}))
        return
    for path in paths:
        print(f"{path}  ({path.stat().st_size / 1000:,.0f} kB)")
