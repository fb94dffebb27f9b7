"""The process in which programs are parsed, cleaned, measured and drawn; one program after the other.

Started by ``sgpbench.svg.sandbox`` with its configuration as JSON in its last argument. It first loads all it will need
and draws once, then gives up every right it no longer needs, then says that it is ready. The work runs in a thread
with a stack of its own, large enough that nesting too deep is an error of the renderer and not the end of the process.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from PIL import Image, WebPImagePlugin  # noqa: F401 - WebP is not among those that Pillow loads first

from sgpbench.errors import RendererError
from sgpbench.records import Outcome
from sgpbench.svg import confine
from sgpbench.svg.clean import CLEANER_VERSION, Unreadable, clean, drawn_text, parse, serialize, without_text
from sgpbench.svg.frames import FrameError, Pipe
from sgpbench.svg.render import FONTS_FOLDER, Fault, Renderer, Unrenderable, open_renderer
from sgpbench.svg.structure import measure

if TYPE_CHECKING:
    from sgpbench.protocol import Repair
    from sgpbench.records import Json

__all__ = ["main"]

_STACK_BYTES = 256 * 1024 * 1024
_COMPRESSION = 3
# The first must be drawn, and is flat to cost little; the second cannot be.
_WARM_UP = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="2"><text y="2" font-family="Arial" fill="red">A</text>'
    '<image width="1" height="1" href="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42m'
    'NkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="/></svg>',
    "<svg><g></svg>",
)


@dataclass(frozen=True, slots=True)
class _Settings:
    name: str
    version: str
    longer_side: int | None
    background: str
    repair: Repair
    memory_bytes: int
    parent: int


@dataclass(frozen=True, slots=True)
class _Picture:
    png: bytes
    size: tuple[int, int]
    blank: bool


def main() -> None:
    """Runs until the sandbox closes the pipe or ends."""
    settings = _Settings(**json.loads(sys.argv[-1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    confine.die_with_parent(settings.parent)
    # The pipe keeps a number of its own, so that nothing printed by a library can get into it.
    pipe = Pipe(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    try:
        renderer = open_renderer(settings.name, settings.version, settings.longer_side, settings.background)
    except RendererError as error:
        pipe.send(b"E", json.dumps({"message": error.message, "remedy": error.remedy}).encode())
        return
    # Pictures are only ever decoded here, where memory is limited anyway.
    Image.MAX_IMAGE_PIXELS = None
    Image.preinit()
    drawn = [_draw(program, renderer, settings.repair, None) for program in _WARM_UP]
    if drawn[0]["outcome"] != Outcome.OK:
        # A renderer that fails here would fail all drawings, and models would be blamed for it.
        reason = f"The renderer {settings.name} does not work here: {drawn[0]['message']}."
        pipe.send(b"E", json.dumps({"message": reason, "remedy": "Install it again."}).encode())
        return
    mapped = confine.mapped_bytes()
    limits = confine.limit_resources(None if mapped is None else mapped + _STACK_BYTES + settings.memory_bytes)
    # Threads inherit this; the calls are forbidden in all threads at once, when no more thread is to be started.
    files = confine.forbid_files(FONTS_FOLDER) and limits
    threading.stack_size(_STACK_BYTES)
    worker = threading.Thread(target=_serve, args=(pipe, renderer, settings, files))
    worker.start()
    worker.join()


def _serve(pipe: Pipe, renderer: Renderer, settings: _Settings, files: bool) -> None:
    calls = confine.forbid_calls()
    level = "full" if files and calls and confine.is_confined(FONTS_FOLDER) else "partial"
    identity = {**renderer.identity, "cleaner": CLEANER_VERSION, "repair": settings.repair}
    pipe.send(b"H", json.dumps({"level": level, "identity": identity}).encode())
    while True:
        try:
            _, program = pipe.receive()
        except FrameError:
            return
        pipe.send(b"S", b"")
        answer = _draw(program.decode(), renderer, settings.repair, pipe)
        pipe.send(b"R", json.dumps(answer).encode())


def _draw(program: str, renderer: Renderer, repair: Repair, pipe: Pipe | None) -> Mapping[str, Json]:
    """Everything that is done with one program. Sends what it learns on the way, as far as there is a pipe."""
    started = time.perf_counter()
    try:
        outcome, message, facts = Outcome.OK, None, _pictures(program, renderer, repair, pipe)
    except (Unreadable, Unrenderable) as error:
        outcome, message, facts = Outcome.RENDER_ERROR, str(error), {}
    except Fault as error:
        outcome, message, facts = Outcome.RENDER_CRASH, str(error), {}
    except MemoryError:
        outcome, message, facts = Outcome.RENDER_CRASH, "no memory left", {}
    except Exception as error:  # noqa: BLE001 - a fault of our own code must not be counted against a model
        outcome, message, facts = Outcome.SCORER_ERROR, f"a fault of sgpbench: {type(error).__name__}: {error}", {}
    return {"outcome": outcome, "message": message, "seconds": time.perf_counter() - started, **facts}


def _pictures(program: str, renderer: Renderer, repair: Repair, pipe: Pipe | None) -> dict[str, Json]:
    parsed = parse(program, repair)
    root = parsed.root
    flags = parsed.flags | clean(root)
    text = drawn_text(root)
    if pipe is not None:
        cleaned = {
            "program": serialize(root),
            "flags": sorted(flags),
            "structure": measure(root, program, text),
        }
        pipe.send(b"C", json.dumps(cleaned).encode())
    textless = without_text(root) if text else None
    picture = _finish(renderer.draw(root))
    if pipe is not None:
        pipe.send(b"P", picture.png)
    if textless is not None:
        bare = _finish(renderer.draw(textless))
        if pipe is not None:
            pipe.send(b"T", bare.png)
    return {"width": picture.size[0], "height": picture.size[1], "blank": picture.blank}


def _finish(picture: Image.Image) -> _Picture:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=_COMPRESSION)
    bands = cast("tuple[tuple[int, int], ...]", picture.getextrema())
    return _Picture(stream.getvalue(), picture.size, all(low == high for low, high in bands))
