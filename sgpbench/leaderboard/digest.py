"""What the site needs of one result's evidence, prompt by prompt; kept in the user's cache, so that rebuilding is quick."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from sgpbench.errors import ResultError
from sgpbench.protocol import canonical_hash
from sgpbench.results.counting import metric_of
from sgpbench.results.intervals import Floats
from sgpbench.results.schema import Result

__all__ = ["Digest", "digest_of", "headline_columns"]

_VERSION = 1
Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Digest:
    """One result, prompt by prompt; arrays over prompts, sorted by id."""

    key: str
    """Changes whenever anything below would."""
    evidence: Path
    ids: Texts
    categories: Texts
    clusters: Texts
    outcomes: Texts
    """Of each prompt's first sample, the one that the gallery shows."""
    values: dict[str, Floats]
    """Headline column → the mean over a prompt's samples as they count; NaN where a prompt has no value."""


def headline_columns(result: Result) -> list[str]:
    """The columns by which a result may be ranked: its headline, once per judge or answerer; no parts."""
    return sorted(
        name
        for name, scoring in result.scoring.items()
        if name == scoring.metric and metric_of(name) == result.headline and name in result.metrics
    )


def digest_of(path: Path, result: Result, cache: Path) -> Digest:
    """The digest of the evidence beside a result.

    Raises:
        ResultError: there is no evidence here, or it is not the file that the result names.
    """
    if result.evidence is None:
        raise ResultError(f"{path} has no evidence.")
    file = path.with_name(result.evidence.file)
    try:
        state = file.stat()
    except OSError:
        raise ResultError(f"The evidence of {path} is not here.") from None
    columns = headline_columns(result)
    stated = [_VERSION, result.evidence.sha256, columns, str(file.resolve()), state.st_size, state.st_mtime_ns]
    kept = cache / f"{canonical_hash(stated, 32)}.npz"
    key = canonical_hash([_VERSION, result.evidence.sha256, columns], 32)
    try:
        return _load(kept, key, file, columns)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        pass
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != result.evidence.sha256:
            raise ResultError(f"The evidence of {path} is not the file that it was made with.")
    found = _compute(path, result, key, file, columns)
    _save(kept, found)
    return found


def _compute(path: Path, result: Result, key: str, file: Path, columns: list[str]) -> Digest:
    from sgpbench.results.scores import counted_samples, light_evidence
    from sgpbench.results.summary import Layout, prompt_means

    table = light_evidence(path, result)
    layout = Layout.of(table)
    counted = counted_samples(table, {name: result.scoring[name] for name in columns}, layout)
    first = np.unique(layout.prompt, return_index=True)[1]

    def texts(name: str) -> Texts:
        return table[name].to_numpy(object)[first].astype(np.str_)

    return Digest(
        key=key,
        evidence=file,
        ids=texts("prompt_id"),
        categories=texts("category"),
        clusters=texts("cluster"),
        outcomes=texts("outcome"),
        values={name: prompt_means(layout.prompt, layout.ids.size, counted[name]) for name in columns},
    )


def _load(kept: Path, key: str, file: Path, columns: list[str]) -> Digest:
    with np.load(kept, allow_pickle=False) as stored:
        return Digest(
            key=key,
            evidence=file,
            ids=stored["ids"],
            categories=stored["categories"],
            clusters=stored["clusters"],
            outcomes=stored["outcomes"],
            values={name: stored[f"value{index}"] for index, name in enumerate(columns)},
        )


def _save(kept: Path, digest: Digest) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "ids": digest.ids,
        "categories": digest.categories,
        "clusters": digest.clusters,
        "outcomes": digest.outcomes,
        **{f"value{index}": values for index, values in enumerate(digest.values.values())},
    }
    with temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    temporary.replace(kept)
