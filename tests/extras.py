"""What a test needs beyond the core: where it is missing, the test is skipped and says how to get it."""

from __future__ import annotations

import importlib
import shutil

import pytest

__all__ = ["browser_path", "how_to_get", "needs_extra"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def how_to_get(extra: str) -> str:
    """The reason of a skip for want of an extra of ``pyproject.toml``; it holds the command that installs it."""
    return f"needs the [{extra}] extra: pip install -e '.[{extra}]'"


def needs_extra(extra: str, module: str) -> None:
    """Skips the test that calls it where a module of the extra cannot be imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        pytest.skip(how_to_get(extra))
    except OSError as error:
        # CairoSVG is there, but not the system's library that it draws with.
        pytest.skip(f"{module} does not load ({error}): apt-get install libcairo2")


def browser_path() -> str:
    """The executable of a Chromium or Chrome on PATH; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip("needs Chromium or Chrome: apt-get install chromium")
    return found
