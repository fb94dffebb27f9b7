"""``sgpbench repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import say, say_json

__all__ = ["app"]

app = command_app()


@app.command()
def repair(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Make a damaged run.db anew from every intact row. The old file is kept; a run that is not damaged is not touched."""
    from sgpbench.run.repair import repair as repair_run

    report = repair_run(run)
    if json:
        import dataclasses

        found = dataclasses.asdict(report) | {"kept": str(report.kept)} if report else None
        say_json({"repaired": found})
        return
    if report is None:
        say(f"{run / 'run.db'} is not damaged; nothing was changed.")
        return
    say(f"{run / 'run.db'} was damaged: {report.damage}.")
    say(f"  saved  {', '.join(f'{count:,} {name}' for name, count in report.saved.items() if count) or 'nothing'}")
    for sentence in report.lost:
        say(f"  lost   {sentence}")
    say(f"  kept   {report.kept} (the damaged file, as it was)")
    say("Run the same `sgpbench run` command again to continue.")
