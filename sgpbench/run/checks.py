"""What works on this machine, and what helps where something does not."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sgpbench.data.manifest import dataset_names
from sgpbench.data.store import DataStore
from sgpbench.errors import MetricUnavailable, SgpbenchError
from sgpbench.metrics.availability import why_unavailable
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.registry import BUILT_IN, metric_names, open_metric
from sgpbench.paths import cache_dir, data_dirs
from sgpbench.protocol import load_protocol
from sgpbench.records import Outcome
from sgpbench.svg.sandbox import Sandbox

__all__ = ["Check", "check_machine"]

_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
_SQUARE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text y="8">A</text></svg>'


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried. ``remedy`` is the command or step that helps where it does not work."""

    group: str
    name: str
    works: bool
    detail: str
    remedy: str | None = None


def check_machine(data_dir: Path | None = None) -> list[Check]:
    """Tries everything the harness may need; asks no model and downloads nothing."""
    return [*_rendering(), *_models(), *_data(data_dir), *_metrics(data_dir)]


def _rendering() -> list[Check]:
    checks = []
    for name, remedy in (
        ("v1", "pip install resvg-py==0.5.0"),
        ("paper", "pip install 'sgpbench[paper]' and apt-get install libcairo2"),
    ):
        protocol = load_protocol(name)
        title = f"{protocol.scoring.renderer.name} ({name})"
        try:
            with Sandbox(protocol.scoring.renderer, protocol.generation.default.repair, workers=1) as sandbox:
                rendered = sandbox.submit(_SQUARE).result()
                level, lacking = sandbox.level, sandbox.lacking
        except SgpbenchError as error:
            checks.append(Check("Rendering", title, False, error.message, error.remedy or remedy))
            continue
        works = rendered.outcome is Outcome.OK
        missing = f" (not here: {lacking})" if lacking else ""
        detail = f"draws, with text; sandbox {level}{missing}" if works else f"fails: {rendered.message}"
        checks.append(Check("Rendering", title, works, detail, None if works else remedy))
    return checks


def _models() -> list[Check]:
    checks = []
    for adapter, names in _KEYS.items():
        key = next((name for name in names if os.environ.get(name)), None)
        checks.append(_works("Models", adapter, f"{key} is set" if key else None, "no key.", f"export {names[0]}=…"))
    vllm = "Install vLLM in an environment of its own; name it with --model-arg executable=PATH."
    checks.append(_works("Models", "vllm", shutil.which("vllm"), "no executable on PATH.", vllm))
    here = "xllamacpp is installed" if importlib.util.find_spec("xllamacpp") else None
    checks.append(_works("Models", "llamacpp", here, "not installed.", "pip install 'sgpbench[local]'"))
    checks.append(_gpu())
    return checks


def _works(group: str, name: str, found: str | None, problem: str, remedy: str) -> Check:
    """A check that works where something was ``found``."""
    return Check(group, name, True, found) if found else Check(group, name, False, problem, remedy)


def _gpu() -> Check:
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Check("Models", "GPU", False, "none found; encoders run on the CPU.")
    return Check("Models", "GPU", True, found.replace("\n", "; "))


def _data(data_dir: Path | None) -> list[Check]:
    store = DataStore(data_dirs(data_dir))
    checks = []
    for name in dataset_names():
        try:
            states = store.states(name)
            missing = sum(state.state in {"missing", "damaged"} for state in states)
            problem = f"{missing} of {len(states)} file(s) missing or damaged."
            checks.append(_works("Data", name, None if missing else "here", problem, f"sgpbench data fetch {name}"))
        except SgpbenchError as error:
            checks.append(Check("Data", name, False, error.message, error.remedy))
    return checks


def _metrics(data_dir: Path | None) -> list[Check]:
    context = MetricContext(
        argument=None, protocol=load_protocol("v1"), cache_dir=cache_dir(), data=DataStore(data_dirs(data_dir))
    )
    return [_metric(name, context) for name in metric_names()]


def _metric(name: str, context: MetricContext) -> Check:
    if name == "judge":
        return Check("Metrics", name, True, "any model that sees: --judge MODEL; try `sgpbench judge check` first")
    try:
        if name in BUILT_IN:
            # Looked for, not opened: reading gigabytes of weights is not for a quick look.
            problem: SgpbenchError | None = why_unavailable(name)
        else:
            asyncio.run(open_metric(name, context).aclose())
            problem = None
    except SgpbenchError as error:
        problem = error
    if isinstance(problem, MetricUnavailable):
        return Check("Metrics", name, False, "weights or packages are missing.", f"sgpbench metrics show {name}")
    return (
        Check("Metrics", name, False, problem.message, problem.remedy)
        if problem
        else Check("Metrics", name, True, "ready")
    )
