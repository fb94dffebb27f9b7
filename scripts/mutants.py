"""Changes one thing in the code that makes numbers, runs the tests that should notice, and says which changes nobody notices.

    python scripts/mutants.py --minutes 35 [--seed 11] [--only sgpbench/results] [--again FILE]

Needs ``pip install cosmic-ray==8.7.0``, beside the project or in an environment of its own (then ``--python`` names the
project's). Modules take turns, each with its own mutants in an order drawn from the seed, until the time is over. The work
is done in a copy; a line of JSON per mutant goes to standard output, a table to standard error. ``--again`` tries the
survivors of an earlier output once more. What is never evaluated (annotations) or only says what cannot happen (``strict=``
of ``zip``, decorators of data classes) is left alone.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
_STATISTICS = ("statistics",)
TESTS: dict[str, tuple[str, ...]] = {
    "metrics/agreement": ("judge_parts",),
    "metrics/answers": ("metric_answers",),
    "metrics/calibration": ("judge_check",),
    "metrics/diversity": ("metrics_keyed", "encoders_reference", "encoders_engine"),
    "metrics/edit/": ("edit", "edit_parity"),
    "metrics/hps": ("metrics_keyed", "encoders_reference"),
    "metrics/judge": ("judge_parts", "judge_reading", "judge_metric", "judge_parity"),
    "metrics/keyed": ("metrics_keyed",),
    "metrics/replies": ("judge_metric",),
    "metrics/shapes/": ("shapes_basics", "shapes_metric", "shapes_verifier", "shapes_task"),
    "metrics/structure": ("metrics_weightless",),
    "metrics/text_image": ("metrics_keyed", "encoders_reference"),
    "metrics/validity": ("metrics_weightless", "metric_answers"),
    "metrics/vqa": ("metrics_vqa_core", "metrics_vqa", "metrics_keyed", "metrics_published_settings", "judge_vlm"),
    "results/compare": ("results_compare",),
    "results/counting": ("results_counting", "results_export", "unfinished"),
    "results/drift": ("drift",),
    "results/estimates": _STATISTICS,
    "results/evidence": ("results_export", "results_validate", "results_hostile"),
    "results/export": ("results_export", "results_of_runs"),
    "results/from_run": ("results_of_runs", "unfinished"),
    "results/intervals": _STATISTICS,
    "results/moments": ("results_hostile",),
    "results/naming": ("results_export", "results_compare"),
    "results/paired": _STATISTICS,
    "results/ranking": _STATISTICS,
    "results/reported": ("results_reported",),
    "results/scores": ("results_compare", "results_of_runs"),
    "results/summary": ("results_export", "results_counting", "unfinished", "results_validate"),
    "results/unfinished": ("unfinished",),
    "results/validate": ("results_validate", "results_hostile"),
    "svg/extract": ("svg_extract",),
}
"""The start of a module's path under ``sgpbench`` → the tests that should notice; where several fit, the longest."""

_PARENT = """
import json, os, signal, sys, time
import jsonschema, lxml.etree, numpy, pandas, PIL.Image, pyarrow.parquet, pydantic, pytest, scipy.stats, typer
for line in sys.stdin:
    limit, tests = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not browser", *tests]))
    end, done = time.monotonic() + limit, 0
    while not done and time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if not done:
        os.waitpid(child, 0)
    print("timeout" if not done else "killed" if status else "survived", flush=True)
"""


@dataclass(frozen=True)
class Mutant:
    """One change: the ``occurrence``-th place in ``module`` that ``operator`` applies to."""

    module: str
    operator: str
    occurrence: int


def tests_of(module: str) -> tuple[str, ...]:
    """The test files of a module, none where it is not ours to try."""
    starts = [start for start in TESTS if module.removeprefix("sgpbench/").startswith(start)]
    return tuple(f"tests/test_{name}.py" for name in TESTS[max(starts, key=len)]) if starts else ()


