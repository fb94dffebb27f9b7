"""The second stage: programs to renderings, in disposable workers, side by side with generation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sgpbench.errors import StoreError
from sgpbench.protocol import canonical_hash
from sgpbench.records import Outcome
from sgpbench.run.durable import write_durably
from sgpbench.run.feed import Feed
from sgpbench.run.pictures import pictures_hold
from sgpbench.run.store import RunStore, render_path, rendering_key, text_free_path
from sgpbench.svg.sandbox import Rendered, Sandbox

__all__ = ["render_pending", "renderer_hash"]

_BATCH = 128


def renderer_hash(sandbox: Sandbox) -> str:
    """Identity of all that decides the pixels of a program. 16 hex digits."""
    return canonical_hash(sandbox.identity)


async def _render(store: RunStore, sandbox: Sandbox, renderer: str, program_hash: str, program: str) -> Rendered:
    rendered = await asyncio.wrap_future(sandbox.submit(program))
    key = rendering_key(program_hash, renderer)
    try:
        if rendered.png is not None:
            await asyncio.to_thread(write_durably, render_path(store.folder, key), rendered.png)
        if rendered.png_without_text is not None:
            await asyncio.to_thread(write_durably, text_free_path(store.folder, key), rendered.png_without_text)
    except OSError as error:
        raise StoreError(
            f"The rendering {key}.png cannot be written to {store.folder}: {error.strerror}.",
            remedy="Mend that and run the same command again: all completions are stored, so nothing is asked again.",
        ) from None
    await asyncio.wrap_future(store.add_rendering(key, program_hash, renderer, rendered))
    return rendered


async def render_pending(
    store: RunStore, sandbox: Sandbox, feed: Feed, *, in_flight: int, rendered: Callable[[Outcome], None]
) -> None:
    """Renders every final program that has no rendering yet, until ``feed`` ends. Each program is rendered once; again where
    its picture is not there as it was drawn.

    ``rendered`` is called once a rendering is stored (or found stored, for programs met before).

    Raises:
        RendererError: the sandbox itself does not work. StoreError: nothing can be stored.
    """
    renderer = renderer_hash(sandbox)
    view = store.view()
    places = asyncio.Semaphore(in_flight)
    started: set[str] = set()
    cursor = 0

    async def one(program_hash: str, program: str) -> None:
        try:
            outcome = (await _render(store, sandbox, renderer, program_hash, program)).outcome
        finally:
            places.release()
        rendered(outcome)

    try:
        async with asyncio.TaskGroup() as group:
            while True:
                last = feed.ended
                batch = view.programs(after=cursor, limit=_BATCH)
                for row, program_hash, program in batch:
                    cursor = row
                    key = rendering_key(program_hash, renderer)
                    if key in started:
                        continue
                    started.add(key)
                    outcome = view.rendered(key)
                    drawn = outcome is not Outcome.OK or pictures_hold(view, key)
                    if outcome is not None and not outcome.is_ours and drawn:
                        rendered(outcome)
                        continue
                    await places.acquire()
                    group.create_task(one(program_hash, program))
                if not batch:
                    if last:
                        break
                    await feed.wait()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    finally:
        view.close()
