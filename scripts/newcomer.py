#!/usr/bin/env python3
"""Does what the README tells a newcomer to do, word for word, as on a machine where nothing was ever done.

The commands of the README's section *Start* are run, one after the other, in a fresh clone, with an empty home and an
empty cache; nothing of the environment is kept but the way to the package index. Prints how long each took, and ends
with the exit code of the first that fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT")  # fmt: skip
"""Variables that say where programs and packages come from. No other reaches the commands."""


def commands(readme: str, section: str = "Start") -> list[str]:
    """The lines of the indented blocks of a section of level two.

    Raises:
        ValueError: there is no such section, or it holds no command.
    """
    _, heading, rest = readme.partition(f"\n## {section}\n")
    found = [line.strip() for line in rest.partition("\n## ")[0].splitlines() if line.startswith("    ")]
    if not heading or not found:
        raise ValueError(f"the README has no commands under '## {section}'")
    return found


def fresh_copy(root: Path, target: Path) -> None:
    """Clones what is committed; where there is no git, copies what is there, but for environments and artifacts."""
    if (root / ".git").exists() and shutil.which("git"):
        subprocess.run(["git", "clone", "--quiet", root.as_uri(), str(target)], check=True)
        return
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", "quickstart"))


def main(root: Path = ROOT) -> int:
    """Runs the commands and returns an exit code."""
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        clone, home = Path(folder) / "sgpbench", Path(folder) / "home"
        home.mkdir()
        fresh_copy(root, clone)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(home)}
        times = []
        for command in commands((clone / "README.md").read_text("utf-8")):
            print(f"\n$ {command}", flush=True)
            started = time.monotonic()
            code = subprocess.run(["/bin/sh", "-c", command], cwd=clone, env=environment, check=False).returncode
            times.append(f"  {time.monotonic() - started:6.0f} s  {command}")
            if code:
                print(f"\nThe README's `{command}` fails on a fresh machine (exit code {code}).", file=sys.stderr)
                return code
        print("\nWhat the README tells a newcomer to do works:", *times, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
