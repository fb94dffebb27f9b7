"""Puts the commands together, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import sqlite3
import sys
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from sgpbench import __version__
from sgpbench.cli.apps import NamingGroup
from sgpbench.cli.completion import completes_at_first_tab
from sgpbench.errors import SgpbenchError
from sgpbench.paths import cache_error
from sgpbench.terminal import VisibleFormatter, say

__all__ = ["app", "command_names", "main"]

# Name → (module that holds ``command`` or ``app``, line for --help). Modules are imported when their command is called.
_COMMANDS = {
    "run": ("sgpbench.cli.run", "Ask a model for drawings, render and score them. Run it again to continue."),
    "score": ("sgpbench.cli.score", "Score a run again, with no call to its model."),
    "status": ("sgpbench.cli.status", "Say how far a run has come."),
    "show": ("sgpbench.cli.show", "Show one sample, or write a contact sheet of a run."),
    "export": ("sgpbench.cli.export", "Write a run's result and evidence for publication."),
    "repair": ("sgpbench.cli.repair", "Save what is intact of a damaged run.db."),
    "validate": ("sgpbench.cli.validate", "Check results and their evidence."),
    "compare": ("sgpbench.cli.compare", "Compare two models over the prompts they share."),
    "leaderboard": ("sgpbench.cli.leaderboard", "Build or serve the leaderboard."),
    "data": ("sgpbench.cli.data", "List, fetch and verify data sets."),
    "tasks": ("sgpbench.cli.tasks", "List and show tasks."),
    "models": ("sgpbench.cli.models", "List and show models."),
    "metrics": ("sgpbench.cli.metrics", "List and show metrics."),
    "judge": ("sgpbench.cli.judge", "Calibrate a judge before paying it."),
    "doctor": ("sgpbench.cli.doctor", "Say what works on this machine and what to do about the rest."),
}


def command_names() -> list[str]:
    """The commands, in the order of ``--help``."""
    return list(_COMMANDS)


class _LazyGroup(NamingGroup):
    """Commands whose modules are imported only when they are called: ``--help`` stays fast."""

    _called = False

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """What is left of ``args`` for a command."""
        for parameter in self.params:
            if isinstance(parameter, TyperOption) and parameter.name == "install_completion":
                completes_at_first_tab(parameter)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return command_names()

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        self._called = True
        try:
            return super().resolve_command(ctx, args)
        finally:
            self._called = False

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # type: ignore[override]
        if cmd_name not in _COMMANDS:
            return None
        name, help_line = _COMMANDS[cmd_name]
        if not self._called:
            return TyperCommand(cmd_name, help=help_line)
        command = typer.main.get_command(importlib.import_module(name).app)
        command.name = cmd_name
        command.help = command.help or help_line
        assert isinstance(command, TyperCommand | TyperGroup)
        return command


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"sgpbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens to stderr.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How well do language models draw by writing programs? Runs SGP-GenBench (text to SVG) against any model."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, handlers=[handler])


def main() -> None:
    """The entry point: exit codes are 0 done, 1 error, 2 usage, 3 incomplete, 130 interrupted."""
    try:
        app()
    except SgpbenchError as error:
        say(f"sgpbench: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    except sqlite3.DatabaseError as error:
        say(f"sgpbench: a run's database failed while it was read: {error}. Run `sgpbench repair RUN`.", err=True)
        sys.exit(1)
    except OSError as error:
        if (of_cache := cache_error(error)) is not None:
            say(f"sgpbench: {of_cache}", err=True)
            sys.exit(1)
        where = f"{error.filename}: " if error.filename else ""
        say(f"sgpbench: {where}{error.strerror or error}.", err=True)
        sys.exit(1)
