"""Is `paper` the released code? Scores the same replies with both, drawing by drawing, and says what differs and why.

    python benchmarks/parity.py --upstream SGP-RL --dinov2 DINOV2 --python PYTHON [--keep FOLDER]

``SGP-RL`` is a checkout of Sphere-AI-Lab/SGP-RL at 533171a89db357c1195a3c3ab106723c90994dcb, ``DINOV2`` one of
facebookresearch/dinov2, which torch.hub loads. ``PYTHON`` is the interpreter of an environment with the released pins::

    python3.11 -m venv released && released/bin/pip install 'setuptools<70' wheel
    released/bin/pip install -r benchmarks/released/requirements.txt
    released/bin/pip install --no-deps --no-build-isolation openai-clip==1.0.1 hpsv2==1.2.0

Without ``--python`` nothing is scored anew, and ``--keep`` must hold what an earlier run of the released code wrote. This
project's own environment needs ``[metrics,paper]``. Nothing of the released code is part of this project: it is run where
it lies (``benchmarks/released/run.py``, which names all that it stands in for), and only its numbers come back.

Captions and questions are the published ones; photographs, reference drawings and replies are made, and the encoders are
tiny and random, the same for both; so are the fonts, which the released code takes from the machine. Each number must be
within 1e-4 of the released one. Where the pixels of a drawing differ, its numbers may, and so may the means that it is in:
these are counted under what made them differ, another version of the rasteriser.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from released.inputs import SAMPLES, save_inputs

from sgpbench.results.from_run import run_document, run_evidence
from sgpbench.svg.render import FONTS_FOLDER

ROOT = Path(__file__).resolve().parents[1]
CLOSE = 1e-4
COMMIT = "533171a89db357c1195a3c3ab106723c90994dcb"
METRICS = "validity,clip,siglip,dino,diversity,hps,vqa"
PER_SAMPLE = {
    "clip.b32": "clip_small",
    "clip.l14": "clip_large",
    "siglip.base": "siglip_small",
    "siglip.large": "siglip_large",
    "dino.s": "dino_small",
    "dino.b": "dino_base",
    "dino.l": "dino_large",
    "dino.g": "dino_giant",
}
"""Our column → the released name."""
Document = dict[str, Any]


@dataclass
class Compared:
    """Numbers of one kind beside the released ones."""

    equal: int = 0
    largest: float = 0.0
    """Difference, among those that must agree."""
    excused: Counter[str] = field(default_factory=Counter)
    """Why others may differ → how many do."""
    faults: list[str] = field(default_factory=list)

    def add(self, where: str, ours: float | None, theirs: float | None, excuse: str | None = None) -> None:
        """Compares one number; ``excuse`` says why it may differ."""
        if ours is None or theirs is None or math.isnan(theirs):
            same = ours is None and (theirs is None or math.isnan(theirs))
            away = 0.0 if same else math.inf
        else:
            away = abs(ours - theirs)
        if away <= CLOSE:
            self.equal += 1
            self.largest = max(self.largest, away)
        elif excuse:
            self.excused[excuse] += 1
        else:
            self.faults.append(f"{where}: {ours} here, {theirs} released")


class Report:
    """All that was compared, by kind."""

    def __init__(self) -> None:
        self.kinds: dict[str, Compared] = {}

    def __getitem__(self, kind: str) -> Compared:
        return self.kinds.setdefault(kind, Compared())

    def show(self) -> bool:
        """Prints everything; returns whether nothing differs without a cause."""
        print(f"{'':<26}{'equal':>7}{'largest':>10}{'differ':>8}  cause")
        for kind, found in self.kinds.items():
            causes = "; ".join(f"{number} {cause}" for cause, number in sorted(found.excused.items()))
            differ = found.excused.total() + len(found.faults)
            print(f"{kind:<26}{found.equal:>7}{found.largest:>10.1e}{differ:>8}  {causes}")
            for fault in found.faults[:5]:
                print(f"    UNEXPLAINED {fault}")
        return not any(found.faults for found in self.kinds.values())


# --- our side ------------------------------------------------------------------------------------------------------------


def score_here(folder: Path) -> dict[str, Path]:
    """Runs the harness over the replies; returns the run of each task."""
    ids = folder / "ids.txt"
    inputs = json.loads((folder / "inputs.json").read_text("utf-8"))
    runs: dict[str, Path] = {}
    own = {"SGPBENCH_WEIGHTS_DIR": str(folder / "ours"), "SGPBENCH_CACHE_DIR": str(folder / "cache")}
    # Tiny models only lose time to each other's threads.
    environment = os.environ | own | {"OMP_NUM_THREADS": "1"}
    for task in ("object", "scene"):
        ids.write_text("\n".join(prompt["id"] for prompt in inputs[task]))
        command = [sys.executable, "-m", "sgpbench", "run", "--protocol", "paper", "--task", task]
        command += ["--model", f"replay/{folder / 'replies.jsonl'}", "--model-arg", "name=parity"]
        command += ["--prompt-ids", str(ids), "--samples", str(SAMPLES), "--metrics", METRICS, "--device", "cpu"]
        command += ["--data-dir", str(folder / "data"), "--runs-dir", str(folder / "runs"), "--json"]
        done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        (run,) = json.loads(done.stdout)["runs"]
        runs[task] = Path(run["path"])
    return runs


@dataclass(frozen=True)
class Ours:
    """One sample as our run has it."""

    row: Mapping[str, Any]
    rendering: Path | None

    def score(self, column: str) -> float | None:
        value = self.row.get(f"score.{column}")
        return None if value is None else float(value)

    def pixels(self) -> tuple[list[int], str] | None:
        """Size and hash of what was drawn."""
        if self.rendering is None:
            return None
        with Image.open(self.rendering) as image:
            return list(image.size), hashlib.sha256(image.tobytes()).hexdigest()


def samples_of(run: Path) -> dict[tuple[str, int], Ours]:
    """Every sample by prompt and number."""
    from sgpbench.run.store import RunView, render_path

    view = RunView(run)
    renderer = view.setting("renderer") or ""
    with contextlib.closing(view):
        drawn = {
            (stored.prompt_id, stored.sample): render_path(run, stored.rendering)
            for stored in view.samples(renderer)
            if stored.rendering and stored.outcome == "ok"
        }
    rows = {(str(row["prompt_id"]), int(str(row["sample"]))): row for row in run_evidence(run)}
    return {key: Ours(row, drawn.get(key)) for key, row in rows.items()}


# --- the two beside each other -----------------------------------------------------------------------------------------


def difference(ours: Ours, theirs: Document) -> str | None:
    """Why a drawing may have other numbers than the released one; ``None`` where it may not."""
    pixels = ours.pixels()
    if pixels is None or theirs["pixels"] is None or pixels == (theirs["size"], theirs["pixels"]):
        return None
    return "other pixels: versions of the rasteriser"


def compare(inputs: Document, released: Document, runs: Mapping[str, Path], names: Mapping[str, list[str]]) -> Report:
    """Everything of both tasks."""
    report = Report()
    for task, run in runs.items():
        ours, theirs, prompts = samples_of(run), released[task], inputs[task]
        excuses: dict[str, set[str]] = {}
        for prompt, found in zip(prompts, theirs["prompts"], strict=True):
            for number, (reply, one) in enumerate(zip(prompt["samples"], found["samples"], strict=True)):
                sample, drawn = ours[prompt["id"], number], released["drawn"][reply]
                where = f"{prompt['id']}, sample {number} ({names[reply][0]})"
                _compare_sample(report, where, sample, one, drawn)
                if why := difference(sample, drawn):
                    excuses.setdefault(prompt["id"], set()).add(why)
        _compare_diversity(report, prompts, ours, theirs["prompts"], excuses)
        _compare_by_image(report, task, inputs, ours, theirs, excuses)
        _compare_means(report, task, run_document(run), theirs, excuses)
    return report


def _compare_sample(report: Report, where: str, ours: Ours, theirs: Document, drawn: Document) -> None:
    program = ours.row["program"] or ""
    same = program == drawn["program"]
    said = where if same else f"{where}: {program!r} here, {drawn['program']!r} released"
    report["extraction"].add(said, 1.0, float(same))
    report["validity"].add(where, float(ours.row["outcome"] == "ok"), float(theirs["valid"]))
    excuse = difference(ours, drawn)
    if ours.row["outcome"] == "ok" and theirs["valid"]:
        report["pixels"].add(where, 1.0, 0.0 if excuse else 1.0, excuse)
        for column, name in PER_SAMPLE.items():
            report[f"{column.partition('.')[0]} of a drawing"].add(
                f"{where}, {name}", ours.score(column), theirs["metrics"][name], excuse
            )


def _why(excuses: Mapping[str, set[str]], prompt: str) -> str | None:
    return min(excuses[prompt]) if prompt in excuses else None


def _compare_diversity(
    report: Report,
    prompts: list[Document],
    ours: Mapping[tuple[str, int], Ours],
    theirs: list[Document],
    excuses: Mapping[str, set[str]],
) -> None:
    for prompt, found in zip(prompts, theirs, strict=True):
        # A prompt of equal drawings has no value here; there it is 0 up to the noise of its sums, and counts if above.
        counted = found["diversity"] if abs(found["diversity"]) > CLOSE else None
        report["diversity of a prompt"].add(
            prompt["id"], ours[prompt["id"], 0].score("diversity"), counted, _why(excuses, prompt["id"])
        )


def _standing(task: str, inputs: Document) -> dict[str, str]:
    """Image id → the prompt whose drawings stand for it: the last one with a caption of that id."""
    key = {row["caption"]: str(row["key"]) for row in inputs[f"{task} captions"]}
    return {key[prompt["caption"]]: prompt["id"] for prompt in inputs[task]}


def _compare_by_image(
    report: Report,
    task: str,
    inputs: Document,
    ours: Mapping[tuple[str, int], Ours],
    theirs: Document,
    excuses: Mapping[str, set[str]],
) -> None:
    standing = _standing(task, inputs)
    counted = set(standing.values())
    for key, prompt in standing.items():
        sample, why = ours[prompt, 0], _why(excuses, prompt)
        report["hps of an image id"].add(f"{task} {key}", sample.score("hps"), theirs["hps"][key]["mean"], why)
        report["vqa of an image id"].add(
            f"{task} {key}", _any_score(ours, prompt, "vqa[blip-large]"), theirs["vqa"].get(key), why
        )
        kept = json.loads(sample.row["evidence.hps"] or "{}").get("hps", {}).get("drawings", {})
        values = [kept[number] for number in sorted(kept, key=int)]
        for number, value in enumerate(theirs["hps"][key]["each"]):
            report["hps of a drawing"].add(
                f"{task} {key}, picture {number}", values[number] if number < len(values) else None, value, why
            )
    for prompt in inputs[task]:
        if prompt["id"] not in counted:
            for column in ("hps", "vqa[blip-large]"):
                report["no value of its own"].add(
                    f"{prompt['id']}, {column}", _any_score(ours, prompt["id"], column), None
                )


def _any_score(ours: Mapping[tuple[str, int], Ours], prompt: str, column: str) -> float | None:
    return next((found for number in range(SAMPLES) if (found := ours[prompt, number].score(column)) is not None), None)


def _compare_means(
    report: Report, task: str, document: Mapping[str, Any], theirs: Document, excuses: Mapping[str, set[str]]
) -> None:
    means, released = document["metrics"], theirs["means"]
    why = "drawings with other pixels are in it" if excuses else None
    table = {column: released["metrics"][name] for column, name in PER_SAMPLE.items()}
    table["clip"] = (table["clip.b32"] + table["clip.l14"]) / 2
    table["siglip"] = (table["siglip.base"] + table["siglip.large"]) / 2
    table["dino"] = released["metrics"]["dino_reward"] / 4
    positive = [prompt["diversity"] for prompt in theirs["prompts"] if prompt["diversity"] > CLOSE]
    noise = sum(0 < prompt["diversity"] <= CLOSE for prompt in theirs["prompts"])
    table["diversity"] = sum(positive) / len(positive)
    table["vqa[blip-large]"] = theirs["vqa mean"]
    hps = [row["mean"] for row in theirs["hps"].values()]
    table["hps"] = sum(value for value in hps if not math.isnan(value)) / sum(not math.isnan(value) for value in hps)
    for column, value in table.items():
        report["means"].add(f"{task} {column}", means[column]["mean"], value, why)
    report["validity, mean"].add(task, means["validity"]["mean"], released["success_rate"])
    if noise:
        away = abs(table["diversity"] - released["diversity"]["average"])
        cause = f"{task}: {noise} prompt(s) of equal drawings counted there by rounding noise, mean {away:.4f} lower"
        report["diversity, as released"].add(task, table["diversity"], released["diversity"]["average"], cause)
    if any(map(math.isnan, hps)):
        cause = f"{task}: NaN there, since {sum(map(math.isnan, hps))} image id(s) have no valid picture; left out here"
        report["hps, as released"].add(task, table["hps"], math.inf, cause)


# --- the whole -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="sgpbench-parity-") as scratch:
        yield Path(scratch)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--upstream", type=Path, required=True, help=f"a checkout of Sphere-AI-Lab/SGP-RL at {COMMIT[:7]}"
    )
    parser.add_argument("--dinov2", type=Path, required=True, help="a checkout of facebookresearch/dinov2")
    parser.add_argument("--python", type=Path, help="interpreter of an environment with the released pins")
    parser.add_argument(
        "--keep", type=Path, help="a folder to work in and leave; the released numbers in it are used again"
    )
    given = parser.parse_args()
    with working_folder(given.keep) as folder:
        if not (folder / "inputs.json").is_file():
            from released.weights import save_weights

            save_weights(folder)
            save_inputs(folder, given.upstream.resolve())
        if given.python is not None:
            script = Path(__file__).parent / "released" / "run.py"
            where = ["--upstream", str(given.upstream.resolve()), "--dinov2", str(given.dinov2.resolve()), str(folder)]
            fonts = os.environ | {"FONTCONFIG_FILE": str(FONTS_FOLDER / "fonts.conf")}
            subprocess.run([str(given.python), str(script), *where], env=fonts, check=True)
        elif not (folder / "released.json").is_file():
            parser.error("--python is needed, or a --keep folder with the numbers of an earlier run")
        runs = score_here(folder)
        inputs = json.loads((folder / "inputs.json").read_text("utf-8"))
        released = json.loads((folder / "released.json").read_text("utf-8"))
        from released.completions import replies

        names: dict[str, list[str]] = {}
        for name, text in replies().items():
            names.setdefault(text, []).append(name)
        print(f"{len(released['drawn'])} replies, {len(inputs['object']) + len(inputs['scene'])} prompts × {SAMPLES}")
        fine = compare(inputs, released, runs, names).show()
    print("every difference has its cause" if fine else "there are differences without a cause")
    raise SystemExit(not fine)


if __name__ == "__main__":
    main()
