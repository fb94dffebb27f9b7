"""The hostile corpus: every program ends in its right outcome, and nothing outside is read or visited."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from extras import needs_extra
from hostile.corpus import Hostile, corpus, outside_attacks, svg
from PIL import Image
from svg_support import PAPER, V1, impatient, picture

from sgpbench.records import Flag, Outcome
from sgpbench.svg.process import copy_to_root
from sgpbench.svg.render import FONTS_FOLDER
from sgpbench.svg.sandbox import Rendered, Sandbox

WATCHED = {Flag.HAS_SCRIPT, Flag.HAS_EXTERNAL_REF, Flag.HAS_RASTER}
MAGENTA = (255, 0, 255)
ACTIONS = ("read", "write", "delete", "connect", "fork", "run", "signal")


@dataclass
class Trap:
    """A file that no rendering may show and a server that nobody may visit."""

    canary: Path
    address: str
    visits: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    canary = tmp_path_factory.mktemp("canary") / "canary.png"
    Image.new("RGB", (9, 9), MAGENTA).save(canary)
    os.utime(canary, (1, 2_000_000_000))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        trap = Trap(canary, f"{host}:{port}")
        closing = threading.Event()

        def listen() -> None:
            while not closing.is_set():
                connection, peer = server.accept()
                with connection:
                    if not closing.is_set():
                        trap.visits.append(str(peer))

        listener = threading.Thread(target=listen)
        listener.start()
        yield trap
        closing.set()
        socket.create_connection((host, port)).close()
        listener.join()


def check(hostile: Hostile, rendered: Rendered) -> None:
    assert rendered.outcome in hostile.outcomes, (hostile.name, rendered.outcome, rendered.message)
    if rendered.outcome is Outcome.OK:
        assert hostile.flags <= rendered.flags, hostile.name
        assert rendered.flags & WATCHED == hostile.flags & WATCHED, hostile.name
        colors = picture(rendered.png).getcolors(1 << 20) or []
        assert MAGENTA not in [color for _, color in colors], f"{hostile.name} shows the canary"
    else:
        assert rendered.png is None
        assert rendered.message


def check_untouched(trap: Trap) -> None:
    assert trap.visits == []
    # Access times are kept where the file system does; a read would have moved this one to now.
    assert trap.canary.stat().st_atime < 2, "the canary was read"


def programs(items: list[Hostile]) -> list[str]:
    return [item.name for item in items]


def test_the_corpus_is_large_and_its_names_are_distinct(trap: Trap) -> None:
    names = programs(corpus(trap.canary, trap.address))
    assert len(set(names)) == len(names) >= 130


def test_every_quick_program_has_its_outcome_and_touches_nothing(trap: Trap) -> None:
    with Sandbox(V1, "namespaces", workers=2) as sandbox:
        items = [item for item in corpus(trap.canary, trap.address) if not item.may_take_long]
        assert len(items) > 90
        for item, future in [(item, sandbox.submit(item.program())) for item in items]:
            check(item, future.result(120))
    check_untouched(trap)


@pytest.mark.slow
def test_every_costly_program_has_its_outcome_and_touches_nothing(trap: Trap) -> None:
    with Sandbox(impatient(V1, 5), "namespaces", workers=2) as sandbox:
        items = [item for item in corpus(trap.canary, trap.address) if item.may_take_long]
        for item, future in [(item, sandbox.submit(item.program())) for item in items]:
            check(item, future.result(300))
        plain = sandbox.submit(svg('<rect width="3" height="3"/>')).result(60)
        assert plain.outcome is Outcome.OK, "the sandbox still works after all that"
    check_untouched(trap)


@pytest.mark.parametrize("repair", ["none", pytest.param("lxml-recover", marks=pytest.mark.slow)])
def test_the_papers_renderer_reads_nothing_outside_either(trap: Trap, repair: str) -> None:
    needs_extra("paper", "cairosvg")
    with Sandbox(PAPER, "lxml-recover" if repair == "lxml-recover" else "none", workers=2) as sandbox:
        items = outside_attacks(trap.canary, trap.address)
        for item, future in [(item, sandbox.submit(item.program())) for item in items]:
            rendered = future.result(60)
            assert rendered.outcome in {Outcome.OK, Outcome.RENDER_ERROR}, item.name
            if rendered.outcome is Outcome.OK:
                assert MAGENTA not in [color for _, color in picture(rendered.png).getcolors(1 << 20) or []]
    check_untouched(trap)


def test_a_worker_could_not_reach_outside_if_cleaning_failed(trap: Trap) -> None:
    """Runs code in a confined process that tries what a drawing must not, with no cleaning before it."""
    root = copy_to_root(FONTS_FOLDER)
    code = f"""
