"""``sgpbench validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sgpbench.results.validate import Checked, Problem

__all__ = ["app"]

app = typer.Typer()


@app.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Results, or folders of them.")],
    data_dir: Annotated[Path | None, typer.Option(help="Where data sets are looked for first.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Check results: schema, name, hashes, and that the evidence gives the published numbers.

    Prints one line per problem; the exit code is 1 if there is any. Where the task's data is here, prompts are checked too.
    """
    import sys

    from sgpbench.data.store import DataStore
    from sgpbench.paths import data_dirs
    from sgpbench.results.validate import validate as check

    checked = check(paths, data=DataStore(data_dirs(data_dir)))
    if json:
        _print_json(checked)
    else:
        for problem in checked.problems:
            print(problem)
        for note in checked.notes:
            print(f"{note.path}: note: {note.message}", file=sys.stderr)
        found = f"{len(checked.problems)} problem{'' if len(checked.problems) == 1 else 's'}"
        results = f"{checked.results} result{'' if checked.results == 1 else 's'}"
        print(f"{results} checked, {found if checked.problems else 'no problem'}.", file=sys.stderr)
    if checked.problems:
        raise typer.Exit(1)


def _print_json(checked: Checked) -> None:
    import json

    def listed(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
        return [{"path": str(problem.path), "message": problem.message} for problem in problems]

    document = {
        "results": checked.results,
        "problems": listed(checked.problems),
        "notes": listed(checked.notes),
    }
    print(json.dumps(document, ensure_ascii=False))
