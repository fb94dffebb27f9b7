"""A load of ours, a freeze, and what a worker read before are never held against a drawing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from svg_attack import attack, injected
from svg_support import V1, impatient, svg

from sgpbench.records import Json, Outcome
from sgpbench.svg import patience, process
from sgpbench.svg import sandbox as sandbox_module
from sgpbench.svg.frames import FrameError
from sgpbench.svg.patience import Patience
from sgpbench.svg.sandbox import Sandbox
from sgpbench.system import available_cores

PLAIN = svg('<rect width="3" height="3"/>')


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers use as much processor time as a program says."""
    monkeypatch.setattr(process, "_START", injected())


# --- the limit -------------------------------------------------------------------------------------------------------------


class Machine:
    """A process and a clock that do as they are told."""

    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.asleep = False

    def processor_seconds(self) -> float:
        return self.used

    def is_asleep(self) -> bool:
        return self.asleep

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float, share: float, waiting: Callable[[], float]) -> None:
        """Time passes as someone waits; the process gets a share of a processor."""
        end = self.now + seconds
        while self.now < end:
            wait = waiting()
            assert 0 < wait <= 1, "it is looked at often"
            self.now += wait
            self.used += wait * share


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(patience.time, "monotonic", machine.monotonic)
    return machine


@pytest.mark.parametrize("share", [1.0, 0.25, 1 / 32])
def test_the_limit_is_of_processor_time_however_long_it_takes(machine: Machine, share: float) -> None:
    waiting = Patience(machine, 10).seconds_to_wait
    machine.passes(9.5 / share, share, waiting)
    with pytest.raises(FrameError) as caught:
        machine.passes(3 / share, share, waiting)
    assert caught.value.timed_out
    assert 10 <= machine.used < 10 + max(1, share)


def test_a_freeze_is_waited_for_and_sleep_is_not(machine: Machine) -> None:
    waiting = Patience(machine, 10).seconds_to_wait
    machine.passes(13, 0, waiting)
    machine.asleep = True
    machine.passes(8, 0, waiting)
    machine.now += 3600
    assert waiting(), "the whole machine was suspended"
    with pytest.raises(FrameError):
        machine.passes(3, 0, waiting)


def test_what_never_moves_again_is_given_up(machine: Machine) -> None:
    waiting = Patience(machine, 10).seconds_to_wait
    machine.passes(590, 0, waiting)
    with pytest.raises(FrameError):
        machine.passes(20, 0, waiting)


def test_a_drawing_without_its_text_has_time_of_its_own(machine: Machine) -> None:
    limit = Patience(machine, 10)
    machine.passes(8, 1, limit.seconds_to_wait)
    limit.renew()
    machine.passes(8, 1, limit.seconds_to_wait)


def test_a_worker_that_sleeps_is_stopped(obedient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_SHORTEST_SLEEP_S", 0.5)
    monkeypatch.setattr(patience, "_LONGEST_LOOK_S", 0.1)
    with Sandbox(impatient(V1, 0.5), "none", workers=1) as sandbox:
        # It wakes five times a second to look around, and uses next to nothing.
        assert sandbox.submit(attack("sleep")).result(60).outcome is Outcome.RENDER_TIMEOUT


def test_a_time_out_is_tried_again_alone_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []
    honest = Sandbox._attempt

    def counted(self: Sandbox, data: bytes) -> sandbox_module.Rendered:
        if b"pattern" not in data:
            return honest(self, data)
        attempts.append(self._turns._working)
        if len(attempts) == 1:
            return sandbox_module.Rendered(Outcome.RENDER_TIMEOUT, message="not in time")
        return honest(self, data)

    monkeypatch.setattr(Sandbox, "_attempt", counted)
    with Sandbox(V1, "none", workers=1) as sandbox:
        assert sandbox.submit(svg("<pattern/>")).result(60).outcome is Outcome.OK
    assert attempts == [1, 0], "the second time none worked beside it"


def _twenty_four(workers: int, *, meanwhile: Callable[[Sandbox], None]) -> list[Outcome]:
    """24 honest drawings that use an eighth of the limit each, as 1.2 s of 10 s."""
    with Sandbox(impatient(V1, 1.6), "none", workers=workers) as sandbox:
        futures = [sandbox.submit(attack("burn 0.2")) for _ in range(24)]
        meanwhile(sandbox)
        return [future.result(300).outcome for future in futures]


@pytest.mark.slow
def test_twenty_four_honest_drawings_on_claimed_cores_are_all_drawn(obedient: None) -> None:
    assert _twenty_four(32, meanwhile=lambda _: None) == [Outcome.OK] * 24


@pytest.mark.slow
def test_twenty_four_honest_drawings_with_a_quarter_of_a_processor_are_all_drawn(obedient: None) -> None:
    """Workers are stopped three quarters of the time, as a quota would stop them."""
    over = threading.Event()

    def throttle(sandbox: Sandbox) -> None:
        def run() -> None:
            while not over.wait(0.05):
                _signal(sandbox, signal.SIGSTOP)
                over.wait(0.15)
                _signal(sandbox, signal.SIGCONT)

        threading.Thread(target=run, daemon=True).start()

    try:
        assert _twenty_four(2, meanwhile=throttle) == [Outcome.OK] * 24
    finally:
        over.set()


@pytest.mark.slow
def test_twenty_four_honest_drawings_survive_a_freeze_longer_than_the_limit(obedient: None) -> None:
    def freeze(sandbox: Sandbox) -> None:
        _signal(sandbox, signal.SIGSTOP)
        threading.Event().wait(4)
        _signal(sandbox, signal.SIGCONT)

    assert _twenty_four(2, meanwhile=freeze) == [Outcome.OK] * 24


def _signal(sandbox: Sandbox, number: signal.Signals) -> None:
    for pid in sandbox.worker_pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it has been replaced meanwhile


# --- cores ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    if hasattr(os, "process_cpu_count"):
        monkeypatch.setattr(os, "process_cpu_count", lambda: 32)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    return iter(())


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {}, 32),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "350000 100000\n"}, 4),
        ("0::/a/b\n", {"a/b/cpu.max": "25000 100000\n"}, 1),
        ("0::/host/path\n", {"cpu.max": "200000 100000\n"}, 2),
        (
            "4:cpu,cpuacct:/a\n0::/\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "150000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("4:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 32),
        ("9:memory:/a\n", {"memory/a/cpu.max": "100000 100000"}, 32),
        ("0::/\n", {"cpu.max": "nonsense"}, 32),
    ],
)
def test_workers_follow_affinity_and_quota(
    many_cores: None, tmp_path: Path, groups: str, files: dict[str, str], cores: int
) -> None:
    mounts = tmp_path / "cgroup"
    for name, content in files.items():
        (mounts / name).parent.mkdir(parents=True, exist_ok=True)
        (mounts / name).write_text(content)
    (tmp_path / "self").write_text(groups)
    assert available_cores(cgroups=str(tmp_path / "self"), mounts=mounts) == cores


