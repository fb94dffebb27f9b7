"""``sgpbench doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import console, say_json, styled

if TYPE_CHECKING:
    from sgpbench.run.checks import Check

__all__ = ["app"]

app = command_app()


@app.command()
def doctor(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Say what works on this machine (renderer, keys, data, weights, GPU) and what to do about the rest."""
    import dataclasses

    from sgpbench.run.checks import check_machine

    checks = check_machine(data_dir)
    if json:
        say_json({"checks": [dataclasses.asdict(check) for check in checks]})
        return
    from rich.table import Table

    out = console()
    for group in dict.fromkeys(check.group for check in checks):
        table = Table(
            box=None, show_header=False, padding=(0, 1), title=group, title_justify="left", title_style="bold"
        )
        for column_style in (None, "bold", None):
            table.add_column(style=column_style, overflow="fold")
        for check in checks:
            if check.group == group:
                mark = styled("✓", "green") if check.works else styled("–", "yellow")
                table.add_row(mark, styled(check.name), styled(_words(check)))
        out.print(table)


def _words(check: Check) -> str:
    return check.detail if check.works else f"{check.detail} {check.remedy or ''}".strip()
