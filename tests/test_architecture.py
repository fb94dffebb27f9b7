"""The import direction of DESIGN: a module may import only from the layers below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "sgpbench"

# Higher numbers are higher layers. A package may import from itself and from lower layers.
LAYERS = {
    "__main__": 10,
    "cli": 9,
    "leaderboard": 8,
    "results": 7,
    "reward": 7,
    "run": 6,
    "metrics": 5,
    "models": 4,
    "tasks": 4,
    "svg": 3,
    "data": 3,
    "protocol": 2,
    "publishable": 3,
    "redaction": 2,
    "records": 1,
    "paths": 1,
    "terminal": 1,
    "system": 1,
    "errors": 0,
}
SIBLINGS = {("metrics", "tasks")}  # a lower number alone does not make these allowed
HEAVY = {
    "torch",
    "open_clip",
    "transformers",
    "openai",
    "anthropic",
    "google",
    "xllamacpp",
    "pandas",
    "scipy",
    "cv2",
    "pyarrow",
}


def modules() -> list[Path]:
    return sorted(
        path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py" and "_root" not in path.parts
    )


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    own = layer_of(path)
    assert own in LAYERS, f"{own} has no layer"
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "sgpbench" or len(parts) < 2:
            continue
        assert parts[1] == own or LAYERS[parts[1]] < LAYERS[own], f"{path} imports {name}"
        assert (own, parts[1]) not in SIBLINGS, f"{path} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_vllm_is_never_imported(path: Path) -> None:
    assert not any(name.split(".")[0] == "vllm" for name in imported(path))


def test_the_command_line_starts_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = "import sys; import sgpbench.cli.app; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