def test_without_control_groups_affinity_decides(many_cores: None, tmp_path: Path) -> None:
    assert available_cores(cgroups=str(tmp_path / "none"), mounts=tmp_path) == 32


# --- what was read before ------------------------------------------------------------------------------------------------


def test_workers_retire_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "_RETIRES_AFTER_PROGRAMS", 3)
    with Sandbox(V1, "none", workers=1) as sandbox:
        pids = []
        for _ in range(7):
            assert sandbox.submit(PLAIN).result(60).outcome is Outcome.OK
            pids += sandbox.worker_pids
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
        monkeypatch.setattr(sandbox_module, "_RETIRES_AFTER_BYTES", len(PLAIN))
        sandbox.submit(PLAIN).result(60)
        assert sandbox.worker_pids[0] != pids[-1]


@pytest.mark.slow
def test_dozens_of_large_programs_with_names_of_their_own_poison_no_worker() -> None:
    with Sandbox(V1, "namespaces", workers=1) as sandbox:
        for number in range(40):
            names = "".join(f'<g n{number}x{index}=""/>' for index in range(45_000))
            sandbox.submit(svg(names)).result(120)
            if number % 5 == 0:
                assert sandbox.submit(PLAIN).result(60).outcome is Outcome.OK
        assert sandbox.submit(PLAIN).result(60).outcome is Outcome.OK


# --- what the machine lacks ----------------------------------------------------------------------------------------------

CODE = """
import logging, resource, sys
logging.basicConfig(format="%(message)s")
from sgpbench.protocol import load_protocol
from sgpbench.svg.sandbox import Sandbox
from sgpbench.errors import RendererError
{before}
try:
    with Sandbox(load_protocol("v1").scoring.renderer, "none", workers=1) as sandbox:
        print(sandbox.level, sandbox.submit(sys.argv[1]).result(60).outcome)
except RendererError as error:
    print(error.message, "|", error.remedy)
"""


def _in_a_process(before: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE.format(before=before), PLAIN]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)


def test_limits_below_ours_are_kept_where_they_do_no_harm() -> None:
    limits = "resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50)); resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    assert _in_a_process(limits).stdout.split()[1:] == ["ok"]


@pytest.mark.parametrize("megabytes", [300, 900])
def test_too_little_memory_for_a_worker_is_an_error_with_what_helps(megabytes: int) -> None:
    size = megabytes << 20
    said = _in_a_process(f"resource.setrlimit(resource.RLIMIT_AS, ({size}, {size}))").stdout
    assert "ulimit -v unlimited" in said


def test_fonts_that_cannot_be_copied_are_an_error_with_what_helps() -> None:
    said = _in_a_process(
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))"
    )
    assert "cannot be copied" in said.stdout
    assert "TMPDIR" in said.stdout


def test_a_partial_sandbox_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    honest = process.Worker.greet

    def partly(self: process.Worker) -> Mapping[str, Json]:
        return {**honest(self), "level": "partial", "lacks": "Landlock"}

    monkeypatch.setattr(process.Worker, "greet", partly)
    with Sandbox(V1, "none", workers=1) as sandbox:
        sandbox.submit(PLAIN).result(60)
        assert sandbox.level == "partial"
    assert [record.getMessage() for record in caplog.records] == [
        "Drawings are confined only in part on this machine; missing: Landlock."
    ]


def test_the_drawing_without_text_is_given_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[bool] = []
    honest = Patience.renew
    monkeypatch.setattr(Patience, "renew", lambda self: (renewed.append(True), honest(self))[1])
    with Sandbox(V1, "none", workers=1) as sandbox:
        renewed.clear()
        assert sandbox.submit(svg("<text>a</text>")).result(60).png_without_text
    assert len(renewed) == 2, "once for each drawing"
