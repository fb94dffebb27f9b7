"""``sgpbench validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.results.validate import Checked, Problem

__all__ = ["app"]

app = command_app()


@app.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Results, or folders of them.")],
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Check results: schema, name, hashes, and that the evidence gives the published numbers.

    Prints one line per problem; the exit code is 1 if there is any. Where the task's data is here, prompts are checked too.
    """
    from sgpbench.data.store import DataStore
    from sgpbench.paths import data_dirs
    from sgpbench.results.validate import validate as check

    checked = check(paths, data=DataStore(data_dirs(data_dir)))
    if json:
        _print_json(checked)
    else:
        for problem in checked.problems:
            say(problem)
        for note in checked.notes:
            say(f"{note.path}: note: {note.message}", err=True)
        found = f"{len(checked.problems)} problem{'' if len(checked.problems) == 1 else 's'}"
        results = f"{checked.results} result{'' if checked.results == 1 else 's'}"
        say(f"{results} checked, {found if checked.problems else 'no problem'}.", err=True)
    if checked.problems:
        raise typer.Exit(1)


def _print_json(checked: Checked) -> None:
    def listed(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
        return [{"path": str(problem.path), "message": problem.message} for problem in problems]

    document = {
        "results": checked.results,
        "problems": listed(checked.problems),
        "notes": listed(checked.notes),
    }
    say_json(document)
