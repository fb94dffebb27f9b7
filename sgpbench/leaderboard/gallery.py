"""A task's gallery: the same prompts drawn by every model, as data for pages and scripts."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgpbench.leaderboard.board import TASK_ORDER, Board, BoardColumn, Row
from sgpbench.leaderboard.captions import TaskWords
from sgpbench.leaderboard.drawings import Extreme, Shelf, extremes, nested_prompts, shelf_of
from sgpbench.leaderboard.entries import Entry
from sgpbench.leaderboard.naming import plain, shortened
from sgpbench.leaderboard.standings import Standings
from sgpbench.leaderboard.thumbnails import Thumbnails
from sgpbench.records import Outcome, Prompt

__all__ = ["Gallery", "Shown", "gallery_data", "make_galleries", "programs_data", "script_json"]

_LONGEST_CAPTION = 600
_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One model in a gallery."""

    row: Row
    entry: Entry
    shelf: Shelf
    outcomes: Mapping[str, str]
    """Prompt id → outcome of the first sample; prompts that were not asked are missing."""
    values: Mapping[str, float]
    """Prompt id → the prompt's score."""
    extremes: tuple[Extreme, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """One task under one protocol."""

    id: str
    """Its folder: task and protocol."""
    task: str
    protocol: str
    words: TaskWords
    column: BoardColumn | None
    """What drawings are sorted by; ``None`` where nobody scored them."""
    prompts: tuple[Prompt, ...]
    shown: tuple[Shown, ...]
    """In the order of the board."""
    standings: Standings | None

    def caption(self, prompt_id: str) -> str | None:
        """A prompt's words, safe to read."""
        words = self.words.caption(prompt_id)
        return None if words is None else plain(shortened(words, _LONGEST_CAPTION))


def make_galleries(
    boards: Sequence[Board],
    words: Mapping[str, TaskWords],
    standings: Mapping[str, Standings],
    thumbnails: Thumbnails,
    cache: Path,
    number: int,
) -> list[Gallery]:
    """A gallery per task and protocol that has results; ``number`` prompts each."""
    found = []
    for board in boards:
        members: dict[str, list[tuple[Row, Entry]]] = defaultdict(list)
        for row in board.rows:
            for task, entry in row.entries.items():
                members[task].append((row, entry))
        order = sorted(members, key=lambda t: (TASK_ORDER.index(t) if t in TASK_ORDER else len(TASK_ORDER), t))
        found += [
            _gallery(board, task, members[task], words[task], standings, thumbnails, cache, number) for task in order
        ]
    return found


def _gallery(
    board: Board,
    task: str,
    members: Sequence[tuple[Row, Entry]],
    words: TaskWords,
    standings: Mapping[str, Standings],
    thumbnails: Thumbnails,
    cache: Path,
    number: int,
) -> Gallery:
    column = next((c for c in board.columns if c.task == task and c.scoring is not None), None)
    prompts = nested_prompts([entry for _, entry in members], words.prompts, 0, number)
    shown = [_shown(row, entry, column, prompts, thumbnails, cache) for row, entry in members]
    return Gallery(
        id=f"{task}-{board.protocol}".lower(),
        task=task,
        protocol=board.protocol,
        words=words,
        column=column,
        prompts=tuple(prompts),
        shown=tuple(shown),
        standings=standings.get(column.key) if column else None,
    )


def _shown(
    row: Row, entry: Entry, column: BoardColumn | None, prompts: Sequence[Prompt], thumbnails: Thumbnails, cache: Path
) -> Shown:
    wanted = {prompt.id for prompt in prompts}
    digest = entry.digest
    if digest is None:
        return Shown(row, entry, Shelf({}, {}, entry.problem), {}, {}, ())
    scored = column is not None and row.cells[column.key].entry is entry and column.name in digest.values
    picked: list[Extreme] = []
    values: dict[str, float] = {}
    if column is not None and scored:
        array = digest.values[column.name]
        picked = extremes(digest, array, higher_is_better=column.higher_is_better)
        pairs = zip(digest.ids.tolist(), array.tolist(), strict=True)
        values = {prompt_id: value for prompt_id, value in pairs if prompt_id in wanted and not math.isnan(value)}
    outcomes = {
        prompt_id: outcome
        for prompt_id, outcome in zip(digest.ids.tolist(), digest.outcomes.tolist(), strict=True)
        if prompt_id in wanted
    }
    shelf = shelf_of(entry, wanted | {one.prompt_id for one in picked}, thumbnails, cache)
    return Shown(row, entry, shelf, outcomes, values, tuple(picked))


def script_json(value: object) -> str:
    """JSON that is safe inside a script, in a file or in a page: nothing in it can end the script or start markup."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def gallery_data(gallery: Gallery) -> bytes:
    """The gallery's script: ``sgpbench.gallery`` is set to its data."""
    outcomes = sorted(str(outcome) for outcome in Outcome)
    column = gallery.column
    document = {
        "id": gallery.id,
        "task": gallery.task,
        "protocol": gallery.protocol,
        "column": column.name if column else None,
        "better": 1 if column is None or column.higher_is_better else -1,
        "low": column.scoring.low if column and column.scoring else None,
        "high": column.scoring.high if column and column.scoring else None,
        "outcomes": outcomes,
        "models": [
            {
                "name": plain(shortened(one.row.title, _LONGEST_NAME)),
                "note": plain(shortened(one.row.arguments, _LONGEST_NAME)),
                "slug": one.row.slug,
                "baseline": one.row.is_baseline,
                "samples": one.entry.result.identity.samples,
            }
            for one in gallery.shown
        ],
        "prompts": [
            {
                "id": plain(shortened(prompt.id, _LONGEST_NAME)),
                "caption": gallery.caption(prompt.id),
                "category": plain(prompt.category),
                "photo": gallery.words.photograph(prompt.id),
            }
            for prompt in gallery.prompts
        ],
        "scores": [[_rounded(one.values.get(p.id)) for one in gallery.shown] for p in gallery.prompts],
        "states": [
            [outcomes.index(one.outcomes[p.id]) if p.id in one.outcomes else -1 for one in gallery.shown]
            for p in gallery.prompts
        ],
        "pictures": [[one.shelf.pictures.get(p.id) for one in gallery.shown] for p in gallery.prompts],
        "pairs": _pairs(gallery),
    }
    return f'"use strict";window.sgpbench=window.sgpbench||{{}};window.sgpbench.gallery={script_json(document)};\n'.encode()


def programs_data(gallery: Gallery, one: Shown) -> bytes:
    """The script with a model's programs, as texts in the order of the gallery's prompts."""
    texts = [one.shelf.programs.get(prompt.id) for prompt in gallery.prompts]
    return f'"use strict";window.sgpbench.programs({script_json(one.row.slug)},{script_json(texts)});\n'.encode()


def _pairs(gallery: Gallery) -> object:
    """Over all common prompts, not only those shown: model → (difference, adjusted p) to every other; ranked ones only."""
    found = gallery.standings
    if found is None:
        return None
    places = [found.paths.index(one.entry.path) if one.entry.path in found.paths else -1 for one in gallery.shown]
    return {
        "place": places,
        "difference": [[_rounded(v) for v in row] for row in found.difference.tolist()],
        "p": [[_rounded(v) for v in row] for row in found.adjusted.tolist()],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.4g}")
