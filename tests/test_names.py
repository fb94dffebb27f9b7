"""What modules say of themselves: the exceptions they raise on purpose, and the names that are meant for others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sgpbench import errors

PACKAGE = Path(errors.__file__).parent
MODULES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if "_root" not in path.parts
}


def exceptions() -> dict[str, str]:
    """Every exception of ours in the package, by name, with the one that it is a kind of."""
    bases: dict[str, set[str]] = {}
    for module in MODULES.values():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(base.id for base in node.bases if isinstance(base, ast.Name))
    found = {"SgpbenchError": ""}
    while new := {
        name: parent
        for name, parents in bases.items()
        for parent in parents & found.keys()
        if name not in found and not name.startswith("_")
    }:
        found |= new
    return found


def drawn(tree: str) -> dict[str, tuple[str, str]]:
    """Of every name in a drawn tree, its parent and what is said of it."""
    found: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in tree.splitlines():
        if match := re.fullmatch(r"    ((?:[│ ]   )*(?:[├└]── )?)(\w+)\s+(\S.*)", line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            found[match[2]] = (path[depth - 1] if depth else "", match[3])
    return found


def test_the_tree_of_exceptions_is_the_one_that_there_is() -> None:
    told = drawn(errors.__doc__ or "")
    assert {name: parent for name, (parent, _) in told.items()} == exceptions()


def test_the_tree_says_which_exceptions_leave_with_another_code_than_1() -> None:
    for name, (parent, words) in drawn(errors.__doc__ or "").items():
        kind = getattr(errors, name, None)
        if kind is not None and parent and kind.exit_code != getattr(errors, parent).exit_code:
            assert f"exit code {kind.exit_code}" in words, name
        else:
            assert "exit code" not in words, name


def bound(path: Path) -> set[str]:
    """The names that a module's own statements give a value to or import, and of a folder the modules in it."""
    names = {one.stem for one in (PACKAGE / path).parent.iterdir()} if path.stem == "__init__" else set()
    for node in MODULES[path].body:
        for inner in ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(inner.name)
            elif isinstance(inner, ast.Assign | ast.AnnAssign):
                targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
                names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                names |= {alias.asname or alias.name.partition(".")[0] for alias in inner.names}
    return names


def exported(module: ast.Module) -> list[str]:
    """``__all__``; empty where there is none."""
    for node in module.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets
        ):
            return [str(one) for one in ast.literal_eval(node.value)]
    return []


def imported() -> dict[str, set[str]]:
    """Of every module of ours, by its dotted name, what others of the package import from it but its own modules."""
    used: dict[str, set[str]] = {}
    for module in MODULES.values():
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sgpbench"):
                folder = PACKAGE.joinpath(*node.module.split(".")[1:])
                names = {alias.name for alias in node.names if not alias.name.startswith("__")}
                parts = {one.stem for one in folder.iterdir()} if folder.is_dir() else set()
                used.setdefault(node.module, set()).update(names - parts)
    return used


def test_all_names_in_order_what_is_there_and_everything_that_others_import() -> None:
    used = imported()
    for path, module in MODULES.items():
        names = exported(module)
        dotted = ".".join(["sgpbench", *path.with_suffix("").parts]).removesuffix(".__init__")
        assert names == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name)), path
        assert set(names) <= bound(path), path
        assert used.get(dotted, set()) <= set(names), path
