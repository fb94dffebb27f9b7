"""Where something of Linux is missing, commands say in one line what, and which way remains: no traceback."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from svg_support import V1

from sgpbench.errors import ModelUnavailable, RendererError
from sgpbench.models.vllm_server import VllmServer
from sgpbench.svg.sandbox import Sandbox

MISSING = """
import sys

# Its build for Linux needs `resource`; those for other systems do not.
import psutil

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

for name in {names!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
"""
RUN = ("run", "--model", "baseline/blank", "--task", "shapes", "--limit", "2")
LANDLOCK = (444, 445, 446)
SECCOMP = {"x86_64": 317, "aarch64": 277}


def without(tmp_path: Path, *names: str) -> dict[str, str]:
    """An environment in which these modules cannot be imported, by sgpbench and by all Python processes it starts."""
    (tmp_path / "sitecustomize.py").write_text(MISSING.format(names=set(names)), "utf-8")
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def called(*words: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sgpbench", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_without_file_locks_a_run_says_so_in_one_line(tmp_path: Path) -> None:
    done = called(*RUN, folder=tmp_path, env=without(tmp_path, "fcntl"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "no module fcntl" in line
    assert "WSL" in line
    assert not list(tmp_path.glob("runs/**/run.db"))


@pytest.mark.parametrize(
    "words", [("tasks", "list"), ("models", "list"), ("metrics", "list"), ("data", "list"), ("doctor",)]
)
def test_without_unix_modules_what_only_reads_works(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = called(*words, folder=tmp_path, env=without(tmp_path, "fcntl", "resource"))
    assert done.returncode == 0, done.stderr


WITHOUT_LIMITS = """
import json, sys
from sgpbench.svg import confine
print(json.dumps([confine.limit_resources(None), confine.mapped_bytes() is None]))
"""


def test_without_limits_of_memory_the_sandbox_is_partial(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIMITS],
        env=without(tmp_path, "resource"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [False, sys.platform != "linux"]


DENIED = """
import ctypes, os, struct, sys
numbers = [int(word) for word in sys.argv[1].split(",")]
code = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the call's number
for number in numbers:
    # Equal to one of these: fail with errno 38, ENOSYS.
    code += [struct.pack("HBBI", 0x15, 0, 1, number), struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | 38)]
code = b"".join([*code, struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)])
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(code, len(code))
header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, header, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Starts Python on a kernel that answers ENOSYS to the given system calls, as an older one would."""


@pytest.mark.skipif(
    platform.machine() not in SECCOMP or sys.platform != "linux", reason="needs Linux on x86-64 or arm64"
)
@pytest.mark.parametrize("lacking", ["Landlock", "seccomp"])
def test_on_an_older_kernel_the_sandbox_is_partial_and_says_what_is_missing(tmp_path: Path, lacking: str) -> None:
    numbers = LANDLOCK if lacking == "Landlock" else (SECCOMP[platform.machine()],)
    words = [sys.executable, "-c", DENIED, ",".join(map(str, numbers)), "-m", "sgpbench"]
    done = subprocess.run([*words, "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = {check["name"]: check for check in json.loads(done.stdout)["checks"]}["resvg (v1)"]
    assert drawn["works"]
    assert "sandbox partial" in drawn["detail"]
    assert lacking in drawn["detail"]
    done = subprocess.run([*words, *RUN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_where_no_worker_can_be_confined_drawing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgpbench.system._POSIX", False)
    with pytest.raises(RendererError, match=r"cannot be made safely.*WSL"):
        Sandbox(V1, "none", workers=1)


def test_without_pidfd_vllm_is_not_started_and_the_way_that_remains_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.pidfd_open")
    server = VllmServer(["vllm"], tmp_path / "log", start_timeout_s=1)
    with pytest.raises(ModelUnavailable, match="base_url"):
        asyncio.run(server.start())
