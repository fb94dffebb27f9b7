"""The sandbox: pixels, limits, deaths of workers and what is made of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest
from extras import needs_extra
from hostile.corpus import filtered, use_bomb
from svg_support import NS, PAPER, V1, impatient, picture, svg

from sgpbench.errors import RendererError
from sgpbench.protocol import load_protocol
from sgpbench.records import Flag, Outcome
from sgpbench.svg.render import require_parser
from sgpbench.svg.sandbox import Rendered, Sandbox
from sgpbench.svg.structure import MEASURES

SQUARE = '<rect width="10" height="10" fill="#00f"/>'
ENDLESS = filtered('<feTurbulence baseFrequency="0.5" numOctaves="10000000"/>')
FATAL = filtered("".join(f'<feFlood result="r{i}"/>' for i in range(3000)))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(V1, "namespaces", workers=1) as opened:
        yield opened


def draw(sandbox: Sandbox, program: str) -> Rendered:
    return sandbox.submit(program).result(60)


def busy_worker(sandbox: Sandbox, apart_from: int | None = None) -> psutil.Process:
    """A worker that is at work: one that uses processor time while nobody looks."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for pid in sandbox.worker_pids:
            try:
                worker = psutil.Process(pid)
                before = worker.cpu_times().user
                threading.Event().wait(0.1)
                if pid != apart_from and worker.cpu_times().user > before + 0.01 and worker.num_threads() > 1:
                    return worker
            except psutil.NoSuchProcess:
                continue
    raise AssertionError("no worker is at work")


# --- pixels --------------------------------------------------------------------------------------------------------


def test_a_drawing_comes_back_with_all_that_is_known_of_it(sandbox: Sandbox) -> None:
    rendered = draw(sandbox, '<svg viewBox="0 0 20 10"><circle cx="5" cy="5" r="4" fill="#f00"/></svg>')
    assert rendered.outcome is Outcome.OK
    assert rendered.flags == {Flag.REPAIRED}
    assert (rendered.width, rendered.height) == (512, 256)
    assert rendered.program == f'<svg {NS} viewBox="0 0 20 10"><circle cx="5" cy="5" r="4" fill="#f00"/></svg>'
    assert set(rendered.structure) == set(MEASURES)
    assert rendered.png_without_text is None
    assert rendered.message is None
    assert rendered.seconds > 0
    pixels = picture(rendered.png)
    assert pixels.size == (512, 256)
    assert pixels.getpixel((128, 128)) == (255, 0, 0)
    assert pixels.getpixel((400, 128)) == (255, 255, 255)


def test_equal_programs_give_equal_bytes(sandbox: Sandbox) -> None:
    program = svg(f'{SQUARE}<text y="5" font-family="Arial">Ag</text>')
    first, second = draw(sandbox, program), draw(sandbox, program)
    assert (first.png, first.png_without_text) == (second.png, second.png_without_text)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('viewBox="0 0 3 4"', (384, 512)),
        ('width="30" height="10"', (512, 171)),
        ('width="2in" height="96"', (512, 256)),
        ('width="100%" height="100%" viewBox="0 0 4 1"', (512, 128)),
        ('width="auto" height="" viewBox="0,0,4,2"', (512, 256)),
        ("", (512, 512)),
        ('width="1e9" height="1e9"', (512, 512)),
        ('width="1e6" height="1"', (512, 1)),
        ('viewBox="0 0 1 1e6"', (1, 512)),
    ],
)
def test_the_longer_side_has_512_pixels_and_the_aspect_is_kept(
    sandbox: Sandbox, attributes: str, size: tuple[int, int]
) -> None:
    rendered = draw(sandbox, svg(SQUARE, attributes))
    assert (rendered.width, rendered.height) == size
    assert picture(rendered.png).size == size


@pytest.mark.parametrize("attributes", ['width="0" height="9"', 'width="9" height="-9"'])
def test_a_drawing_without_extent_is_an_error(sandbox: Sandbox, attributes: str) -> None:
    rendered = draw(sandbox, svg(SQUARE, attributes))
    assert (rendered.outcome, rendered.png) == (Outcome.RENDER_ERROR, None)
    assert "size" in (rendered.message or "")


