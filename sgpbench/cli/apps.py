"""How every command is made: plain help in which nothing is eaten, and the nearest name for a misspelt one."""

from __future__ import annotations

import typer
from typer.core import TyperCommand, TyperGroup

from sgpbench.errors import unknown_name

__all__ = ["NamingGroup", "command_app", "group_app"]


class NamingGroup(TyperGroup):
    """A group that answers a wrong command with the nearest one and the command that lists all."""

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """The command that ``args`` begin with.

        Raises:
            UsageError: there is none of that name.
        """
        name = args[0]
        known = self.list_commands(ctx)
        if not name.startswith("-") and name not in known and not ctx.resilient_parsing:
            raise unknown_name("command", name, known, listing=f"{ctx.command_path} --help")
        return super().resolve_command(ctx, args)  # type: ignore[return-value]


def command_app() -> typer.Typer:
    """For a file that holds one command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def group_app(help_line: str) -> typer.Typer:
    """For a file that holds several commands; without one of them it prints its help."""
    return typer.Typer(
        cls=NamingGroup, no_args_is_help=True, rich_markup_mode=None, add_completion=False, help=help_line
    )
