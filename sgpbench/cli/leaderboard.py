"""``sgpbench leaderboard``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

__all__ = ["app"]

app = group_app("Build or serve the leaderboard.")

_Results = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of published results.")]
_Out = Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of the site.")]
_Data = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the data sets are, for captions.")]


@app.command()
def build(
    results: _Results = Path("results"),
    out: _Out = Path("site"),
    data_dir: _Data = None,
    gallery_prompts: Annotated[int, typer.Option(metavar="N", min=1, help="Prompts per task in the gallery.")] = 200,
    programs: Annotated[bool, typer.Option(help="Have the programs' text in the gallery.")] = True,
    address: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the site will be served (https), for feed and social cards."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Build the leaderboard: static files that work from a web server and from a folder alike."""
    from sgpbench.cli.output import writing_to
    from sgpbench.errors import UsageError
    from sgpbench.leaderboard.build import Options, build_site
    from sgpbench.leaderboard.naming import safe_link

    if address is not None and safe_link(address) is None:
        raise UsageError(f"--address takes an https address, not '{address}'.")
    options = Options(data=data_dir, gallery_prompts=gallery_prompts, programs=programs, address=address)
    with writing_to(out):
        report = build_site(results, out, options)
    for warning in report.warnings:
        say(f"sgpbench: {warning}", err=True)
    if json:
        document = {
            "folder": str(report.folder),
            "results": report.results,
            "pages": report.pages,
            "files": report.files,
            "bytes": report.bytes,
            "changed": report.changed,
            "rendered": report.rendered,
            "seconds": {step: round(seconds, 3) for step, seconds in report.seconds.items()},
            "warnings": list(report.warnings),
        }
        say_json(document)
        return
    say(
        f"{report.folder / 'index.html'}: {report.results} result{'' if report.results == 1 else 's'}, "
        f"{report.pages} pages, {report.files} files, "
        f"{report.bytes / 1e6:,.1f} MB in {sum(report.seconds.values()):.1f} s "
        f"({report.changed} files changed, {report.rendered} drawings rendered)"
    )


@app.command()
def serve(
    out: _Out = Path("site"),
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes any free port.")] = 8000,
) -> None:
    """Serve a built site on this machine, for a look."""
    from sgpbench.leaderboard.serve import serve_site

    serve_site(out, port)
