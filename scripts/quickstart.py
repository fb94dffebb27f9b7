#!/usr/bin/env python3
"""Everything a newcomer needs in one command: installs, runs the benchmark offline, and shows what came of it.

A real language model (SmolLM2-135M, on this machine's CPU) and the three baselines draw the ``shapes`` prompts; every
drawing is scored exactly, from its pixels. No key, no GPU, no model hub. Run it again: nothing is done twice.
"""

from __future__ import annotations

import json
import subprocess

from environment import FOLDER, ROOT, prepare, run, say

MODELS = "smollm2-135m,baseline/procedural,baseline/caption,baseline/blank"
PROMPTS = "48"
OUT = ROOT / "quickstart"


def main() -> None:
    """Installs, runs, exports, draws the contact sheets and builds the site."""
    prepare("local")
    say("Asking SmolLM2-135M and three baselines for drawings")
    arguments = ["run", "--model", MODELS, "--task", "shapes", "--limit", PROMPTS, "--runs-dir", str(OUT / "runs")]
    run("sgpbench", *arguments)
    listing = subprocess.run(
        [FOLDER / "bin" / "sgpbench", *arguments, "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    runs = [entry["path"] for entry in json.loads(listing.stdout)["runs"]]
    say("Writing results, contact sheets and the leaderboard")
    for path in runs:
        run("sgpbench", "export", path, "--out", str(OUT / "results"))
        run("sgpbench", "show", path)
    run("sgpbench", "leaderboard", "build", "--results", str(OUT / "results"), "--out", str(OUT / "site"))
    say(f"Done. Look at {OUT / 'site' / 'index.html'} and at the contact sheets above.")
    print("  Next: sgpbench doctor   (in .venv/bin: what else works on this machine)")


if __name__ == "__main__":
    main()
