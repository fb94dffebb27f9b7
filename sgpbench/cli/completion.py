"""``--install-completion``: typer's, made to complete at the first Tab in zsh too."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.completion import install_callback
from typer.core import TyperOption

__all__ = ["completes_at_first_tab"]

_AT_ONCE = '\n_sgpbench_completion "$@"\n'
"""zsh runs the installed file at the first Tab, and all that it does is to declare this function for the next."""


def completes_at_first_tab(option: TyperOption) -> None:
    """Changes the option ``--install-completion`` accordingly."""

    def install(ctx: typer.Context, parameter: typer.CallbackParam, wanted: bool | None) -> bool | None:
        try:
            install_callback(ctx, parameter, wanted)
        except SystemExit:
            declared = Path.home() / ".zfunc" / "_sgpbench"
            if declared.is_file() and not (text := declared.read_text("utf-8")).endswith(_AT_ONCE):
                declared.write_text(text + _AT_ONCE, "utf-8")
            raise
        return wanted

    option.callback = install  # type: ignore[assignment]  # typer names its own copy of click's classes
