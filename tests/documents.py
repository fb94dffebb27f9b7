"""Reads what the project's documents tell a reader to type: commands, examples, links."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = {".venv", "build", "node_modules", "quickstart", "runs", "site", "artifacts"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not (
        _LEFT_OUT & set(path.relative_to(ROOT).parts)
        or any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    )
)
SCRIPTS = sorted(path for folder in ("examples", "benchmarks", "scripts") for path in (ROOT / folder).glob("*.py"))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LAYOUT = re.compile(r"(<\w+>|\w+)/")
"""A line that shows files rather than a command."""


def _docs_pages() -> ModuleType:
    specification = importlib.util.spec_from_file_location("docs_pages", ROOT / "scripts" / "docs_pages.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


DOCS_PAGES = _docs_pages()
"""``scripts/docs_pages.py``, which makes the pages that follow from the code."""


@dataclass(frozen=True, order=True)
class Command:
    """One command as it is written in a document."""

    document: str
    words: str
    inline: bool = False
    """Within a sentence: it may leave out what the sentence says."""

    def __str__(self) -> str:
        return f"{self.document}: {self.words}"


def text_of(path: Path) -> str:
    """A page as it is; of a script, what its docstring says."""
    text = path.read_text("utf-8")
    return text if path.suffix == ".md" else ast.get_docstring(ast.parse(text), clean=False) or ""


def fenced(path: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [body for name, body in _FENCE.findall(path.read_text("utf-8")) if name == language]


def commands(path: Path) -> list[Command]:
    """All commands of a page or a docstring: indented lines, shell blocks, and inline code that begins with ``sgpbench``."""
    name = str(path.relative_to(ROOT))
    text = text_of(path)
    shell = "\n".join(body for language, body in _FENCE.findall(text) if language in {"", "sh", "bash", "console"})
    prose = _FENCE.sub("", text)
    blocks = "\n".join(line[4:] for line in prose.splitlines() if line.startswith("    ") and line.strip())
    lines = [*_lines(blocks), *_lines(shell)]
    inline = [code for code in _INLINE.findall(prose) if code.startswith("sgpbench ")]
    if path.suffix == ".py":
        lines = [line for line in lines if line.startswith(("sgpbench ", "python ", "SGPBENCH_"))]
    return [
        *(Command(name, line) for line in lines if not _LAYOUT.match(line)),
        *(Command(name, line, inline=True) for line in inline),
    ]


def _lines(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        told = re.sub(r"\s+#\s.*$", "", line).strip().removeprefix("$ ")
        # Two commands may stand side by side in one line.
        yield from (one.strip() for one in re.split(r"\s{2,}(?=sgpbench )", told) if one.strip())
