#!/usr/bin/env python3
"""Runs every check: lint, types, tests. ``--all`` installs the heavy extras first, so that nothing is skipped for want
of torch, cairo or a browser's driver. Other arguments go to pytest (``scripts/test.py -k store``).
"""

from __future__ import annotations

import subprocess
import sys

from environment import FOLDER, ROOT, prepare, run, say

LONG = "slow or torch or browser"
"""Marks of the tests that only ``--all`` runs."""
FAST = f"not ({LONG})"


def main() -> None:
    """Installs what the checks need and runs them; the exit code is that of the first check that fails."""
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    arguments = [word for word in arguments if word != "--all"]
    print(plan(everything, arguments), flush=True)
    prepare("dev,docs,local,metrics" if everything else "dev,local")
    say("Lint")
    run("ruff", "check", ".")
    run("ruff", "format", "--check", ".")
    say("Types")
    run("mypy")
    say("Tests")
    run("pytest", *(arguments or ["-n", "2", *([] if everything else ["-m", FAST])]))
    print(remainder(everything, arguments), flush=True)


def plan(everything: bool, arguments: list[str]) -> str:
    """What will be done and how long that takes (measured on two cores, see ``docs/first-steps.md``)."""
    if arguments:
        tests = f"pytest {' '.join(arguments)}"
    elif everything:
        tests = "all tests, about 11 minutes"
    else:
        tests = "the tests that take no long time and need no torch and no browser, 2 to 5 minutes"
    extras = "every extra with torch: 6 GB, about 5 minutes" if everything else "the tools: 1 GB, about 2 minutes"
    return (
        "This checks sgpbench; nothing outside this folder is changed but pip's cache:\n"
        f"  1. installs {FOLDER}, if it is not there yet ({extras})\n"
        "  2. lint (ruff) and types (mypy), about 1 minute\n"
        f"  3. {tests}\n"
        "It stops at the first of them that fails. Times are of two cores."
    )


def remainder(everything: bool, arguments: list[str]) -> str:
    """What was not run, and how to run it."""
    skipped = "Tests that were skipped are listed above, each with what it needs."
    if arguments:
        return f"\nDone. Only `pytest {' '.join(arguments)}` was run; without arguments this runs all fast tests. {skipped}"
    if everything:
        return f"\nDone. All tests were run. {skipped}"
    listing = subprocess.run(
        [FOLDER / "bin" / "pytest", "--collect-only", "-q", "-m", LONG],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    count = sum("::" in line for line in listing.stdout.splitlines())
    return (
        f"\nDone. Not run: {count} tests that take long or need a browser, and those that need torch.\n"
        "  python3 scripts/test.py --all        installs torch and the rest (6 GB) and runs everything, 15 to 20 minutes\n"
        f"  .venv/bin/pytest -m slow -n 2        runs the long ones with what is installed here\n{skipped}"
    )


if __name__ == "__main__":
    main()
