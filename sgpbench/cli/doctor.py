"""``sgpbench doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command()
def doctor(
    data_dir: Annotated[Path | None, typer.Option(help="Where data sets are looked for first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Say what works on this machine (renderer, keys, data, weights, GPU) and what to do about the rest."""
    import dataclasses
    import json as json_module

    from sgpbench.run.checks import check_machine

    checks = check_machine(data_dir)
    if json:
        print(json_module.dumps({"checks": [dataclasses.asdict(check) for check in checks]}, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for group in dict.fromkeys(check.group for check in checks):
        table = Table(
            box=None, show_header=False, padding=(0, 1), title=group, title_justify="left", title_style="bold"
        )
        for column_style in (None, "bold", None):
            table.add_column(style=column_style, overflow="fold")
        for check in checks:
            if check.group == group:
                mark = "[green]✓[/]" if check.works else "[yellow]–[/]"
                table.add_row(
                    mark, check.name, check.detail if check.works else f"{check.detail} {check.remedy or ''}".strip()
                )
        console.print(table)
