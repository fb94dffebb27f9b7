"""Completion is offered once, at the top, and works in the shells that it installs itself for."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMPLETES = {
    "bash": r"""
        source ~/.bashrc
        for line in "sgpbench mo" "sgpbench data f" "sgpbench run --judge-"; do
            COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            $(complete -p sgpbench | sed 's/.*-F \([^ ]*\).*/\1/') sgpbench
            printf '%s\n' "${COMPREPLY[@]}"
        done""",
    "fish": 'complete -C "sgpbench mo"; complete -C "sgpbench data f"; complete -C "sgpbench run --judge-"',
}


def typed_into_zsh(environment: dict[str, str]) -> list[str]:
    """What zsh makes of some words and one Tab each. Its completion needs a terminal."""
    terminal, end = pty.openpty()
    child = subprocess.Popen(["zsh", "-i"], env=environment, stdin=end, stdout=end, stderr=end, start_new_session=True)
    os.close(end)

    def until(mark: bytes) -> bytes:
        seen = b""
        while mark not in seen and select.select([terminal], [], [], 30)[0]:
            seen += os.read(terminal, 4096)
        return seen

    completed = []
    try:
        until(b"READY>")
        for begun, rest in ((b"mo", b"dels "), (b"data f", b"etch "), (b"run --judge-r", b"epeats ")):
            os.write(terminal, b"sgpbench " + begun + b"\t")
            found = until(rest)
            completed += [(begun + rest).decode().split()[-1]] if rest in found else []
            os.write(terminal, b"\x15")
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
    return completed


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_installs_itself_and_completes(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here: apt-get install {shell}")
    script = tmp_path / "bin" / "sgpbench"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom sgpbench.cli import main\nmain()\n")
    script.chmod(0o755)
    root = str(Path(__file__).resolve().parents[1])
    place = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    environment = {
        **os.environ,
        **place,
        "PATH": f"{script.parent}:{os.environ['PATH']}",
        "PYTHONPATH": root,
        "TERM": "dumb",
        "PS1": "READY> ",
    }

    def within(words: str) -> str:
        done = subprocess.run(
            [shell, "-c", words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert "not supported" not in done.stderr + done.stdout
        return done.stdout

    # The command after it keeps the shell from handing its process over: it is found by who started us.
    assert f"{shell} completion installed" in within("sgpbench --install-completion; true")
    if shell == "zsh":
        completed = typed_into_zsh(environment)
    else:
        completed = [line.partition("\t")[0] for line in within(COMPLETES[shell]).splitlines()]
    assert {"models", "fetch", "--judge-repeats"} <= set(completed)
