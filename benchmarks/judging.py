"""How fast comp prompts are judged, against an instant judge in a process of its own on the same cores.

640 prompts in upstream's mix (240 binding, 240 relation, 160 numeracy: 1,200 requests or so), generated from a seed, so
no data is needed. Drawings are our own calibration sheets with random additions, as different as models' drawings are.

    python benchmarks/judging.py [--prompts 640] [--profile]

The released evaluation judges 26 prompts a second there (640 took it 24.2 s with 100 processes), and renders while it
does. In a run of ours drawings are rendered by other processes while earlier ones are judged; both are shown, wall and
CPU time apart, since a machine with other work distorts only the first.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sgpbench.data.store import DataStore
from sgpbench.metrics.calibration import cases
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.judge import open_judge
from sgpbench.models.calls import Caller
from sgpbench.models.interface import Concurrency, ModelSpec
from sgpbench.models.limiter import Limiter
from sgpbench.models.registry import open_model
from sgpbench.protocol import Protocol, Template, load_protocol
from sgpbench.records import Drawing, Outcome, Prompt, Score
from sgpbench.svg.sandbox import Sandbox
from sgpbench.tasks.registry import load_task

ROOT = Path(__file__).resolve().parents[1]
RELEASED_PER_S = 26.0
WANTED = 3.0


@contextmanager
def instant_judge() -> Iterator[str]:
    """The address of a server in its own process."""
    command = [sys.executable, str(ROOT / "tests" / "judge_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()
            process.wait(10)


def some_prompts(number: int) -> list[Prompt]:
    """Evenly taken from the generated split, which has upstream's mix."""
    prompts = list(load_task("comp").prompts(DataStore([]), "generated", 0))
    step = len(prompts) / number
    return [prompts[int(index * step)] for index in range(number)]


def programs(number: int) -> list[str]:
    """Drawings of a few to some forty shapes, no two alike."""
    chance = random.Random(0)
    # Words are left out: a drawing with text is rendered twice, once without it.
    sheets = [case.svg for case in cases() if case.kind != "blank" and "words" not in case.kind]
    drawn = []
    for index in range(number):
        shapes = "".join(
            f'<circle cx="{chance.randrange(400)}" cy="{chance.randrange(400)}" r="{chance.randrange(2, 60)}" '
            f'fill="#{chance.randrange(1 << 24):06x}" fill-opacity="0.7"/>'
            for _ in range(chance.randrange(1, 40))
        )
        drawn.append(sheets[index % len(sheets)].replace("</svg>", f"{shapes}</svg>"))
    return drawn


def with_own_words(protocol: Protocol) -> Protocol:
    """The protocol with v1's rubrics, so that no upstream file is needed; all else is as it is."""
    rubrics = load_protocol("v1").scoring.judge.rubrics
    words = {kind: Template(text=rubrics[kind].text) for kind in rubrics}
    judge = protocol.scoring.judge.model_copy(update={"rubrics": words})
    return protocol.model_copy(update={"scoring": protocol.scoring.model_copy(update={"judge": judge})})


async def render(protocol: Protocol, prompts: Sequence[Prompt], folder: Path) -> list[Drawing]:
    """All drawings, by the protocol's renderer."""
    drawings = []
    with Sandbox(protocol.scoring.renderer, "none") as sandbox:
        futures = [asyncio.wrap_future(sandbox.submit(program)) for program in programs(len(prompts))]
        for prompt, rendered in zip(prompts, await asyncio.gather(*futures), strict=True):
            assert rendered.png is not None, rendered.message
            path = folder / f"{prompt.id}.png"
            path.write_bytes(rendered.png)
            drawings.append(Drawing(prompt, 0, Outcome.OK, rendered.program, path, prompt.id))
    return drawings


async def judge(protocol: Protocol, drawings: Sequence[Drawing], url: str, folder: Path) -> int:
    """Judges all drawings, three batches in flight as in a run; returns the number of requests."""
    spec = ModelSpec("instant", "openai", "instant", {"base_url": url}, sees=True, concurrency=Concurrency(100, 100))
    model = open_model(spec)
    limiter = Limiter(model.concurrency)
    caller = Caller(model, limiter, kind="judge")
    metric = open_judge(MetricContext("instant", protocol, folder, open_caller=lambda _: caller, data=DataStore([])))
    places = asyncio.Semaphore(3)

    async def batch(part: Sequence[Drawing]) -> None:
        async with places:
            answers = await metric.score(part)
        assert all(isinstance(answer, Score) for answer in answers)

    size = metric.batch_size
    await asyncio.gather(*(batch(drawings[start : start + size]) for start in range(0, len(drawings), size)))
    limiter.close()
    await model.aclose()
    return caller.stats.requests


def cpu_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, number: int, url: str, profile: cProfile.Profile | None) -> float:
    """Prints what one protocol takes; returns judged prompts a second, rendering left out."""
    protocol = with_own_words(load_protocol(name))
    prompts = some_prompts(number)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        workers, start = cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
        drawings = asyncio.run(render(protocol, prompts, folder))
        rendered = time.perf_counter() - start
        workers = cpu_s(resource.RUSAGE_CHILDREN) - workers
        ours, start = cpu_s(resource.RUSAGE_SELF), time.perf_counter()
        if profile:
            profile.enable()
        requests = asyncio.run(judge(protocol, drawings, url, folder))
        if profile:
            profile.disable()
        judged = time.perf_counter() - start
        ours = cpu_s(resource.RUSAGE_SELF) - ours
        mean_kb = sum(path.stat().st_size for path in folder.glob("*.png")) / number / 1000
    print(f"{name}: {number} prompts, {requests} requests, PNG of {mean_kb:.0f} kB on average")
    print(f"  render {rendered:6.1f} s wall, {workers / number * 1000:6.1f} ms CPU a drawing")
    print(
        f"  judge  {judged:6.1f} s wall, {ours / requests * 1000:6.1f} ms CPU a request, {number / judged:6.1f} prompts/s"
    )
    print(f"  both, one after the other: {number / (judged + rendered):.1f} prompts/s", flush=True)
    return number / judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=640)
    parser.add_argument("--profile", action="store_true", help="show where our process spends its time")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores; load {os.getloadavg()[0]:.1f}")
    profile = cProfile.Profile() if options.profile else None
    names = ["v1", *(["paper"] if find_spec("cairosvg") else [])]
    with instant_judge() as url:
        speeds = {name: measure(name, options.prompts, url, profile) for name in names}
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    for name, speed in speeds.items():
        verdict = "reached" if speed >= WANTED * RELEASED_PER_S else "MISSED"
        print(
            f"{name}: judging is {speed / RELEASED_PER_S:.1f} times the released evaluation; {WANTED:.0f} times {verdict}"
        )


if __name__ == "__main__":
    main()
