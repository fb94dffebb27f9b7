"""Small pictures of drawings, rendered again from the evidence's programs in the sandbox, and kept by what decides them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from sgpbench.errors import RendererError, SgpbenchError
from sgpbench.protocol import canonical_hash, load_protocol
from sgpbench.svg.sandbox import Rendered, Sandbox

__all__ = ["SIDE", "Thumbnails", "picture_hash", "small_picture"]

SIDE = 192
"""Longer side in pixels: shown at half of it or less, so that it is sharp on fine screens too."""
_QUALITY = 82
_FORMAT = f"webp {SIDE} {_QUALITY} 1"
_IN_FLIGHT = 64


class Thumbnails:
    """Makes and keeps thumbnails as WebP. One sandbox per renderer and repair, started when its first result asks.

    Args:
        cache: the folder they are kept in, by hash.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.rendered = 0
        self._sandboxes: dict[str, tuple[Sandbox, str]] = {}
        self._drawn_by: dict[tuple[str, str], str] = {}
        self._known = _listed(cache)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sandbox, _ in self._sandboxes.values():
            sandbox.close() if kind is None else sandbox.abandon()

    def identity(self, protocol: str, task: str) -> str:
        """Hash of all that decides the pictures of a task under a protocol.

        Raises:
            RendererError: the protocol is not known here, or its renderer is missing.
        """
        return self._sandbox(protocol, task)[1]

    def pictures(self, protocol: str, task: str, programs: Iterable[tuple[str, str]]) -> Mapping[str, str | None]:
        """Name → the picture's hash, for (name, program) pairs; ``None`` for a program that gives no picture.

        Raises:
            RendererError: see ``identity``.
        """
        sandbox, identity = self._sandbox(protocol, task)
        found: dict[str, str | None] = {}
        waiting: list[tuple[str, str, Future[Rendered]]] = []
        for name, program in programs:
            digest = picture_hash(identity, program)
            if self.has(digest):
                found[name] = digest
                continue
            waiting.append((name, digest, sandbox.submit(program)))
            if len(waiting) >= _IN_FLIGHT:
                found.update(self._kept(*waiting.pop(0)))
        for one in waiting:
            found.update(self._kept(*one))
        return found

    def has(self, digest: str) -> bool:
        """Whether a picture is kept."""
        return digest in self._known

    def path(self, digest: str) -> Path:
        """Where a picture is kept."""
        return self.cache / digest[:2] / f"{digest}.webp"

    def _kept(self, name: str, digest: str, future: Future[Rendered]) -> dict[str, str | None]:
        png = future.result().png
        if png is None:
            return {name: None}
        target = self.path(digest)
        if not self.has(digest):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
            temporary.write_bytes(small_picture(png))
            temporary.replace(target)
            self._known.add(digest)
            self.rendered += 1
        return {name: digest}

    def _sandbox(self, protocol: str, task: str) -> tuple[Sandbox, str]:
        if (protocol, task) not in self._drawn_by:
            self._drawn_by[protocol, task] = self._open(protocol, task)
        return self._sandboxes[self._drawn_by[protocol, task]]

    def _open(self, protocol: str, task: str) -> str:
        """Starts the sandbox of a task, unless another task has the same; its key."""
        try:
            known = load_protocol(protocol)
        except SgpbenchError as error:
            raise RendererError(f"Its drawings are not shown: {error}") from None
        rule, repair = known.scoring.renderer, known.generation.rule(task).repair
        key = canonical_hash([rule.model_dump(mode="json"), repair])
        if key not in self._sandboxes:
            sandbox = Sandbox(rule, repair)
            self._sandboxes[key] = (sandbox, canonical_hash(dict(sandbox.identity), 32))
        return key


def _listed(cache: Path) -> set[str]:
    """The hashes of all pictures that are kept; listing folders is much quicker than asking for each file."""
    found: set[str] = set()
    if cache.is_dir():
        for folder in cache.iterdir():
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    found.update(e.name.removesuffix(".webp") for e in entries if e.name.endswith(".webp"))
    return found


def picture_hash(identity: str, program: str) -> str:
    """The hash a picture is kept under: of what draws (``Thumbnails.identity``), the size and the program."""
    return hashlib.sha256(f"{identity}\0{_FORMAT}\0{program}".encode("utf-8", "replace")).hexdigest()[:24]


def small_picture(png: bytes) -> bytes:
    """A rendering as a thumbnail: WebP, longer side ``SIDE``; equal pixels give equal bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()
