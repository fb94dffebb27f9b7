"""Time and memory of a whole run: ``comp`` with ``baseline/procedural``, 3,200 samples against 32,000.

    python benchmarks/pipeline.py --data-dir ../shared/upstream [--samples 1,10] [--limit N]

Prints wall seconds of the command and the peak resident memory of its main process (rendering workers not counted).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

import psutil


def measure(command: list[str]) -> tuple[float, float, dict[str, object]]:
    """(seconds, peak MB of the main process, the run's document)."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watched = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    out, _ = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(f"{' '.join(command)} left with {process.returncode}")
    (run,) = json.loads(out)["runs"]
    return seconds, peak / 1e6, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--samples", default="1,10")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    print(f"{psutil.cpu_count()} cores")
    print(f"{'samples':>9} {'status':>10} {'seconds':>9} {'per second':>11} {'peak MB':>9}")
    peaks = []
    for samples in given.samples.split(","):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "sgpbench", "run", "--model", "baseline/procedural", "--task", "comp"]
            command += ["--data-dir", given.data_dir, "--runs-dir", folder, "--samples", samples, "--json"]
            command += ["--limit", str(given.limit)] if given.limit else []
            seconds, peak, run = measure(command)
        count = int(str(run["samples"]))
        peaks.append(peak)
        print(f"{count:>9,} {run['status']!s:>10} {seconds:>9.1f} {count / seconds:>11.1f} {peak:>9.0f}", flush=True)
    if len(peaks) > 1:
        print(f"memory of the last against the first: {peaks[-1] / peaks[0]:.2f}")


if __name__ == "__main__":
    main()
