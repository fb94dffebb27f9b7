"""Images per second of the sandbox with one and two workers, beside plain resvg-py and CairoSVG, in one run.

    python benchmarks/rendering.py [--drawings 150] [--rounds 5]

The drawings are made here: in the manner of language models, from a handful of shapes to a few hundred, with paths,
gradients, groups, opacity, clip paths, blurs and text. All make 512-pixel PNGs. The sandbox does more than the other
two: it parses, cleans and measures each program, renders those with text twice, and encodes RGB. Rounds of all
contenders alternate, and each contender's best round counts, so that other work on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import time
from collections.abc import Callable

import resvg_py

from sgpbench.protocol import load_protocol
from sgpbench.records import Outcome
from sgpbench.svg.render import FONTS_FOLDER
from sgpbench.svg.sandbox import Sandbox

FONTS = [str(path) for path in sorted(FONTS_FOLDER.glob("*.ttf"))]


def drawing(rng: random.Random) -> str:
    """One varied drawing: a background and a scene of 4 to 120 parts, mostly small."""
    parts = [part(rng) for _ in range(min(120, 4 + int(rng.expovariate(1 / 18))))]
    scene = f'<g transform="translate({rng.randint(-9, 9)} {rng.randint(-9, 9)})">{"".join(parts)}</g>'
    defs = (
        '<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#8cf"/><stop offset="1" stop-color="#fff"/>'
        '</linearGradient><radialGradient id="sun"><stop stop-color="#ff0"/><stop offset="1" stop-color="#f80"/>'
        '</radialGradient><clipPath id="clip"><circle cx="100" cy="100" r="90"/></clipPath>'
        '<filter id="soft"><feGaussianBlur stdDeviation="2"/></filter></defs>'
    )
    background = '<rect width="200" height="200" fill="url(#sky)"/>' if rng.random() < 0.7 else ""
    width, height = rng.choice(((200, 200), (200, 200), (200, 150), (150, 200)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width * 2}" '
        f'height="{height * 2}">{defs}{background}{scene}</svg>'
    )


def part(rng: random.Random) -> str:
    """One shape, path, group or word with a paint of its own."""
    x, y, size = rng.randint(0, 180), rng.randint(0, 180), rng.randint(4, 60)
    paint = rng.choice(
        ('fill="url(#sun)"', f'fill="#{rng.randrange(1 << 24):06x}"', f'fill="#{rng.randrange(4096):03x}"')
    )
    paint += rng.choice(("", "", ' stroke="#222" stroke-width="2"', f' opacity="{rng.uniform(0.3, 1):.2f}"'))
    kind = rng.choices(("circle", "rect", "ellipse", "polygon", "path", "group", "text"), (8, 8, 4, 4, 10, 1, 0.3))[0]
    if kind == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{size / 2}" {paint}/>'
    if kind == "rect":
        return f'<rect x="{x}" y="{y}" width="{size}" height="{size * 0.7:.1f}" rx="{rng.choice((0, 3))}" {paint}/>'
    if kind == "ellipse":
        return f'<ellipse cx="{x}" cy="{y}" rx="{size / 2}" ry="{size / 4}" {paint}/>'
    if kind == "polygon":
        points = " ".join(f"{x + rng.randint(0, size)},{y + rng.randint(0, size)}" for _ in range(rng.randint(3, 8)))
        return f'<polygon points="{points}" {paint}/>'
    if kind == "path":
        curves = " ".join(
            f"C{x + rng.randint(-size, size)} {y} {x} {y + rng.randint(-size, size)} {x + rng.randint(-size, size)} {y + 9}"
            for _ in range(rng.randint(1, 12))
        )
        return f'<path d="M{x} {y}{curves}Z" {paint}/>'
    if kind == "group":
        effect = rng.choice(('filter="url(#soft)"', 'clip-path="url(#clip)"', f'transform="rotate({x} 99 99)"'))
        return f'<g {effect}><rect x="{x}" y="{y}" width="{size}" height="{size}" {paint}/></g>'
    return f'<text x="{x}" y="{y}" font-family="Arial" font-size="{size / 3 + 6:.0f}" {paint}>Label {x}</text>'


def sandboxed(sandbox: Sandbox, programs: list[str]) -> None:
    outcomes = {future.result().outcome for future in [sandbox.submit(program) for program in programs]}
    if outcomes != {Outcome.OK}:
        raise SystemExit(f"not all drawings were drawn: {outcomes}")


def plain_resvg(programs: list[str]) -> None:
    for program in programs:
        resvg_py.svg_to_bytes(
            svg_string=program, width=512, height=512, background="#ffffff", skip_system_fonts=True, font_files=FONTS
        )


def plain_cairosvg(programs: list[str]) -> None:
    import cairosvg

    for program in programs:
        cairosvg.svg2png(bytestring=program.encode(), output_width=512, background_color="#ffffff")


def seconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def cost_of_a_death(sandbox: Sandbox, program: str) -> float:
    """Seconds more that a drawing takes when its worker was just killed; median of 9."""
    plain = statistics.median(seconds(lambda: sandboxed(sandbox, [program])) for _ in range(9))
    after = []
    for _ in range(9):
        os.kill(sandbox.worker_pids[0], signal.SIGKILL)
        after.append(seconds(lambda: sandboxed(sandbox, [program])))
    return statistics.median(after) - plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--drawings", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    programs = [drawing(rng) for _ in range(arguments.drawings)]
    rule = load_protocol("v1").scoring.renderer
    with Sandbox(rule, "namespaces", workers=1) as one, Sandbox(rule, "namespaces", workers=2) as two:
        contenders: dict[str, Callable[[], None]] = {
            "sandbox, 1 worker": lambda: sandboxed(one, programs),
            "sandbox, 2 workers": lambda: sandboxed(two, programs),
            "resvg-py in this process": lambda: plain_resvg(programs),
        }
        try:
            import cairosvg  # noqa: F401 - only asked for
        except (ImportError, OSError):
            print("CairoSVG is not here: pip install 'sgpbench[paper]'", file=sys.stderr)
        else:
            contenders["CairoSVG in this process"] = lambda: plain_cairosvg(programs)
        sandboxed(two, programs)
        rounds = [{name: seconds(run) for name, run in contenders.items()} for _ in range(arguments.rounds)]
        death = cost_of_a_death(one, programs[0])
    best = {name: min(times[name] for times in rounds) for name in contenders}
    print(f"{len(programs)} drawings, {sum(map(len, programs)) / len(programs):,.0f} characters each; best of "
          f"{arguments.rounds} rounds; sandbox level: {one.level}; {os.cpu_count()} cores\n")  # fmt: skip
    print(f"{'':28}{'images/s':>10}{'ms each':>10}{'3,200 take':>12}")
    for name, time_taken in best.items():
        each = time_taken / len(programs)
        print(f"{name:28}{1 / each:>10.1f}{each * 1000:>10.1f}{each * 3200:>10.0f} s")
    print(f"\none to two workers: {best['sandbox, 1 worker'] / best['sandbox, 2 workers']:.2f}x (wanted: 1.8x)")
    print(f"a dead worker costs {death:.2f} s (wanted: under 0.5 s)")


if __name__ == "__main__":
    main()