import json, os, socket, sys
from sgpbench.svg import confine
from sgpbench.svg.render import FONTS_FOLDER, open_renderer
from lxml import etree
renderer = open_renderer("resvg", "{V1.version}", 512, "#ffffff")
tree = etree.fromstring({svg(f'<image href="{trap.canary}" width="9" height="9"/>')!r})
before = renderer.draw(tree).getpixel((256, 256))
confine.limit_resources(None)
held = [confine.change_root({str(root)!r}), confine.forbid_files(FONTS_FOLDER), confine.give_up_privileges(FONTS_FOLDER)]
full = all([*held, confine.forbid_calls()]) and confine.is_confined(FONTS_FOLDER, {str(trap.canary)!r})
def attempt(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "done"
host, port = {trap.address!r}.split(":")
print(json.dumps({{
    "full": full, "before": before, "after": renderer.draw(tree).getpixel((256, 256)),
    "read": attempt(lambda: open({str(trap.canary)!r}, "rb")),
    "write": attempt(lambda: open("/tmp/sgpbench-escaped", "wb")),
    "delete": attempt(lambda: os.unlink({str(trap.canary)!r})),
    "connect": attempt(lambda: socket.socket().connect((host, int(port)))),
    "fork": attempt(os.fork),
    "run": attempt(lambda: os.execv("/bin/true", ["true"])),
    "signal": attempt(lambda: os.kill(os.getppid(), 0)),
}}))
"""
    try:
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(root)
    found = json.loads(run.stdout)
    if not found["full"]:
        pytest.skip("this kernel has no Landlock or no seccomp; the sandbox says 'partial' here")
    assert found["before"] == list(MAGENTA), "without cleaning and confinement it would have been read"
    if os.statvfs(trap.canary).f_flag & os.ST_NOATIME == 0:
        assert trap.canary.stat().st_atime > 2, "a read shows in the canary's access time"
    assert found["after"] == [255, 255, 255]
    # What is to be read is not even there; the rest is denied.
    assert {action: found[action] for action in ACTIONS} == {
        **dict.fromkeys(ACTIONS, "PermissionError"),
        "read": "FileNotFoundError",
    }
    os.utime(trap.canary, (1, 2_000_000_000))
    assert trap.visits == []


@pytest.mark.slow
def test_the_main_process_stays_small_while_the_corpus_runs(trap: Trap, tmp_path: Path) -> None:
    """In a process of its own that takes one program after the other from a file, as a run does from its store."""
    store = tmp_path / "programs.jsonl"
    with store.open("w") as stream:
        for item in corpus(trap.canary, trap.address):
            stream.write(json.dumps(item.program()) + "\n")
    code = """
import json, sys
from collections import Counter
from pathlib import Path
from sgpbench.protocol import load_protocol
from sgpbench.svg.sandbox import Sandbox
rule = load_protocol("v1").scoring.renderer.model_copy(update={"timeout_s": 2.0})
with Sandbox(rule, "namespaces", workers=2) as sandbox, open(sys.argv[1]) as stream:
    futures = [sandbox.submit(json.loads(line)) for line in stream]
    outcomes = Counter(future.result().outcome.value for future in futures)
# Not ru_maxrss, which a process inherits from the one that started it.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps([outcomes, int(status["VmHWM"].split()[0]) / 1024]))
"""
    run = subprocess.run([sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True)
    outcomes, megabytes = json.loads(run.stdout)
    assert sum(outcomes.values()) == len(corpus(trap.canary, trap.address))
    assert set(outcomes) <= {"ok", "render_error", "render_timeout", "render_crash"}
    assert megabytes < 400
