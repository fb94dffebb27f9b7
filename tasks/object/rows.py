"""Reads ``SGP-Object.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import cast

from sgpbench.errors import DataError
from sgpbench.records import Json, Prompt, Reference
from sgpbench.tasks.questions import Questions
from sgpbench.tasks.texts import normalised, slug

__all__ = ["read_prompts"]

_CLASS_FIELDS = ("major_class", "sub_class")


def read_prompts(path: Path, questions: Questions) -> list[Prompt]:
    """The rows that hold both a description and an SVG, as the released loader takes them.

    An id is the row's number in the file and, where there is one, its file name: ``object-0042-red-lantern``. Equal
    normalised descriptions share a cluster. The category is the row's major class, else ``object``.

    Raises:
        DataError: the file has another form.
    """
    prompts: list[Prompt] = []
    clusters: dict[str, str] = {}
    for number, row in enumerate(_rows(path), start=1):
        caption, svg = _text(row, "description"), _text(row, "svg_content")
        if not caption.strip() or not svg.strip():
            continue
        file_name = _text(row, "file_name")
        prompt_id = "-".join(filter(None, ["object", f"{number:04d}", slug(PurePosixPath(file_name).stem)]))
        metadata: dict[str, Json] = {"file_name": file_name}
        metadata |= {key: _text(row, key) for key in _CLASS_FIELDS if _text(row, key)}
        prompts.append(
            Prompt(
                id=prompt_id,
                caption=caption,
                category=slug(_text(row, "major_class")) or "object",
                cluster=clusters.setdefault(normalised(caption), prompt_id),
                metadata=metadata,
                reference=Reference(svg=svg),
                questions=questions.of(caption),
            )
        )
    if not prompts:
        raise DataError(f"{path} has no row with the fields description and svg_content.")
    return prompts


def _rows(path: Path) -> Sequence[Mapping[str, object]]:
    """The file's rows: a list of objects, or one object that holds them as its values or under its only key."""
    try:
        data: object = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from None
    if isinstance(data, dict):
        values = list(data.values())
        data = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path} is not a list of rows.")
    return cast("Sequence[Mapping[str, object]]", data)


def _text(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
