"""The words that protocols put to models and judges: our own, or the released code's, read from the pinned files.

Upstream words are data. They are read as string literals out of two Python files whose hashes are in the manifest
``upstream-templates`` (nothing of them is run), or out of one JSON file of the same wording. The raw prompt of the
object and scene tasks stands in the captions file, spelled out for every caption.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from sgpbench.data.interface import DataFolders
from sgpbench.errors import DataError, ProtocolError
from sgpbench.protocol import Template

__all__ = ["UPSTREAM_NAMES", "fill", "literal_template", "resolve"]

_DATASET = "upstream-templates"
_JSON = "protocol-templates.json"
_RUBRICS = "evaluation_prompts.py"
_GENERATION = "generation.py"
_FUNCTIONS = {
    "eval_prompt_binding": _RUBRICS,
    "eval_prompt_relation": _RUBRICS,
    "eval_prompt_numeracy_total": _RUBRICS,
    "eval_prompt_numeracy_item": _RUBRICS,
    "eval_prompt_numeracy_count_binding": _RUBRICS,
    "get_svg_generation_prompt": _GENERATION,
}
_CAPTIONS = ("coco-val-captions", "coco_test_data.json")
_FROM_CAPTIONS = ("rl_generation_prompt", "instruction")
UPSTREAM_NAMES = (*_FUNCTIONS, *_FROM_CAPTIONS)
"""The names that a protocol may ask for."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


def fill(template: str, values: Mapping[str, str | int]) -> str:
    """The template with each ``{name}`` of ``values`` replaced, in one pass; all other braces stay as they are.

    A value that itself holds braces (a caption may) is put in as it is.
    """
    return _PLACEHOLDER.sub(lambda match: str(values.get(match[1], match[0])), template)


def resolve(template: Template, data: DataFolders) -> str:
    """The words of a protocol's template, with placeholders in braces: ``{caption}`` in every prompt to a model.

    Rubrics have ``{prompt}``, ``{total_count}``, ``{noun_list}``, or ``{count}`` and ``{noun}``.

    Raises:
        ProtocolError: the template names neither or both of text and upstream, or an unknown upstream name.
        DataError: the upstream files are missing or changed; the message holds the command that fetches them.
    """
    if template.text is not None and template.upstream is None:
        return template.text
    if template.upstream is None or template.text is not None:
        raise ProtocolError("A template has either its own text or the name of an upstream one.")
    name = template.upstream
    if name not in UPSTREAM_NAMES:
        raise ProtocolError(f"There is no upstream template '{name}'; there are {', '.join(UPSTREAM_NAMES)}.")
    words = _upstream_words(name, data)
    if name == "instruction":
        return f"{words} {{caption}}"
    return fill(words, {"description": "{caption}"})


def _upstream_words(name: str, data: DataFolders) -> str:
    """A template as upstream has it."""
    if (whole := data.find(_DATASET, _JSON)) is not None:
        return _json_templates(whole)[name]
    if name in _FROM_CAPTIONS:
        return _caption_templates(data.file(*_CAPTIONS))[name]
    return literal_template(data.file(_DATASET, _FUNCTIONS[name]), name)


@lru_cache(maxsize=8)
def literal_template(path: Path, function: str) -> str:
    """What a function in a Python file returns, as a template: its literal with ``{argument}`` for each argument.

    The return value may be a string, an f-string over names, ``str.format`` of a literal, or several of these joined by
    ``+``, also by way of a variable; a variable that holds anything else is a placeholder itself. Nothing is run.

    Raises:
        DataError: there is no such function, or it returns anything else.
    """
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path} is not a Python file: {error}.") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            returns = [inner for inner in ast.walk(node) if isinstance(inner, ast.Return)]
            variables = {
                target.id: statement.value
                for statement in node.body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
            if len(returns) == 1 and returns[0].value is not None:
                return _words(returns[0].value, variables, f"{path}: {function}")
    raise DataError(f"{path} has no function {function} that returns one literal.")


def _words(node: ast.expr, variables: Mapping[str, ast.expr], where: str) -> str:
    """The literal that an expression spells, with names as placeholders."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_words(part, variables, where) for part in parts)
        case ast.FormattedValue(value=ast.Name() as name, conversion=-1, format_spec=None):
            return _words(name, variables, where)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left, variables, where) + _words(right, variables, where)
        case ast.Name(id=name):
            return _words(variables[name], {}, where) if _spells(variables.get(name)) else f"{{{name}}}"
        case ast.Call(func=ast.Attribute(value=literal, attr="format"), args=[], keywords=keywords):
            renamed = {k.arg: f"{{{k.value.id}}}" for k in keywords if k.arg and isinstance(k.value, ast.Name)}
            if len(renamed) == len(keywords):
                return fill(_words(literal, variables, where), renamed).replace("{{", "{").replace("}}", "}")
        case _:
            pass
    raise DataError(f"{where} is not spelled out as a literal (line {node.lineno}).")


def _spells(node: ast.expr | None) -> bool:
    """Whether a variable's value is words rather than something computed."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, right=right):
            return _spells(left) and _spells(right)
        case _:
            return False


@lru_cache(maxsize=4)
def _json_templates(path: Path) -> Mapping[str, str]:
    templates: Mapping[str, str] = json.loads(path.read_bytes())["templates"]
    return templates


@lru_cache(maxsize=4)
def _caption_templates(path: Path) -> Mapping[str, str]:
    """The raw prompt with ``{caption}``, and the instruction in it, from the prompts spelled out for each caption."""
    rows: list[dict[str, str]] = json.loads(path.read_bytes())
    found = {_before_and_after(row["prompt"], row["caption"]) for row in rows}
    if len(found) != 1:
        raise DataError(f"{path} does not spell one prompt for all captions.")
    before, after = found.pop()
    speaker, _, instruction = before.rpartition("\n")[2].partition(": ")
    if not instruction:
        raise DataError(f"{path}: the words before the caption hold no instruction after '{speaker}'.")
    return {"rl_generation_prompt": f"{before}{{caption}}{after}", "instruction": instruction.strip()}


def _before_and_after(prompt: str, caption: str) -> tuple[str, str]:
    before, _, after = prompt.rpartition(caption)
    return before, after