@pytest.mark.parametrize("body", ["", SQUARE, '<rect width="10" height="10" fill="#fff"/>', "<g><title>x</title></g>"])
def test_a_single_color_is_blank(sandbox: Sandbox, body: str) -> None:
    assert draw(sandbox, svg(body)).flags == {Flag.BLANK}


def test_text_is_drawn_with_bundled_fonts_and_taken_out_in_a_second_picture(sandbox: Sandbox) -> None:
    rendered = draw(sandbox, svg('<text x="1" y="8" font-size="8">W</text><rect width="1" height="1"/>'))
    assert rendered.flags == {Flag.HAS_TEXT}
    without = draw(sandbox, svg('<rect width="1" height="1"/>'))
    assert rendered.png_without_text == without.png
    assert rendered.png != without.png
    families = ["Liberation Sans", "Liberation Serif", "Liberation Mono", "DejaVu Sans"]
    texts = [draw(sandbox, svg(f'<text y="8" font-size="8" font-family="{name}">Wig</text>')).png for name in families]
    assert len(set(texts)) == len(families)
    stand_ins = {"Arial": 0, "Times New Roman": 1, "Courier New": 2, "Roboto": 0, "sans-serif": 0}
    for name, index in stand_ins.items():
        assert draw(sandbox, svg(f'<text y="8" font-size="8" font-family="{name}">Wig</text>')).png == texts[index], (
            name
        )
    assert Flag.BLANK not in draw(sandbox, svg('<text y="8" font-size="8">★→α</text>')).flags, "symbols have a font"


def test_identity_holds_what_decides_pixels_and_changes_with_it(sandbox: Sandbox) -> None:
    assert sandbox.identity["name"] == "resvg"
    assert sandbox.identity["version"] == V1.version
    assert sandbox.identity["engine"] == "resvg 0.48.1"
    assert {"fonts", "cleaner", "repair", "longer_side", "background", "timeout_s", "memory_mb"} <= set(
        sandbox.identity
    )
    with Sandbox(V1, "none", workers=1) as other:
        assert other.identity != sandbox.identity


# --- limits --------------------------------------------------------------------------------------------------------


def test_programs_that_are_no_text_or_too_long_never_reach_a_worker(sandbox: Sandbox) -> None:
    assert draw(sandbox, svg("\ud800")).outcome is Outcome.RENDER_ERROR
    long = draw(sandbox, svg(" " * V1.max_program_bytes))
    assert long.outcome is Outcome.RENDER_ERROR
    assert "1,000,000" in (long.message or "")


def test_a_drawing_that_takes_too_long_is_stopped_and_its_neighbours_are_not() -> None:
    with Sandbox(impatient(V1, 0.7), "none", workers=2) as sandbox:
        futures = [sandbox.submit(program) for program in (svg(SQUARE), ENDLESS, *[svg(SQUARE)] * 6)]
        started = time.monotonic()
        results = [future.result(60) for future in futures]
        assert time.monotonic() - started < 15
    assert results.pop(1).outcome is Outcome.RENDER_TIMEOUT
    assert {result.outcome for result in results} == {Outcome.OK}


def test_what_was_learned_before_the_time_ran_out_is_kept() -> None:
    with Sandbox(impatient(V1, 0.5), "none", workers=1) as sandbox:
        rendered = draw(sandbox, ENDLESS.replace("</g>", "<text>x</text></g>"))
    assert rendered.outcome is Outcome.RENDER_TIMEOUT
    assert rendered.flags == {Flag.HAS_TEXT}
    assert rendered.structure["elements.filter"] == 1
    assert rendered.program is not None
    assert rendered.png is None


@pytest.mark.slow
def test_a_drawing_that_takes_too_much_memory_is_a_crash_of_its_own() -> None:
    with Sandbox(impatient(V1, 60), "none", workers=1) as sandbox:
        rendered = draw(sandbox, FATAL)
        assert draw(sandbox, svg(SQUARE)).outcome is Outcome.OK
    assert rendered.outcome is Outcome.RENDER_CRASH
    assert rendered.message is not None