def evaluated(code: str) -> str:
    """The syntax tree of a module without annotations, ``strict=`` and decorators of classes."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.ClassDef):
            node.decorator_list = []
        elif isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
    return ast.dump(tree)


def mutated(mutant: Mutant, code: str) -> str | None:
    """The changed module; ``None`` where nothing that is evaluated changes or it does not compile."""
    changed = mutate_code(code, get_operator(mutant.operator)(), mutant.occurrence)
    try:
        return None if changed is None or evaluated(changed) == evaluated(code) else changed
    except SyntaxError:
        return None


def mutants_of(module: str, rng: random.Random) -> list[Mutant]:
    """Of every place in a module that can be changed, one change."""
    nodes = list(ast_nodes(get_ast((ROOT / module).read_text("utf-8"))))
    places: dict[object, list[Mutant]] = defaultdict(list)
    for name in operator_names():
        kind = get_operator(name)
        if not kind.arguments():
            spans = (span for node in nodes for span in kind().mutation_positions(node))
            for occurrence, span in enumerate(spans):
                places[span].append(Mutant(module, name, occurrence))
    return [rng.choice(changes) for changes in places.values()]


def in_turns(modules: list[str], seed: int) -> Iterator[Mutant]:
    """Mutants of all modules, one of each in turn."""
    rng = random.Random(seed)
    queues = [mutants_of(module, rng) for module in modules]
    for queue in queues:
        rng.shuffle(queue)
    for turn in zip_longest(*queues):
        yield from (mutant for mutant in turn if mutant)


class Tester:
    """Runs tests in processes forked from one that has imported what is slow to import and not ours."""

    def __init__(self, folder: Path, python: str) -> None:
        words = (python, "-c", _PARENT, str(folder))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder)}
        environment.setdefault("SGPBENCH_TEST_DATA", str(ROOT.parent / "shared" / "upstream"))
        self._parent = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, tests: tuple[str, ...], limit: float) -> str:
        """``survived``, ``killed`` or ``timeout`` (after ``limit`` seconds); the tests are stopped with all they started."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([limit, tests]) + "\n")
        self._parent.stdin.flush()
        return self._parent.stdout.readline().strip()

    def close(self) -> None:
        """Ends the process and waits for it."""
        self._parent.communicate()


def copied(folder: Path) -> None:
    """A copy of what git has, without caches."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())


def change(code: str, other: str) -> list[str]:
    """The changed lines."""
    lines = difflib.unified_diff(code.splitlines(), other.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def tried(
    folder: Path, tester: Tester, mutants: Iterator[Mutant], options: argparse.Namespace
) -> list[tuple[Mutant, str]]:
    """Each mutant and its fate, until the time is over."""
    end = time.monotonic() + 60 * options.minutes
    usual: dict[tuple[str, ...], float] = {}
    fates: list[tuple[Mutant, str]] = []
    for mutant in mutants:
        file = folder / mutant.module
        code = file.read_text("utf-8")
        changed = mutated(mutant, code)
        if changed is None:
            continue
        if time.monotonic() > end:
            break
        tests = tests_of(mutant.module)
        if tests not in usual:
            start = time.monotonic()
            fate = tester.run(tests, 600)
            usual[tests] = time.monotonic() - start
            if fate != "survived":
                raise SystemExit(f"{' '.join(tests)} fail as they are ({fate})")
        file.write_text(changed, "utf-8")
        fate = tester.run(tests, 30 + 4 * usual[tests])
        file.write_text(code, "utf-8")
        fates.append((mutant, fate))
        print(json.dumps({**asdict(mutant), "fate": fate, "change": change(code, changed)}), flush=True)
    return fates


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--only", default="", help="modules whose path begins like this")
    parser.add_argument("--again", type=Path, help="an earlier output, whose survivors are tried once more")
    parser.add_argument("--python", default=sys.executable, help="the project's Python")
    options = parser.parse_args()
    found = (str(path.relative_to(ROOT)) for path in sorted((ROOT / "sgpbench").rglob("*.py")))
    modules = [module for module in found if tests_of(module) and module.startswith(options.only)]
    mutants = in_turns(modules, options.seed)
    if options.again:
        records = [json.loads(line) for line in options.again.read_text("utf-8").splitlines()]
        mutants = iter(
            [Mutant(one["module"], one["operator"], one["occurrence"]) for one in records if one["fate"] == "survived"]
        )
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copied(Path(folder))
        tester = Tester(Path(folder), options.python)
        fates = tried(Path(folder), tester, mutants, options)
        tester.close()
    print(f"{'module':40} killed  survived  timeout", file=sys.stderr)
    for module in sorted({mutant.module for mutant, _ in fates}):
        counts = [
            sum(one.module == module and fate == kind for one, fate in fates)
            for kind in ("killed", "survived", "timeout")
        ]
        print(f"{module:40}" + "".join(f"{count:8}" for count in counts), file=sys.stderr)


if __name__ == "__main__":
    main()
