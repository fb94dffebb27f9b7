"""Where the weights of the encoders are, and which ones they are. Imports neither torch nor any model library.

One rule: nothing is ever downloaded while a run is under way. Weights are looked for, in this order, in
``$SGPBENCH_WEIGHTS_DIR/<name>/`` and in the Hugging Face cache at the pinned revision; ``sgpbench metrics fetch`` puts
them into the latter. What is not there makes a metric unavailable, with the command that helps.

A file is *published* where its SHA-256 is in the table below, or where the hub's cache holds it at the pinned revision
under that very hash. All other weights are *custom*: scores made with them carry ``"published": false`` and are never
ranked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sgpbench.errors import MetricUnavailable
from sgpbench.records import Json

__all__ = [
    "WEIGHTS",
    "Family",
    "Found",
    "Weights",
    "WeightsSource",
    "find_weights",
    "identify",
    "locate",
    "missing_packages",
    "require",
]

Family: TypeAlias = Literal["open_clip", "siglip", "dinov2", "blip", "sentence"]

_PACKAGES: Mapping[Family, tuple[str, ...]] = {
    "open_clip": ("torch", "torchvision", "open_clip"),
    "siglip": ("torch", "torchvision", "transformers", "sentencepiece", "google.protobuf"),
    "dinov2": ("torch", "torchvision", "transformers"),
    "blip": ("torch", "torchvision", "transformers"),
    "sentence": ("torch", "transformers", "sentence_transformers"),
}


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """One set of published weights: where it comes from and how its files are called."""

    name: str
    """The folder's name under ``SGPBENCH_WEIGHTS_DIR``."""
    family: Family
    repository: str
    revision: str
    weights: tuple[str, ...]
    """Names the weights' file may have; the first one found is loaded."""
    beside: tuple[str, ...] = ()
    """Further files that loading needs."""
    optional: tuple[str, ...] = ()
    """Files that are fetched too where the repository has them."""
    sha256: frozenset[str] = frozenset()
    """Of the published weights' files, as far as known."""
    architecture: str = ""
    """open_clip's name, used where the folder has no ``open_clip_config.json``."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that are here."""

    name: str
    family: Family
    file: Path
    architecture: str
    sha256: str
    published: bool
    source: str
    """``repository@revision``, or the word ``custom``."""

    @property
    def identity(self) -> Mapping[str, Json]:
        """What decides the values that come from them."""
        source = self.source if self.published else f"custom {self.sha256[:16]}"
        return {"weights": source, "sha256": self.sha256, "published": self.published}


_TRANSFORMERS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "vocab.txt")


def _dinov2(size: str, revision: str, sha256: Sequence[str] = ()) -> WeightsSource:
    return WeightsSource(
        f"dinov2-{size}",
        "dinov2",
        f"facebook/dinov2-{size}",
        revision,
        _TRANSFORMERS,
        ("config.json",),
        sha256=frozenset(sha256),
    )


def _siglip(size: str, revision: str) -> WeightsSource:
    name = f"siglip-{size}-patch16-384"
    beside = ("config.json", "spiece.model")
    optional = ("preprocessor_config.json", *_TOKENIZER)
    return WeightsSource(name, "siglip", f"google/{name}", revision, _TRANSFORMERS, beside, optional)


def _blip(name: str, repository: str, revision: str) -> WeightsSource:
    beside = ("config.json", "vocab.txt")
    optional = ("generation_config.json", "preprocessor_config.json", *_TOKENIZER)
    return WeightsSource(name, "blip", repository, revision, _TRANSFORMERS, beside, optional)


_SOURCES = (
    WeightsSource(
        "clip-vit-b-32",
        "open_clip",
        "timm/vit_base_patch32_clip_224.openai",
        "a6f597a30f7b82c51704746581f9a4e41421e878",
        ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "ViT-B-32.pt"),
        optional=("open_clip_config.json",),
        # The second is the file that OpenAI itself published.
        sha256=frozenset(
            (
                "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
                "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            )
        ),
        architecture="ViT-B-32-quickgelu",
    ),
    WeightsSource(
        "clip-vit-l-14",
        "open_clip",
        "timm/vit_large_patch14_clip_224.openai",
        "18d0535469bb561bf468d76c1d73aa35156c922b",
        ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "ViT-L-14.pt"),
        optional=("open_clip_config.json",),
        sha256=frozenset(("b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",)),
        architecture="ViT-L-14-quickgelu",
    ),
    WeightsSource(
        "hps-v2.1",
        "open_clip",
        "xswu/HPSv2",
        "697403c78157020a1ae59d23f111aa58ced35b0a",
        ("HPS_v2.1_compressed.pt",),
        sha256=frozenset(("c57a38fb4a2f7e7c15bf00da2ea377cdf165448b4dd1052a484c215a998c9837",)),
        architecture="ViT-H-14",
    ),
    _siglip("base", "41aec1c83b32e0a6fca20ad88ba058aa5b5ea394"),
    _siglip("large", "ce005573a40965dfd21fd937fbdeeebf2439fc35"),
    _dinov2(
        "small",
        "ed25f3a31f01632728cabb09d1542f84ab7b0056",
        ("ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",),
    ),
    _dinov2("base", "f9e44c814b77203eaa57a6bdbbd535f21ede1415"),
    _dinov2(
        "large",
        "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
        ("399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23",),
    ),
    _dinov2(
        "giant",
        "611a9d42f2335e0f921f1e313ad3c1b7178d206d",
        ("917d3c470db999d32a312f8542149be91c7cbac61ee8fb4b67ae3d82b79ce21f",),
    ),
    _blip("blip-base", "Salesforce/blip-vqa-base", "787b3d35d57e49572baabd22884b3d5a05acf072"),
    _blip("blip-large", "Salesforce/blip-vqa-capfilt-large", "c6af15bed424cf343aab3ff3bb31417ba272923a"),
    WeightsSource(
        "all-mpnet-base-v2",
        "sentence",
        "sentence-transformers/all-mpnet-base-v2",
        "e8c3b32edf5434bc2275fc9bab85f82640a19130",
        _TRANSFORMERS,
        ("config.json", "modules.json", "1_Pooling/config.json"),
        ("sentence_bert_config.json", "config_sentence_transformers.json", *_TOKENIZER),
    ),
)
WEIGHTS: Mapping[str, WeightsSource] = {source.name: source for source in _SOURCES}


