"""The leaderboard at the size it must bear: 150 models × 5,154 prompts × 1 sample, drawings already in the cache.

    python benchmarks/site.py                # makes the results once in --folder, builds, changes nothing, builds again
    python benchmarks/site.py --models 20    # smaller, for a quick look

Numbers are made up and never leave the folder. Each build runs in a process of its own; memory is its peak.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

TASKS = {
    "comp": ("judge[synthetic]", 100.0, 3200),
    "object": ("vqa[synthetic]", 1.0, 930),
    "scene": ("vqa[synthetic]", 1.0, 1024),
}
OUTCOMES = ("ok", "ok", "ok", "ok", "ok", "ok", "ok", "truncated", "no_svg", "render_error")
BUDGET = {
    "first build": "< 90 s",
    "peak memory": "< 1.5 GB",
    "site": "< 900 MB",
    "first page, gzipped": "< 300 kB",
    "unchanged rebuild": "< 10 s",
    "interactive": "< 1000 ms",
    "sorting": "< 100 ms",
}
CHROMIUM = Path("/usr/bin/chromium")
VISITS = 5
SORT_EACH_COLUMN = """() => Array.from(document.querySelectorAll("th[data-key]:not([hidden]) button"), (button) => {
    const begun = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    return performance.now() - begun;
})"""


def prompts_of(task: str, number: int) -> pd.DataFrame:
    """Ids, categories and clusters shaped like the published ones: comp has a text that stands 141 times."""
    rng = np.random.default_rng(number)
    index = np.arange(number)
    majors = np.array(["binding/color", "binding/shape", "binding/texture", "relation/2d_spatial", "relation/3d_spatial",
                       "relation/implicit", "numeracy/a", "numeracy/b"])  # fmt: skip
    category = majors[index * 8 // number] if task == "comp" else np.repeat(task, number)
    cluster = np.where(index < 141, 0, rng.integers(0, round(number * 0.75), number) + 1) if task == "comp" else index
    return pd.DataFrame(
        {
            "prompt_id": [f"{task}-{i:04d}" for i in index],
            "category": category,
            "cluster": [f"c{c}" for c in cluster],
        }
    )


def program_of(model: int, task: str, prompt: int) -> str:
    """A program of about 1.2 kB that no other model writes."""
    rng = np.random.default_rng([model, len(task), prompt])
    shapes = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="#{c:06x}" stroke="#333" stroke-width="1.5"/>\n'
        for x, y, r, c in zip(*rng.uniform(5, 500, (3, 14)), rng.integers(0, 1 << 24, 14), strict=True)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512">\n{shapes}</svg>'


def make_results(folder: Path, models: int) -> None:
    """Results and evidence of invented models, and their pictures in the cache."""
    from sgpbench.leaderboard.thumbnails import Thumbnails, picture_hash
    from sgpbench.protocol import load_protocol
    from sgpbench.records import Column, Prompt
    from sgpbench.results.export import build_result, export, scoring_columns
    from sgpbench.results.schema import Execution, Identity, Verification
    from sgpbench.results.summary import RunHead, summarise
    from sgpbench.svg.structure import MEASURES
    from sgpbench.tasks.selection import order_prompts
    from sgpbench.tasks.slices import category_slices, distinct_slice

    protocol = load_protocol("v1")
    pictures = _pictures()
    with Thumbnails(folder / "cache" / "thumbnails") as thumbnails:
        for task, (headline, high, number) in TASKS.items():
            table = prompts_of(task, number)
            structure = [Column(f"structure.{name}", None, name, 0.0, None, "omit") for name in MEASURES]
            columns = [
                Column("validity", True, "drawn", 0.0, 1.0),
                Column(headline, True, "score", 0.0, high),
                *structure,
            ]
            scoring = {}
            for column in columns:
                metric = column.name.split(".")[0]
                scoring.update(scoring_columns(metric, {"version": "1"}, (column,), protocol.scoring))
            nested = order_prompts(
                [Prompt(i, "", c, i) for i, c in zip(table.prompt_id, table.category, strict=True)], 0
            )
            wanted = {prompt.id for prompt in nested[:200]}
            identity_hash = thumbnails.identity("v1", task)
            for model in range(models):
                rng = np.random.default_rng([model, number])
                ability = 0.15 + 0.7 * model / max(models - 1, 1)
                drawn = table.assign(sample=0, outcome=rng.choice(np.array(OUTCOMES, object), number))
                ok = (drawn["outcome"] == "ok").to_numpy()
                scores = np.clip(rng.normal(ability, 0.25, number), 0, 1) * high
                drawn["flags"] = [()] * number
                drawn["validity"], drawn[headline] = ok.astype(float), np.where(ok, scores, np.nan)
                for column in structure:
                    drawn[column.name] = np.where(ok, rng.integers(0, 30, number), np.nan)
                for name in ("input_tokens", "output_tokens", "cost_usd"):
                    drawn[name] = {"input_tokens": 60.0, "output_tokens": 1500.0, "cost_usd": 1e-5 * (model + 1)}[name]
                name = f"org{model % 12}/model-{model:03d}"
                head = RunHead(name, task, "v1", "official", "complete", "", headline.split("[")[0])
                document = summarise(
                    drawn, [*category_slices(table), distinct_slice(table)], columns, protocol.scoring.invalid,
                    head=head,
                )  # fmt: skip
                result = build_result(
                    document,
                    identity=Identity(
                        model=name, adapter="openai", model_args={}, task=task, task_version=1, split="official",
                        protocol="v1", generation_hash=protocol.generation_hash(task),
                        scoring_hash=protocol.scoring_hash, seed=0, samples=1, protocol_samples=1,
                    ),
                    split_prompts=number,
                    scoring=scoring,
                    execution=Execution(finished=f"2026-10-{1 + model % 28:02d}T12:00:00+00:00", cost_usd=0.05 * (model + 1)),
                    headline=headline.split("[")[0],
                    model_info={"provider": f"Maker {model % 12}", "weights": "open" if model % 2 else "closed",
                                "parameters_b": float(1 + model), "title": f"Model {model:03d}"},
                )  # fmt: skip
                verified = Verification(status="verified", by="nobody", what="nothing: invented", date="2026-10-31")
                programs = {i: program_of(model, task, place) for place, i in enumerate(table.prompt_id)}
                export(
                    result.model_copy(update={"verification": verified}),
                    _rows(drawn, programs, columns),
                    folder / "results",
                )
                for prompt_id, program in programs.items():
                    if prompt_id in wanted:
                        path = thumbnails.path(picture_hash(identity_hash, program))
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(pictures[hash((model, prompt_id)) % len(pictures)])
            print(f"made {models} results of {task}", file=sys.stderr)


def _rows(drawn: pd.DataFrame, programs: dict[str, str], columns: list[object]) -> Iterator[dict[str, object]]:
    for record in drawn.sort_values("prompt_id").to_dict("records"):
        program = programs[record["prompt_id"]] if record["outcome"] == "ok" else None
        scores = {f"score.{c.name}": None if np.isnan(record[c.name]) else record[c.name] for c in columns}  # type: ignore[attr-defined]
        fixed = {name: record[name] for name in ("prompt_id", "sample", "cluster", "category", "outcome")}
        yield {
            **fixed,
            "flags": [],
            "finish_reason": "stop",
            "completion": program or "no",
            "program": program,
            **scores,
        }


def _pictures() -> list[bytes]:
    """Sixteen thumbnails of busy drawings, as the sandbox and the site make them."""
    from sgpbench.leaderboard.thumbnails import small_picture
    from sgpbench.protocol import load_protocol
    from sgpbench.svg.sandbox import Sandbox

    with Sandbox(load_protocol("v1").scoring.renderer, "namespaces", workers=1) as sandbox:
        futures = [sandbox.submit(program_of(i, "comp", i)) for i in range(16)]
        return [small_picture(png) for future in futures if (png := future.result().png)]


def build_once(folder: Path) -> dict[str, float]:
    """One build in a process of its own; what it took."""
    code = (
        "import json,resource,sys,time\nfrom pathlib import Path\nbegun=time.monotonic()\n"
        "from sgpbench.leaderboard.build import build_site\n"
        "report=build_site(Path(sys.argv[1]),Path(sys.argv[2]))\n"
        "print(json.dumps({'seconds':time.monotonic()-begun,'bytes':report.bytes,'files':report.files,"
        "'changed':report.changed,'rendered':report.rendered,'steps':dict(report.seconds),"
        "'cpu':sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),'warnings':len(report.warnings),'memory':resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024}))"
    )
    environment = {**os.environ, "SGPBENCH_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", code, str(folder / "results"), str(folder / "site")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def first_page_bytes(site: Path) -> tuple[int, int]:
    """Gzipped bytes of the first page with its style and scripts; and of the pictures at its top."""
    import re

    html = (site / "index.html").read_bytes()
    files = [site / "index.html", site / "static/site.css", site / "static/theme.js", site / "static/table.js"]
    texts = sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)
    pictures = set(re.findall(rb'src="(thumbs/[^"]+)"', html))
    return texts, sum((site / name.decode()).stat().st_size for name in pictures)


def in_browser(site: Path) -> dict[str, str] | None:
    """Milliseconds in Chromium until the first page can be used, and for a click on a column's head to be laid out."""
    if importlib.util.find_spec("playwright") is None or not CHROMIUM.is_file():
        return None
    from playwright.sync_api import sync_playwright

    ready: list[float] = []
    sorts: list[list[float]] = []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        for _ in range(VISITS):
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.goto((site / "index.html").as_uri())
            ready.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
            page.wait_for_timeout(500)
            sorts += (page.evaluate(SORT_EACH_COLUMN) for _ in range(3))
            page.close()
        chromium.close()
    columns = [statistics.median(times) for times in zip(*sorts, strict=True)]
    return {
        "interactive": f"{statistics.median(ready):.0f} ms (median of {VISITS} visits)",
        "sorting": f"{max(columns):.0f} ms (slowest column, median of {len(sorts)})",
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, default=Path("/tmp/sgpbench-site-benchmark"))
    arguments.add_argument("--models", type=int, default=150)
    given = arguments.parse_args()
    marker = given.folder / f"made-{given.models}"
    if not marker.is_file():
        begun = time.monotonic()
        make_results(given.folder, given.models)
        build_once(given.folder)  # draws what is neither cached nor in the gallery: best, median and worst
        marker.write_text("")
        print(f"made the results in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    for stale in (given.folder / "site", given.folder / "cache" / "leaderboard"):
        shutil.rmtree(stale, ignore_errors=True)
    first = build_once(given.folder)
    again = build_once(given.folder)
    texts, pictures = first_page_bytes(given.folder / "site")
    measured = {
        "first build": f"{first['seconds']:.1f} s ({first['cpu']:.1f} s of CPU)",
        "peak memory": f"{max(first['memory'], again['memory']) / 1e9:.2f} GB",
        "site": f"{first['bytes'] / 1e6:.0f} MB in {first['files']:,} files",
        "first page, gzipped": f"{texts / 1000:.0f} kB, and {pictures / 1000:.0f} kB of pictures",
        "unchanged rebuild": f"{again['seconds']:.1f} s ({again['cpu']:.1f} s of CPU), {again['changed']} changed",
    }
    measured |= in_browser(given.folder / "site") or {}
    print(f"{given.models} models × {sum(n for *_, n in TASKS.values()):,} prompts × 1 sample")
    for name, value in measured.items():
        print(f"{name:22} {value:40} {BUDGET[name]}")
    for name, found in (("first build", first), ("unchanged rebuild", again)):
        print(
            f"steps of the {name}: {json.dumps(found['steps'])}; rendered {found['rendered']}, warnings {found['warnings']}"
        )


if __name__ == "__main__":
    main()