def test_a_use_bomb_is_refused(sandbox: Sandbox) -> None:
    assert draw(sandbox, use_bomb(30, 10)).outcome is Outcome.RENDER_ERROR


# --- deaths --------------------------------------------------------------------------------------------------------


def test_a_worker_killed_while_idle_costs_no_drawing() -> None:
    with Sandbox(V1, "none", workers=1) as sandbox:
        (before,) = sandbox.worker_pids
        os.kill(before, signal.SIGKILL)
        assert draw(sandbox, svg(SQUARE)).outcome is Outcome.OK
        assert before not in sandbox.worker_pids


def test_a_drawing_whose_worker_is_killed_from_outside_gets_one_more_try() -> None:
    with Sandbox(impatient(V1, 1.0), "none", workers=1) as sandbox:
        future = sandbox.submit(ENDLESS)
        busy_worker(sandbox).kill()
        assert future.result(60).outcome is Outcome.RENDER_TIMEOUT, "the second try was not disturbed"


@pytest.mark.slow
def test_a_drawing_whose_worker_is_killed_twice_is_a_crash() -> None:
    for _ in range(4):
        with Sandbox(impatient(V1, 20), "none", workers=1) as sandbox:
            future = sandbox.submit(ENDLESS)
            first = busy_worker(sandbox)
            first.kill()
            busy_worker(sandbox, apart_from=first.pid).kill()
            try:
                rendered = future.result(60)
            except RendererError:
                continue  # on a slow machine the second one was still starting, and had no drawing yet: not this case
        assert rendered.outcome is Outcome.RENDER_CRASH
        assert "SIGKILL" in (rendered.message or "")
        return
    pytest.skip("no second worker could be caught at work on this machine")


