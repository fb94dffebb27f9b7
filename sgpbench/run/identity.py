"""What makes two runs the same run: its identity, its folder, its seeds."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sgpbench import __version__
from sgpbench.errors import StoreError
from sgpbench.protocol import canonical_hash
from sgpbench.records import Json
from sgpbench.run.database import SPEC
from sgpbench.run.durable import write_durably

__all__ = ["RunIdentity", "read_identity", "read_sources", "run_folder", "sample_seed", "write_identity"]


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Model and every argument that changes its answers, task, split, generation and seed; nothing else.

    Limits, samples, metrics, judge, connections, budget and device are not part of it: they extend or rescore a run.
    """

    model: str
    model_identity: Mapping[str, Json] = field(hash=False)
    task: str
    task_version: int
    split: str
    protocol: str
    generation_hash: str
    seed: int

    @property
    def hash(self) -> str:
        """16 hex digits."""
        return canonical_hash(asdict(self))


def run_folder(runs_dir: Path, identity: RunIdentity) -> Path:
    """``runs_dir/<model>/<task>@<protocol>-<8 hex digits>``: readable, and different for different identities.

    Characters of a model's name that a path should not hold are percent-encoded; its slashes make folders.
    """
    parts = [urllib.parse.quote(part, safe="+@=,") for part in identity.model.split("/")]
    safe = [part if part.strip(".") else "%2E" * len(part) or "%2F" for part in parts]
    # A file system takes 255 bytes for a name; the hash keeps cut names apart.
    return runs_dir.joinpath(*(part[:120] for part in safe), f"{identity.task}@{identity.protocol}-{identity.hash[:8]}")


def sample_seed(seed: int, prompt_id: str, sample: int, attempt: int = 0) -> int:
    """The seed of one sample, 0 ≤ seed < 2**31: the range every provider takes."""
    text = f"{seed}\x1f{prompt_id}\x1f{sample}" + (f"\x1f{attempt}" if attempt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def write_identity(folder: Path, identity: RunIdentity, *, task: str, protocol: str) -> None:
    """Writes ``spec.json``, atomically, if it is not there yet. ``task`` and ``protocol``: the names or paths to load."""
    path = folder / SPEC
    if path.exists():
        return
    sources = {"task": task, "protocol": protocol}
    document = {"format": 1, "sgpbench": __version__, "identity": asdict(identity), "sources": sources}
    write_durably(path, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())


def read_identity(folder: Path) -> RunIdentity:
    """The identity of an existing run.

    Raises:
        StoreError: the folder holds no run, or its ``spec.json`` is damaged.
    """
    identity = _read_spec(folder).get("identity")
    try:
        if not isinstance(identity, dict):
            raise TypeError("it has no identity")
        return RunIdentity(**identity)
    except TypeError as error:
        raise _damaged(folder / SPEC, error) from None


def read_sources(folder: Path) -> tuple[str, str]:
    """(task, protocol): the names or paths from which an existing run's task and protocol are loaded.

    Raises:
        StoreError: see ``read_identity``.
    """
    sources = _read_spec(folder).get("sources")
    if not isinstance(sources, dict):
        raise _damaged(folder / SPEC, TypeError("it has no sources"))
    return str(sources.get("task")), str(sources.get("protocol"))


def _read_spec(folder: Path) -> dict[str, object]:
    path = folder / SPEC
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise StoreError(
            f"{folder} is not a run: it has no {SPEC}.", remedy="Give the directory that `sgpbench run` printed."
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise _damaged(path, error) from None
    if not isinstance(document, dict):
        raise _damaged(path, TypeError("not an object"))
    return document


def _damaged(path: Path, error: Exception) -> StoreError:
    remedy = "Restore it from a copy, or start the run anew in another --runs-dir."
    return StoreError(f"{path} is damaged ({error}).", remedy=remedy)
