"""How often the verifier of ``shapes`` is right, and how fast it is.

    python benchmarks/verifier.py                    the published figure: 5,000 right drawings, 5,000 with one fault
    python benchmarks/verifier.py --number 500 --seed 3      a shorter run with other seeds
    python benchmarks/verifier.py --only hand|styles|misses|speed

Right drawings are written in many ways; faulty ones break exactly one constraint, half of them by a near margin, and
count only if the verdict is "not met" and names that constraint and no other. Seeds below 2,000 were used while the
verifier was written; the published figure uses seeds from 2,000 up, and a run of it is never used for tuning.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import resvg_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from verifier_drawings.faults import possible_faults, with_fault
from verifier_drawings.hand import hand_drawings
from verifier_drawings.misses import MISSES, miss_svg
from verifier_drawings.sampler import Fault, arrange
from verifier_drawings.styles import STYLES, styled_svg
from verifier_drawings.writer import write_svg

from sgpbench.metrics.shapes import Verdict, read_scene, score_png
from sgpbench.tasks.registry import load_task

PUBLISHED_SEED = 2000


@dataclass(frozen=True)
class Case:
    """One drawing with what is known of it."""

    name: str
    category: str
    scene: dict
    svg: str
    size: tuple[int, int]
    fault: Fault | None = None


def render(svg: str, size: tuple[int, int] = (512, 512)) -> bytes:
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=size[0], height=size[1], background="white", skip_system_fonts=True)
    )


def verdict_on(case: Case) -> Verdict:
    return score_png(render(case.svg, case.size), read_scene(case.scene))


def scenes(seed: int) -> Iterator[tuple[str, str, dict]]:
    """Scenes without end: those of the generated split of one seed after the other."""
    task = load_task("shapes")
    while True:
        for prompt in task.prompts(None, "generated", seed):
            yield f"{seed}/{prompt.id}", prompt.category, dict(prompt.metadata["scene"])
        seed += 1


def right_cases(seed: int, number: int) -> Iterator[Case]:
    for name, category, scene in scenes(seed):
        rng = Random(f"right {name}")
        plan = arrange(scene, rng)
        if plan is None:
            continue
        yield Case(name, category, scene, write_svg(plan, rng), (int(plan.width), int(plan.height)))
        number -= 1
        if number == 0:
            return


def faulty_cases(seed: int, number: int) -> Iterator[Case]:
    """Kinds of fault in turn, so that rare ones are there too; near and far in turn."""
    counts: Counter[str] = Counter()
    made = 0
    for name, category, scene in scenes(seed + 500_000):
        rng = Random(f"faulty {name}")
        kinds = sorted(possible_faults(scene), key=lambda kind: (counts[kind], kind))
        for kind in kinds[:3]:
            found = with_fault(scene, kind, counts[kind] % 2 == 0, rng)
            if found is not None:
                break
        else:
            continue
        plan, fault = found
        counts[kind] += 1
        made += 1
        yield Case(name, category, scene, write_svg(plan, rng), (int(plan.width), int(plan.height)), fault)
        if made == number:
            return


def named(verdict: Verdict, fault: Fault) -> bool:
    """Whether the verdict names the broken constraint, and no other."""
    about = ",".join(fault.about) if fault.kind not in ("apart", "only", "background") else ""
    return [(check.kind, check.about) for check in verdict.unmet] == [(fault.kind, about)]


def run_right(seed: int, number: int, keep: Path | None) -> None:
    met, total = Counter[str](), Counter[str]()
    for case in right_cases(seed, number):
        verdict = verdict_on(case)
        total[case.category] += 1
        met[case.category] += verdict.all_met
        if not verdict.all_met:
            report(case, verdict, keep)
    table("right drawings judged all-met", met, total)


def run_faulty(seed: int, number: int, keep: Path | None) -> None:
    refused, exact, total = Counter[str](), Counter[str](), Counter[str]()
    for case in faulty_cases(seed, number):
        assert case.fault is not None
        verdict = verdict_on(case)
        kind = f"{case.fault.kind} {'near' if case.fault.near else 'far'}"
        total[kind] += 1
        refused[kind] += not verdict.all_met
        exact[kind] += named(verdict, case.fault)
        if not named(verdict, case.fault):
            report(case, verdict, keep)
    table("faulty drawings judged not met", refused, total)
    table("faulty drawings judged not met, naming that fault and no other", exact, total)


def report(case: Case, verdict: Verdict, keep: Path | None) -> None:
    unmet = [(check.kind, check.about, check.seen) for check in verdict.unmet]
    print(f"  {case.name} {case.fault or ''}: {unmet}", file=sys.stderr)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        stem = case.name.replace("/", "_")
        (keep / f"{stem}.svg").write_text(case.svg)
        (keep / f"{stem}.png").write_bytes(render(case.svg, case.size))


def table(title: str, good: Counter[str], total: Counter[str]) -> None:
    print(f"\n{title}")
    for key in sorted(total):
        print(f"  {key:20} {good[key]:6} of {total[key]:6}  {good[key] / total[key]:8.2%}")
    done, every = sum(good.values()), sum(total.values())
    print(f"  {'all':20} {done:6} of {every:6}  {done / every:8.2%}", flush=True)


def run_hand(keep: Path | None) -> None:
    """Right ones must be all-met; of the others every fault that was put in must be named."""
    good, total = Counter[str](), Counter[str]()
    for drawing in hand_drawings():
        case = Case(drawing.name, "hand", drawing.scene, drawing.svg, canvas_of(drawing.svg))
        verdict = verdict_on(case)
        unmet = {f"{check.kind} {check.about}".strip() for check in verdict.unmet}
        fine = verdict.all_met if not drawing.broken else set(drawing.broken) <= unmet
        kind = "not met, faults named" if drawing.broken else "all-met"
        total[kind] += 1
        good[kind] += fine
        if not fine:
            print(f"  {drawing.name} expected {drawing.broken}", file=sys.stderr)
            report(case, verdict, keep)
    table("SVGs written by hand in the manner of language models", good, total)


def canvas_of(svg: str) -> tuple[int, int]:
    """The pixels of a rendering whose longer side is 512."""
    box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg) or re.search(
        r'width="(\d+)" height="(\d+)"', svg
    )
    width, height = (float(box[1]), float(box[2])) if box else (1.0, 1.0)
    return round(512 * width / max(width, height)), round(512 * height / max(width, height))


def run_styles(seed: int, number: int) -> None:
    print("\nstyle shifts: right scenes, drawn otherwise than asked")
    plans = []
    for name, _, scene in scenes(seed + 900_000):
        plan = arrange(scene, Random(f"styles {name}"))
        if plan is not None and not any(s["kind"] == "overlap" for s in scene["statements"]):
            plans.append((scene, plan))
        if len(plans) == number:
            break
    for style in STYLES:
        met = share = 0.0
        for scene, plan in plans:
            png = render(styled_svg(plan, Random(style), style), (int(plan.width), int(plan.height)))
            verdict = score_png(png, read_scene(scene))
            met += verdict.all_met
            share += verdict.share
        print(f"  {style:42} all-met {met / len(plans):6.1%}   constraints met {share / len(plans):6.1%}", flush=True)


def run_misses() -> None:
    print("\nnear misses: one shape asked for, something like it drawn (three sizes, four turns)")
    for miss in MISSES:
        scene = {"background": "white", "statements": []}
        scene["groups"] = [{"id": "a", "shape": miss.asked, "color": "blue", "count": 1}]
        verdicts = [
            score_png(render(miss_svg(miss, scale=scale, angle=angle)), read_scene(scene)).all_met
            for scale in (0.5, 0.9, 1.7)
            for angle in (0, 17, 45, 71)
        ]
        wrong = "" if set(verdicts) == {miss.accepted} else "   <- not as decided"
        decided = "accepted" if miss.accepted else "refused"
        print(f"  {miss.asked:10} {miss.drawn:42} {decided:9} {sum(verdicts):3} of {len(verdicts)} accepted{wrong}")


def run_speed(seed: int, number: int) -> None:
    cases = list(right_cases(seed, number))
    verdict_on(cases[0])
    start = time.process_time()
    pngs = [render(case.svg, case.size) for case in cases]
    middle = time.process_time()
    for case, png in zip(cases, pngs, strict=True):
        score_png(png, read_scene(case.scene))
    end = time.process_time()
    rendering, judging = (middle - start) / len(cases), (end - middle) / len(cases)
    print("\nspeed, one core, CPU time")
    print(f"  rendering {rendering * 1e3:.1f} ms, decoding and judging {judging * 1e3:.1f} ms per drawing")
    print(f"  {1 / (rendering + judging):.0f} drawings/s with rendering, {1 / judging:.0f}/s without", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=PUBLISHED_SEED)
    parser.add_argument("--only", choices=("right", "faulty", "hand", "styles", "misses", "speed"))
    parser.add_argument("--keep", type=Path, help="write the drawings that were judged wrongly into this folder")
    options = parser.parse_args()
    parts = {
        "right": lambda: run_right(options.seed, options.number, options.keep),
        "faulty": lambda: run_faulty(options.seed, options.number, options.keep),
        "hand": lambda: run_hand(options.keep),
        "styles": lambda: run_styles(options.seed, 100),
        "misses": run_misses,
        "speed": lambda: run_speed(options.seed, min(options.number, 400)),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
