"""How much longer a whole hosted run takes than its generation, where generation is the slowest stage.

    python benchmarks/overlap.py [--prompts 480] [--latency-ms 2000] [--connections 16]
    python benchmarks/overlap.py --clip --latency-ms 3000     # on two cores CLIP alone takes longer than 2 s answers

Three commands on ``comp``'s generated prompts (no data needed), each starting from nothing and timed whole:

- ``generate``: ``sgpbench run --stages generate`` against a server of that latency
- ``score``: ``sgpbench score`` on what the first one stored: rendering, structure, the judge (an instant server), and
  with ``--clip`` CLIP, ViT-B/32 in its real size with RANDOM weights
- ``whole``: one ``sgpbench run`` that does it all

The ratio is whole by generate. Both servers are processes of their own on the same cores, which they share with the run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from judging import instant_judge, programs

ROOT = Path(__file__).resolve().parents[1]
WANTED = 1.1
INCOMPLETE = 3


def serve(latency_s: float) -> None:
    """Answers every request after that time with one of many drawings, until standard input closes."""
    sys.path.insert(0, str(ROOT / "tests"))
    from server import Behaviour, MisbehavingServer

    drawings = programs(200)

    def reply(_path: str, body: Mapping[str, object]) -> dict[str, object]:
        number = int(hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:8], 16)
        message = {"role": "assistant", "content": drawings[number % len(drawings)]}
        usage = {"prompt_tokens": 100, "completion_tokens": 800, "total_tokens": 900}
        return {"model": "m-1", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}

    async def until_closed() -> None:
        async with MisbehavingServer(Behaviour(latency_s=latency_s, reply=reply)) as server:
            print(f"{server.url}/v1", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(until_closed())


@contextmanager
def slow_model(latency_ms: float) -> Iterator[str]:
    """The address of the server, in its own process."""
    command = [sys.executable, __file__, "--serve", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def timed(command: list[str], expected: int = 0) -> float:
    """Wall seconds of an sgpbench command, which must end with that exit code."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "sgpbench", *command], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode != expected:
        sys.exit(f"sgpbench {' '.join(command)} left with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds


def measure(options: argparse.Namespace, scratch: Path, model_url: str, judge_url: str) -> dict[str, float]:
    """Seconds of each command."""
    model = ["--model", "openai/slow", "--model-arg", f"base_url={model_url}", "--task", "comp", "--split", "generated"]
    model += ["--limit", str(options.prompts), "--max-connections", str(options.connections)]
    metrics = ["validity", "structure", "judge", *(["clip[fast]"] if options.clip else [])]
    scoring = [
        "--judge",
        "openai/instant",
        "--judge-arg",
        "sees=true",
        "--judge-arg",
        f"base_url={judge_url}",
        "--metrics",
        ",".join(metrics),
    ]
    apart, whole = ["--runs-dir", str(scratch / "apart")], ["--runs-dir", str(scratch / "whole")]
    seconds = {"generate": timed(["run", *model, *apart, "--stages", "generate"], expected=INCOMPLETE)}
    (run,) = (scratch / "apart").glob("*/*/comp@*")
    commands: dict[str, Callable[[], float]] = {
        "score": lambda: timed(["score", str(run), *scoring]),
        "whole": lambda: timed(["run", *model, *whole, *scoring]),
    }
    for name, command in commands.items():
        # Renderings and embeddings of the command before must not help this one.
        os.environ["SGPBENCH_CACHE_DIR"] = str(scratch / f"cache-{name}")
        seconds[name] = command()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=480)
    parser.add_argument("--latency-ms", type=float, default=2000.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--clip", action="store_true", help="score CLIP too (needs the metrics extra)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.latency_ms / 1000)
        return
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with tempfile.TemporaryDirectory(prefix="sgpbench-benchmark-") as folder:
        scratch = Path(folder)
        if options.clip:
            from scoring import save_weights

            save_weights(scratch / "weights", "fast")
            os.environ["SGPBENCH_WEIGHTS_DIR"] = str(scratch / "weights")
        with slow_model(options.latency_ms) as model_url, instant_judge() as judge_url:
            seconds = measure(options, scratch, model_url, judge_url)
    at_least = options.prompts * options.latency_ms / 1000 / options.connections
    print(f"{len(os.sched_getaffinity(0))} cores; {options.prompts} prompts, {options.latency_ms:g} ms each, ", end="")
    print(f"{options.connections} at once: at least {at_least:.1f} s")
    for name, spent in seconds.items():
        print(f"{name:<9}{spent:8.1f} s")
    ratio = seconds["whole"] / seconds["generate"]
    print(f"whole by generate {ratio:.2f}; {WANTED} {'reached' if ratio <= WANTED else 'MISSED'}")
    if seconds["score"] >= seconds["generate"]:
        print("generation was not the slowest stage: raise --latency-ms")


if __name__ == "__main__":
    main()
