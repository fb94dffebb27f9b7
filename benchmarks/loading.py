"""How long loading a task takes, and how much memory: each task in a process of its own, three times.

    python benchmarks/loading.py --data-dir ../shared/upstream

Prints one row per task and way of loading: with hashes to be computed (the first time on a machine), and with known ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURE = """
import json, resource, sys, time
begin = time.perf_counter()
from pathlib import Path
from sgpbench.data import DataStore
from sgpbench.errors import DataError
from sgpbench.tasks.registry import load_task
imported = time.perf_counter()
try:
    prompts = len(list(load_task(sys.argv[1]).prompts(DataStore([Path(sys.argv[2])]), sys.argv[3], 0)))
except DataError as error:
    print(json.dumps({"missing": str(error)}))
else:
    seconds = [imported - begin, time.perf_counter() - imported]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"prompts": prompts, "import_s": seconds[0], "load_s": seconds[1], "peak_mb": peak}))
"""


def measure(task: str, data: Path, split: str, cache: Path) -> dict[str, float | str]:
    """One load in a fresh process, with that cache of known hashes."""
    environment = {**os.environ, "SGPBENCH_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", MEASURE, task, str(data), split]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float | str] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{'task':<8}{'split':<11}{'hashes':<9}{'prompts':>8}{'import s':>10}{'load s':>9}{'peak MB':>9}")
    for task, split in (("comp", "official"), ("comp", "generated"), ("scene", "official"), ("object", "official")):
        for hashes in ("first", "known"):
            with tempfile.TemporaryDirectory() as folder:
                if hashes == "known":
                    measure(task, options.data_dir, split, Path(folder))
                rows = []
                for repeat in range(options.repeats):
                    cache = Path(folder) / (str(repeat) if hashes == "first" else "")
                    rows.append(measure(task, options.data_dir, split, cache))
            if "missing" in rows[0]:
                print(f"{task:<8}{split:<11}{rows[0]['missing']}")
                break
            middle = {key: statistics.median(float(row[key]) for row in rows) for key in rows[0]}
            print(
                f"{task:<8}{split:<11}{hashes:<9}{middle['prompts']:>8.0f}{middle['import_s']:>10.3f}"
                f"{middle['load_s']:>9.3f}{middle['peak_mb']:>9.0f}"
            )


if __name__ == "__main__":
    main()
