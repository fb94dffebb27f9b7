#!/usr/bin/env python3
"""Moves the lines of ``changelog.d`` into ``CHANGELOG.md``, each to the end of its heading in the newest release.

``--check`` only says whether every file there can be read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ELSE = "Working with it"
"""The heading of lines that stand under none."""
_HEADING = re.compile(r"### (.+)")


def read_fragment(text: str) -> dict[str, list[str]]:
    """The entries of a file, each with the lines that continue it, by heading.

    Raises:
        ValueError: a line is neither a heading nor an entry nor the continuation of one.
    """
    found: dict[str, list[str]] = {}
    heading = ELSE
    for line in text.splitlines():
        if match := _HEADING.fullmatch(line):
            heading = match[1].strip()
        elif line.startswith("- "):
            found.setdefault(heading, []).append(line)
        elif line.startswith("  ") and found.get(heading):
            found[heading][-1] += f"\n{line}"
        elif line.strip():
            raise ValueError(f"neither '### Heading' nor '- entry': {line}")
    return found


def with_entries(changelog: str, entries: dict[str, list[str]]) -> str:
    """The changelog with these entries at the end of their headings in the newest release; a new heading comes last."""
    head, mark, rest = changelog.partition("\n## ")
    newest, older_mark, older = rest.partition("\n## ")
    for heading, lines in entries.items():
        before, found, below = f"{newest.rstrip()}\n".partition(f"\n### {heading}\n")
        if not found:
            before, found, below = f"{before}", f"\n### {heading}\n", ""
        own, next_mark, others = below.partition("\n### ")
        newest = f"{before}{found}\n" + "\n".join([*([own.strip("\n")] if own.strip() else []), *lines]) + "\n"
        newest += next_mark + others
    return head + mark + newest.rstrip() + "\n" + older_mark + older


def main(root: Path = ROOT) -> int:
    """Moves the entries, or checks them; returns an exit code."""
    files = sorted(path for path in (root / "changelog.d").glob("*.md") if path.name != "README.md")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text("utf-8")
    for file in files:
        try:
            text = with_entries(text, read_fragment(file.read_text("utf-8")))
        except ValueError as error:
            print(f"{file}: {error}", file=sys.stderr)
            return 1
    if "--check" not in sys.argv[1:]:
        changelog.write_text(text, "utf-8")
        for file in files:
            file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