def missing_packages(families: Sequence[Family]) -> list[str]:
    """The Python packages these families need and that are not installed, found without importing any."""
    wanted = dict.fromkeys(package for family in families for package in _PACKAGES[family])
    return [package for package in wanted if not _installed(package)]


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Found:
    """Where weights lie."""

    file: Path
    revision: str | None
    """The hub's, or ``None`` in a folder of one's own."""


def find_weights(source: WeightsSource) -> Found | str:
    """Where the weights are, or the name of the first file that is missing."""
    if own := os.environ.get("SGPBENCH_WEIGHTS_DIR"):
        folder = Path(own) / source.name
        if folder.is_dir():
            named = [folder / name for name in source.weights if (folder / name).is_file()]
            return _complete(Found(named[0], None), source) if named else str(folder / source.weights[0])
    from huggingface_hub import try_to_load_from_cache

    for name in source.weights:
        found = try_to_load_from_cache(source.repository, name, revision=source.revision)
        if isinstance(found, str):
            return _complete(Found(Path(found), source.revision), source)
    return f"{source.repository}/{source.weights[0]}"


def _complete(found: Found, source: WeightsSource) -> Found | str:
    beside = [found.file.parent / name for name in source.beside]
    return next((str(path) for path in beside if not path.is_file()), found)


def locate(user: str, names: Sequence[str], *, fetch: str | None = None) -> list[tuple[WeightsSource, Found]]:
    """Where the weights are that ``user`` needs (a metric, unless ``fetch`` says what to fetch for it). Quick: reads no
    weights and imports no model library.

    Raises:
        MetricUnavailable: a package or a file is missing; the message names the metric, it, and the command that helps.
    """
    sources = [WEIGHTS[name] for name in names]
    packages = missing_packages([source.family for source in sources])
    if packages:
        raise MetricUnavailable(
            f"{_named(user, fetch)} needs the Python packages {', '.join(packages)}.",
            remedy="Install them: pip install 'sgpbench[metrics]'",
        )
    places = [(source, find_weights(source)) for source in sources]
    missing = {source.name: place for source, place in places if isinstance(place, str)}
    if missing:
        raise MetricUnavailable(
            f"{_named(user, fetch)} lacks weights: {', '.join(missing.values())}.",
            remedy=f"Fetch them: sgpbench metrics fetch {fetch or repr(user)} (or set SGPBENCH_WEIGHTS_DIR to a "
            f"folder that holds them as {', '.join(f'{name}/' for name in missing)}).",
        )
    return [(source, place) for source, place in places if isinstance(place, Found)]


def _named(user: str, fetch: str | None) -> str:
    return f"The metric {user}" if fetch is None else user


def require(user: str, names: Sequence[str], cache_dir: Path, *, fetch: str | None = None) -> tuple[Weights, ...]:
    """The weights of those names, identified; the first time, each file is read once for its hash.

    Raises:
        MetricUnavailable: see ``locate``.
    """
    return tuple(identify(source, found, cache_dir=cache_dir) for source, found in locate(user, names, fetch=fetch))


def identify(source: WeightsSource, found: Found, *, cache_dir: Path) -> Weights:
    """Weights with their hash, and whether they are the published ones."""
    file = found.file
    sha256 = _remembered_sha256(file, cache_dir / "weights.json")
    # The hub's cache names a large file by the hash its server announced.
    vouched = found.revision == source.revision and file.resolve().name == sha256
    published = sha256 in source.sha256 or vouched
    return Weights(
        name=source.name,
        family=source.family,
        file=file,
        architecture=source.architecture,
        sha256=sha256,
        published=published,
        source=f"{source.repository}@{source.revision}" if published else "custom",
    )


def _remembered_sha256(file: Path, memory: Path) -> str:
    """A file's SHA-256; gigabytes are read only once per path, size and time of change."""
    about = file.stat()
    key = f"{file.resolve()} {about.st_size} {about.st_mtime_ns}"
    known = _read_memory(memory)
    if key not in known:
        with file.open("rb") as stream:
            known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        _write_memory(memory, known)
    return known[key]


def _read_memory(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {str(key): str(value) for key, value in known.items() if re.fullmatch("[0-9a-f]{64}", str(value))}


def _write_memory(memory: Path, known: Mapping[str, str]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False, encoding="utf-8") as stream:
        json.dump(known, stream, indent=0, sort_keys=True)
    Path(stream.name).replace(memory)
