"""Vectors of pictures and texts: from the cache where known, else from the encoders, each content once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from sgpbench.metrics.embedding_cache import EmbeddingCache, VectorCache, content_key
from sgpbench.metrics.encoder_host import EncoderHost
from sgpbench.metrics.encoding import (
    Embedded,
    EmbedImages,
    EmbedTexts,
    Encoders,
    EncoderSpec,
    ImageItem,
    Reply,
    Request,
    Unreadable,
    Vector,
)
from sgpbench.metrics.interface import MetricContext

__all__ = ["Embedder", "acquire_embedder", "release_embedder"]


Name = TypeVar("Name")


class Embedder:
    """Vectors by content. Blocks; safe for several threads at once."""

    def __init__(self, encoders: Encoders, cache: VectorCache) -> None:
        self.encoders = encoders
        self._cache = cache

    def images(self, specs: Sequence[EncoderSpec], items: Sequence[ImageItem]) -> list[tuple[Vector | Unreadable, ...]]:
        """Per picture, its vector by each encoder, or why it cannot be read.

        Raises:
            EncoderError: the encoders cannot be used.
        """
        content = {item: _content(item.path) for item in set(items)}
        known: dict[tuple[str, ImageItem], Vector | Unreadable] = {}
        keys: dict[tuple[str, ImageItem], bytes] = {}
        for item, found in content.items():
            for spec in specs:
                if isinstance(found, Unreadable):
                    known[spec.key, item] = found
                else:
                    keys[spec.key, item] = content_key(spec.key, "image", found, f"{item.jpeg} {item.squash}")
        known.update(self._cached(keys))
        missing = [item for item in dict.fromkeys(items) if any((spec.key, item) not in known for spec in specs)]
        needed = tuple(spec for spec in specs if any((spec.key, item) not in known for item in missing))
        if missing:
            reply = _embedded(self.encoders.call(EmbedImages(needed, tuple(missing))))
            new: dict[bytes, Vector] = {}
            for spec, vectors in zip(needed, reply.vectors, strict=True):
                for item, vector in zip(missing, vectors, strict=True):
                    known.setdefault((spec.key, item), vector)
                    if not isinstance(vector, Unreadable):
                        new[keys[spec.key, item]] = vector
            self._cache.put(new)
        return [tuple(known[spec.key, item] for spec in specs) for item in items]

    def texts(self, specs: Sequence[EncoderSpec], texts: Sequence[str]) -> list[tuple[Vector, ...]]:
        """Per text, its vector by each encoder.

        Raises:
            EncoderError: the encoders cannot be used.
        """
        columns = [self._texts(spec, texts) for spec in specs]
        return [tuple(column[text] for column in columns) for text in texts]

    def _texts(self, spec: EncoderSpec, texts: Sequence[str]) -> dict[str, Vector]:
        keys = {text: content_key(spec.key, "text", text.encode()) for text in dict.fromkeys(texts)}
        known = dict(self._cached(keys))
        missing = tuple(text for text in keys if text not in known)
        if missing:
            reply = _embedded(self.encoders.call(EmbedTexts(spec, missing)))
            made = [vector for vector in reply.vectors[0] if not isinstance(vector, Unreadable)]
            known.update(zip(missing, made, strict=True))
            self._cache.put({keys[text]: known[text] for text in missing})
        return known

    def _cached(self, keys: Mapping[Name, bytes]) -> dict[Name, Vector]:
        found = self._cache.get(list(keys.values()))
        return {name: found[key] for name, key in keys.items() if key in found}

    def call(self, request: Request) -> Reply:
        """Passes a request on to the encoders, past the cache."""
        return self.encoders.call(request)

    def close(self) -> None:
        """Closes cache and encoders."""
        self.encoders.close()
        self._cache.close()


def _content(path: Path) -> bytes | Unreadable:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        return Unreadable(f"the picture {path} cannot be read: {error}")


def _embedded(reply: Reply) -> Embedded:
    if not isinstance(reply, Embedded):
        raise TypeError(f"asked for vectors, got {type(reply).__name__}")
    return reply


def acquire_embedder(context: MetricContext) -> Embedder:
    """The embedder that all metrics of a context share; pair it with ``release_embedder``."""
    return context.shared.acquire(
        _key(context), lambda: Embedder(EncoderHost(context.device), EmbeddingCache(context.cache_dir))
    )


def release_embedder(context: MetricContext) -> None:
    """One metric less uses it; the last one ends the encoders."""
    context.shared.release(_key(context))


def _key(context: MetricContext) -> str:
    return f"encoders on {context.device}"