def test_a_fault_of_the_worker_is_a_crash_of_the_drawing_it_held() -> None:
    with Sandbox(V1, "none", workers=1) as sandbox:
        future = sandbox.submit(ENDLESS)
        busy_worker(sandbox).send_signal(signal.SIGSEGV)
        rendered = future.result(60)
        assert rendered.outcome is Outcome.RENDER_CRASH
        assert "SIGSEGV" in (rendered.message or "")
        assert draw(sandbox, svg(SQUARE)).outcome is Outcome.OK


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, threading\n"
        "from sgpbench.protocol import load_protocol\n"
        "from sgpbench.svg.sandbox import Sandbox\n"
        "sandbox = Sandbox(load_protocol('v1').scoring.renderer, 'none', workers=2)\n"
        "[sandbox.submit(sys.argv[1]) for _ in range(2)]\n"
        "while len(sandbox.worker_pids) < 2: pass\n"
        "print(*sandbox.worker_pids, flush=True)\n"
        "threading.Event().wait()\n"
    )
    with subprocess.Popen([sys.executable, str(script), ENDLESS], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


# --- closing -------------------------------------------------------------------------------------------------------


def test_closing_finishes_what_was_submitted_and_leaves_no_process() -> None:
    with Sandbox(V1, "none", workers=2) as sandbox:
        futures = [sandbox.submit(svg(SQUARE)) for _ in range(20)]
        futures[-1].result(60)
        workers = sandbox.worker_pids
    assert {future.result(0).outcome for future in futures} == {Outcome.OK}
    assert len(workers) == 2
    assert not any(psutil.pid_exists(pid) for pid in workers)
    with pytest.raises(RendererError, match="closed"):
        sandbox.submit(svg(SQUARE))


def test_abandoning_kills_at_once() -> None:
    sandbox = Sandbox(impatient(V1, 60), "none", workers=1)
    running, waiting = sandbox.submit(ENDLESS), sandbox.submit(svg(SQUARE))
    threading.Event().wait(0.3)
    started = time.monotonic()
    sandbox.abandon()
    assert time.monotonic() - started < 5
    with pytest.raises(RendererError, match="abandoned"):
        running.result(0)
    with pytest.raises(CancelledError):
        waiting.result(0)


def test_many_threads_may_submit(sandbox: Sandbox) -> None:
    results: list[Rendered] = []
    threads = [threading.Thread(target=lambda: results.append(draw(sandbox, svg(SQUARE)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [result.outcome for result in results] == [Outcome.OK] * 8


# --- a sandbox that cannot be ----------------------------------------------------------------------------------------


def test_another_version_of_the_renderer_is_an_error_with_the_command_that_helps() -> None:
    with pytest.raises(RendererError, match=r"pip install resvg-py==0\.4\.0"):
        Sandbox(V1.model_copy(update={"version": "0.4.0"}), "none")
    with pytest.raises(RendererError, match=r"sgpbench\[paper\]"):
        Sandbox(PAPER.model_copy(update={"version": "1"}), "none")


def test_a_worker_that_cannot_start_is_our_error_and_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(RendererError, match="cannot be started"):
        Sandbox(V1, "none")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RendererError, match="does not start"):
        Sandbox(V1, "none")


# --- the paper's renderer --------------------------------------------------------------------------------------------


def test_the_paper_draws_at_the_drawings_own_size_on_white() -> None:
    needs_extra("paper", "cairosvg")
    with Sandbox(PAPER, "none", workers=1) as sandbox:
        rendered = draw(sandbox, f'<svg {NS} width="30" height="20"><rect width="15" height="20" fill="red"/></svg>')
        pixels = picture(rendered.png)
        assert pixels.size == (rendered.width, rendered.height) == (30, 20)
        assert pixels.getpixel((5, 5)) == (255, 0, 0)
        assert pixels.getpixel((25, 5)) == (255, 255, 255)
        assert draw(sandbox, '<svg width="3" height="3"/>').outcome is Outcome.OK, "CairoSVG needs no namespace"
        assert draw(sandbox, "<svg><g></svg>").outcome is Outcome.RENDER_ERROR
        assert draw(sandbox, svg("", "")).outcome is Outcome.RENDER_ERROR, "CairoSVG needs a size"
        embedded = (
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAA"
            "AABJRU5ErkJggg=="
        )
        shown = draw(sandbox, svg(f'<image width="9" height="9" href="{embedded}"/>', 'width="9" height="9"'))
        assert shown.flags == {Flag.HAS_RASTER}
        text = draw(sandbox, svg('<text y="8" font-size="8">A</text>', 'width="9" height="9"'))
        assert text.flags == {Flag.HAS_TEXT}


def test_the_paper_recovers_unclosed_programs() -> None:
    needs_extra("paper", "cairosvg")
    with Sandbox(PAPER, "lxml-recover", workers=1) as sandbox:
        rendered = draw(sandbox, f'<svg {NS} width="30" height="20"><rect width="15" height="20"')
        assert (rendered.outcome, rendered.width) == (Outcome.OK, 30)
        assert Flag.REPAIRED in rendered.flags


@pytest.mark.parametrize(("pinned", "found"), [("lxml", "6.1.0"), ("libxml2", "2.14.6")])
def test_the_paper_refuses_a_parser_whose_repairs_are_others(
    monkeypatch: pytest.MonkeyPatch, pinned: str, found: str
) -> None:
    rule = load_protocol("paper").scoring.renderer
    versions = {"lxml": "5.3.1", "libxml2": "2.12.9"}
    monkeypatch.setattr("sgpbench.svg.render.parser_versions", lambda: versions)
    require_parser(rule)
    versions[pinned] = found
    with pytest.raises(RendererError, match=f"{pinned} .*{found} is installed") as caught:
        require_parser(rule)
    assert "lxml==5.3.1" in str(caught.value.remedy)
    require_parser(V1)


def test_the_parser_is_part_of_every_renderers_identity(sandbox: Sandbox) -> None:
    from lxml import etree

    assert sandbox.identity["parser"] == {
        "lxml": ".".join(map(str, etree.LXML_VERSION[:3])),
        "libxml2": ".".join(map(str, etree.LIBXML_VERSION)),
    }
