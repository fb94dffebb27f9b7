"""The pictures that drawings are compared with: photographs as they are, reference programs rendered like drawings."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from sgpbench.metrics.encoding import Unreadable
from sgpbench.metrics.interface import MetricContext
from sgpbench.protocol import RendererRule, canonical_hash
from sgpbench.records import Reference
from sgpbench.svg.render import installed_version, parser_versions

if TYPE_CHECKING:
    from sgpbench.svg.sandbox import Rendered, Sandbox

__all__ = ["ReferencePictures", "acquire_references", "release_references"]


class ReferencePictures:
    """Reference pictures as files. A program is rendered once, by the protocol's renderer, and kept in the cache."""

    def __init__(self, folder: Path, rule: RendererRule) -> None:
        drawn_by = [
            rule.model_dump(mode="json", exclude_defaults=True),
            installed_version(rule.name),
            parser_versions(),
        ]
        self._folder = folder / "references" / canonical_hash(drawn_by)
        self._rule = rule
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None

    def paths(self, references: Iterable[Reference | None]) -> list[Path | Unreadable]:
        """Per reference, its picture's file, or why there is none."""
        wanted = list(references)
        with self._lock:
            rendering = {
                reference.svg: self._submit(reference.svg)
                for reference in wanted
                if reference is not None and reference.svg is not None and not self._file(reference.svg).is_file()
            }
        failed = {program: self._keep(program, future) for program, future in rendering.items()}
        return [self._path(reference, failed) for reference in wanted]

    def _path(self, reference: Reference | None, failed: dict[str, Unreadable | None]) -> Path | Unreadable:
        if reference is None:
            return Unreadable("the prompt has no reference")
        if reference.missing is not None:
            return Unreadable(
                f"the reference is not here; fetch it: sgpbench data fetch {reference.missing}, then score again"
            )
        if reference.image is not None:
            return reference.image
        if reference.svg is None:
            return Unreadable("the prompt has an empty reference")
        return failed.get(reference.svg) or self._file(reference.svg)

    def _file(self, program: str) -> Path:
        return self._folder / f"{hashlib.sha256(program.encode()).hexdigest()[:32]}.png"

    def _submit(self, program: str) -> Future[Rendered]:
        from sgpbench.svg.sandbox import Sandbox

        if self._sandbox is None:
            self._sandbox = Sandbox(self._rule, "lxml-recover")
        return self._sandbox.submit(program)

    def _keep(self, program: str, future: Future[Rendered]) -> Unreadable | None:
        rendered = future.result()
        if rendered.png is None:
            return Unreadable(f"the reference program does not render: {rendered.message or rendered.outcome}")
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as stream:
            stream.write(rendered.png)
        Path(stream.name).replace(self._file(program))
        return None

    def close(self) -> None:
        """Ends the rendering processes, if any were needed."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.close()
                self._sandbox = None


def acquire_references(context: MetricContext) -> ReferencePictures:
    """The reference pictures that all metrics of a context share; pair it with ``release_references``."""
    rule = context.protocol.scoring.renderer
    return context.shared.acquire("references", lambda: ReferencePictures(context.cache_dir, rule))


def release_references(context: MetricContext) -> None:
    """One metric less uses them."""
    context.shared.release("references")
