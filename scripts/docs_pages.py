"""Makes those pages of the documentation that follow from the code, and the site.

``python scripts/docs_pages.py`` writes ``docs/reference/commands.md`` from what ``--help`` prints; a test says when it is
due. With ``--site`` it also builds the site into ``build/docs`` (needs the extra ``docs``; a warning is an error). The
other pages are made for that alone, and so never old: a page of docstrings for each part of the package, the tasks' data
cards, and the changelog. What builds the site sees plain Markdown and no code of ours.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sgpbench"
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
WIDTH = 100
"""Columns of a terminal as ``--help`` is printed into the documentation."""
BUILD = ROOT / "build"


def helps() -> Iterator[tuple[str, str]]:
    """Every command, outermost first, with what its ``--help`` prints ``WIDTH`` columns wide."""
    import typer

    from sgpbench.cli.app import app

    def below(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
        context = command.context_class(
            command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
        )
        yield context.command_path, command.get_help(context)
        if hasattr(command, "list_commands"):
            command._called = True
            for one in command.list_commands(context):
                yield from below(command.get_command(context, one), one, context)

    yield from below(typer.main.get_command(app), "sgpbench", None)


def commands_page() -> str:
    """The reference of the command line, in Markdown."""
    parts = [
        "# Commands",
        "Every command with what its `--help` prints. Exit codes: 0 done, 1 error, 2 wrong usage, 3 the run is incomplete, "
        "130 interrupted.",
    ]
    for name, text in helps():
        parts += [f"## {name}", f"```text\n{text.rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def parts_of_the_package() -> dict[str, list[str]]:
    """Of every folder of the package, and of what stands outside them (``""``), the modules that say something public."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if "_root" in parts or not re.search(r"^__all__ = \[\s*[\"']", path.read_text("utf-8"), re.MULTILINE):
            continue
        name = ".".join(["sgpbench", *parts]).removesuffix(".__init__")
        found.setdefault(parts[0] if len(parts) > 1 else "", []).append(name)
    # An interface is what a reader came for.
    return {
        part: sorted(names, key=lambda name: (not name.endswith(".interface"), name)) for part, names in found.items()
    }


def reference_page(part: str, names: list[str]) -> str:
    """A page that mkdocstrings fills with the docstrings of these modules."""
    title = f"sgpbench.{part}" if part else "sgpbench"
    return "\n\n".join([f"# {title}", *(f"::: {name}" for name in names)]) + "\n"


@functools.cache
def functions() -> dict[str, list[str]]:
    """Every function (``plan_task``) and method (``Caller.ask``) of the package, with the modules that define one."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(["sgpbench", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
        for node in ast.parse(path.read_text("utf-8")).body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            outer = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for one in inner:
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.setdefault(outer + one.name, []).append(module)
    return found


def where_defined(name: str) -> str:
    """The module of a function or method of the package.

    Raises:
        LookupError: there is none of that name, or there are several.
    """
    found = functions().get(name, [])
    if len(found) != 1:
        raise LookupError(f"{name} is defined in {found or 'no module'}.")
    return found[0]


def from_the_repository(path: Path) -> str:
    """A page that lives beside what it describes; of its links only those to other sites are kept as links."""
    text = path.read_text("utf-8")
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?://|#|mailto:)[^)\s]+\)", r"\1", text)


def with_places(text: str) -> str:
    """Says of each function on the prompt's way where it is defined; the page itself names no module."""
    return re.sub(r"^(\d+\. )`([\w.]+)`", _with_its_place, text, flags=re.MULTILINE)


def _with_its_place(match: re.Match[str]) -> str:
    module = where_defined(match[2])
    part = module.split(".")[1] if module.count(".") > 1 else "top"
    return f"{match[1]}[`{match[2]}`](reference/python/{part}.md#{module}) <small>`{module}`</small><br>"


def made_pages() -> dict[str, dict[str, str]]:
    """The pages that are not in ``docs/``: by their mark in the navigation (``""``: named there), path and text of each."""
    return {
        "@tasks": {
            f"tasks/{card.parent.name}.md": from_the_repository(card)
            for card in sorted((ROOT / "tasks").glob("*/README.md"))
        },
        "@python": {
            f"reference/python/{part or 'top'}.md": reference_page(part, names)
            for part, names in parts_of_the_package().items()
        },
        "": {
            "how-to/task.md": from_the_repository(ROOT / "tasks" / "README.md"),
            "changelog.md": from_the_repository(ROOT / "CHANGELOG.md"),
        },
    }


def stage(target: Path) -> dict[str, list[str]]:
    """Puts all pages into one folder, those made from the code too; returns the made ones by their mark."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target)
    concepts = target / "concepts.md"
    concepts.write_text(with_places(concepts.read_text("utf-8")), "utf-8")
    made = made_pages()
    for pages in made.values():
        for place, text in pages.items():
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_text(text, "utf-8")
    return {mark: list(pages) for mark, pages in made.items() if mark}


def build(folder: Path = BUILD) -> int:
    """Builds the site into ``docs`` in that folder, from pages and a configuration put beside it. Returns an exit code."""
    made = stage(folder / "docs-pages")
    lines = []
    for line in (ROOT / "mkdocs.yml").read_text("utf-8").splitlines():
        indent, _, mark = line.partition("- ")
        lines += [f"{indent}- {place}" for place in made[mark]] if mark in made else [line.replace("@root", str(ROOT))]
    configuration = folder / "mkdocs.yml"
    configuration.write_text("\n".join(lines) + "\n", "utf-8")
    words = ["build", "--quiet", "--strict", "--config-file", str(configuration)]
    # What the makers of mkdocs and of its theme disagree about is no concern of ours: both are pinned.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run([sys.executable, "-m", "mkdocs", *words], cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    """Writes the reference of the command line; with ``--site`` builds the site. Returns an exit code."""
    os.environ["TERM"] = "dumb"
    COMMANDS.write_text(commands_page(), "utf-8")
    if "--site" not in sys.argv[1:]:
        return 0
    code = build()
    if code == 0:
        print(f"The site is in {BUILD / 'docs'}.")
    return code


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
