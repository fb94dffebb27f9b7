"""Throughput of many requests to one endpoint, side by side with what else a user could write.

    python benchmarks/fanout.py [--requests 3000] [--connections 100] [--latency-ms 200] [--rounds 3]
                                [--command "sgpbench run --model openai/m --model-arg base_url={url}/v1 ..."]

Contenders, all on OpenAI's SDK, each in a process of its own against a fresh server process (``tests/server.py``):

- ``bare``: an asyncio loop, one semaphore, ``AsyncOpenAI.chat.completions.create``; nothing is retried or kept
- ``threads``: ``ThreadPoolExecutor`` with one thread per connection on the synchronous ``OpenAI``
- ``caller``: sgpbench's adapter, limiter, retries and ledger
- ``command``: any command line that makes the requests itself, e.g. a whole ``sgpbench run --stages generate``

The rate is the server's: answers by the seconds from the first request to the last answer, so that starting Python and
importing SDKs do not count. Rounds are interleaved; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).resolve().parents[1] / "tests" / "server.py"
PROMPT = "Draw a house with a red roof beside a tree. " * 8


async def in_parallel(requests: int, connections: int, one: Callable[[int], Awaitable[object]]) -> None:
    """Makes all requests, as many side by side as there are connections."""
    gate = asyncio.Semaphore(connections)

    async def through(number: int) -> None:
        async with gate:
            await one(number)

    await asyncio.gather(*(through(number) for number in range(requests)))


async def bare(url: str, requests: int, connections: int) -> None:
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0) as client:

        async def one(number: int) -> object:
            return await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": f"{number} {PROMPT}"}],
                temperature=0.7,
                max_completion_tokens=100,
                seed=number,
            )

        await in_parallel(requests, connections, one)


def threads(url: str, requests: int, connections: int) -> None:
    from openai import OpenAI

    client = OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)

    def one(number: int) -> object:
        return client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": f"{number} {PROMPT}"}],
            temperature=0.7,
            max_completion_tokens=100,
            seed=number,
        )

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(one, range(requests)))
    client.close()


async def caller(url: str, requests: int, connections: int) -> None:
    from sgpbench.models.calls import Caller
    from sgpbench.models.interface import Concurrency, ModelSpec, Price
    from sgpbench.models.limiter import Limiter
    from sgpbench.models.money import Ledger
    from sgpbench.models.openai_adapter import open_openai
    from sgpbench.records import Message, Request, Sampling, TextPart

    spec = ModelSpec("openai/m", "openai", "m", {"base_url": f"{url}/v1"}, price=Price(1.0, 10.0))
    asking = Caller(open_openai(spec), Limiter(Concurrency(connections, connections)), ledger=Ledger(1000.0))
    sampling = Sampling(temperature=0.7, max_tokens=100)

    async def one(number: int) -> object:
        message = Message("user", (TextPart(f"{number} {PROMPT}"),))
        return await asking.ask(Request(sampling, messages=(message,), seeds=(number,)))

    await asyncio.gather(*(one(number) for number in range(requests)))
    await asking.aclose()


def contend(name: str, url: str, requests: int, connections: int) -> None:
    """Runs one contender in this process."""
    if name == "threads":
        threads(url, requests, connections)
    else:
        asyncio.run({"bare": bare, "caller": caller}[name](url, requests, connections))


@dataclass(frozen=True)
class Measured:
    """What one contender did in one round."""

    rate: float
    """Answers a second."""
    cpu_ms: float
    """Processor time of its process for each answer, starting up included."""
    answered: int
    peak: int
    """Requests in flight at most."""


def measure(command: list[str], latency_ms: float) -> Measured:
    """Runs a command that gets the server's address for ``{url}``."""
    serving = [sys.executable, str(SERVER), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        environment = {"OPENAI_API_KEY": "none", **os.environ}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([part.replace("{url}", url) for part in command], check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        out, _ = server.communicate()
    served = json.loads(out)
    answered = served["answered"]
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(answered / served["seconds"], 1000 * cpu_s / answered, answered, served["peak"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--command", help="a further contender; {url} stands for the server's address")
    parser.add_argument("--contend", nargs=2, metavar=("NAME", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contend:
        contend(*given.contend, given.requests, given.connections)
        return
    sizes = ["--requests", str(given.requests), "--connections", str(given.connections)]
    commands = {
        name: [sys.executable, __file__, "--contend", name, "{url}", *sizes] for name in ("bare", "threads", "caller")
    }
    if given.command:
        commands["command"] = shlex.split(given.command)
    rounds: dict[str, list[Measured]] = {name: [] for name in commands}
    for number in range(given.rounds):
        for name, command in commands.items():
            one = measure(command, given.latency_ms)
            rounds[name].append(one)
            print(
                f"round {number + 1}  {name:8} {describe(one.rate, one.cpu_ms)}  {one.answered} answers, peak {one.peak}"
            )
    print(
        f"\n{given.requests} requests, {given.connections} connections, {given.latency_ms:g} ms: "
        f"at most {given.connections / given.latency_ms * 1000:.0f} answers/s"
    )
    rates = {name: statistics.median(one.rate for one in each) for name, each in rounds.items()}
    for name, each in rounds.items():
        cpu_ms = statistics.median(one.cpu_ms for one in each)
        of_bare, of_threads = rates[name] / rates["bare"], rates[name] / rates["threads"]
        print(f"{name:8} {describe(rates[name], cpu_ms)}   {of_bare:.2f} of bare   {of_threads:.2f} of threads")


def describe(rate: float, cpu_ms: float) -> str:
    return f"{rate:7.1f} answers/s  {cpu_ms:5.2f} ms of processor each"


if __name__ == "__main__":
    main()
