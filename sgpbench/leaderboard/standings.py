"""Ranks of one column, kept in the user's cache under what decides them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from sgpbench.leaderboard.digest import Digest
from sgpbench.protocol import canonical_hash
from sgpbench.results.intervals import Bounds, Floats
from sgpbench.results.ranking import Pairwise, Rank, compare_all, ranks_of

__all__ = ["Member", "Standings", "standings_of"]

_VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One result that takes part in a ranking."""

    path: str
    digest: Digest
    column: str


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """Ranks of a column's results and what they rest on; arrays in the order of ``paths``."""

    paths: tuple[str, ...]
    ranks: tuple[Rank, ...]
    difference: Floats
    """(results, results): row's mean minus column's over common prompts."""
    adjusted: Floats
    """p-values by Holm over all pairs."""

    def rank_of(self, path: str) -> Rank | None:
        """The rank of a result, ``None`` for one that is not ranked."""
        return self.ranks[self.paths.index(path)] if path in self.paths else None


def standings_of(
    members: Sequence[Member], task: str, *, higher_is_better: bool, bounds: Bounds, cache: Path
) -> Standings:
    """The ranks of results of one column, whose values lie within ``bounds``, over the prompts they share."""
    decides = [_VERSION, task, higher_is_better, bounds, [[member.digest.key, member.column] for member in members]]
    kept = cache / f"{canonical_hash(decides, 32)}.npz"
    try:
        with np.load(kept, allow_pickle=False) as stored:
            difference, adjusted = stored["difference"], stored["adjusted"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        difference, adjusted = _compared(members, task, bounds)
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, difference=difference, adjusted=adjusted)
        temporary.replace(kept)
    pairs = Pairwise(difference, adjusted, adjusted)
    found = ranks_of(pairs, higher_is_better=higher_is_better)
    return Standings(tuple(member.path for member in members), found, difference, adjusted)


def _compared(members: Sequence[Member], task: str, bounds: Bounds) -> tuple[Floats, Floats]:
    import pandas as pd

    from sgpbench.results.scores import slices_of

    traits: dict[str, tuple[str, str]] = {}
    for member in members:
        digest = member.digest
        rows = zip(digest.ids.tolist(), digest.categories.tolist(), digest.clusters.tolist(), strict=True)
        traits.update({prompt_id: (category, cluster) for prompt_id, category, cluster in rows})
    ids = sorted(traits)
    prompts = pd.DataFrame(
        {
            "prompt_id": ids,
            "category": [traits[prompt_id][0] for prompt_id in ids],
            "cluster": [traits[prompt_id][1] for prompt_id in ids],
        }
    )
    overall = next(part for part in slices_of(task, prompts) if part.kind == "overall")
    counted = [prompt_id for prompt_id in ids if overall.weights.get(prompt_id, 0) > 0]
    place = {prompt_id: index for index, prompt_id in enumerate(counted)}
    values = np.full((len(members), len(counted)), np.nan)
    for row, member in enumerate(members):
        columns = [place.get(prompt_id, -1) for prompt_id in member.digest.ids.tolist()]
        inside = [index for index, column in enumerate(columns) if column >= 0]
        values[row, [columns[index] for index in inside]] = member.digest.values[member.column][inside]
    pairs = compare_all(
        values,
        np.array([overall.weights[prompt_id] for prompt_id in counted]),
        [traits[prompt_id][1] for prompt_id in counted],
        strata=[traits[prompt_id][0] for prompt_id in counted],
        bounds=bounds,
    )
    return pairs.difference, pairs.adjusted
