"""The site in a real browser: a Chromium or Chrome of this machine, driven by playwright, from a folder and from a server."""

from __future__ import annotations

import importlib.resources
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from extras import browser_path, needs_extra
from leaderboard_support import HOSTILE, hostile_results, publish, usual_results

from sgpbench.leaderboard.build import build_site
from sgpbench.leaderboard.captions import TaskWords
from sgpbench.leaderboard.serve import make_server
from sgpbench.records import Prompt

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENSHOTS = Path(__file__).resolve().parents[1] / "artifacts" / "screenshots"
PAGES = ["index.html", "gallery/index.html", "gallery/comp-v1/index.html", "plots.html", "reported.html", "methods.html",
         "downloads.html"]  # fmt: skip


class Visit:
    """Pages of a site under watch: what they say on the console and where they ask for anything."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        self.address = address
        self.faults: list[str] = []
        self.requests: list[str] = []

    def open(self, path: str, *, width: int = 1200, script: bool = True, scheme: str = "light") -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.on(
            "console",
            lambda message: self.faults.append(message.text) if message.type in {"error", "warning"} else None,
        )
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(f"{self.address}/{path}")
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    needs_extra("dev", "playwright.sync_api")
    executable = browser_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_CACHE_DIR", str(base / "cache"))
        build_site(usual_results(base / "results"), base / "site")
    return base / "site"


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("hostile")
    prompts = {f"p{i:03d}": Prompt(f"p{i:03d}", HOSTILE, f"{HOSTILE}{i % 2}", "c") for i in range(40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_CACHE_DIR", str(base / "cache"))
        words = TaskWords(HOSTILE, HOSTILE, HOSTILE, prompts)
        patch.setattr("sgpbench.leaderboard.build.task_words", lambda task, split, seed, data: words)
        build_site(hostile_results(base / "results"), base / "site")
    return base / "site"


@pytest.fixture(params=["folder", "server"])
def visit(request: pytest.FixtureRequest, browser: Browser, folder: Path) -> Iterator[Visit]:
    """The usual site, from a folder and from a server; afterwards nothing may have gone wrong or left the site."""
    if request.param == "folder":
        yield from watched(Visit(browser, folder.as_uri()))
        return
    with make_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield from watched(Visit(browser, f"http://127.0.0.1:{server.server_address[1]}"))
        server.shutdown()
        thread.join()


def watched(visit: Visit) -> Iterator[Visit]:
    yield visit
    for context in visit.browser.contexts:
        context.close()
    assert visit.faults == []
    assert [address for address in visit.requests if not address.startswith(visit.address)] == []


def names(page: Page) -> list[str]:
    return page.locator("table.sortable tbody tr:not([hidden]) th a").all_inner_texts()


def test_sorting_turns_around_and_keeps_missing_values_last(visit: Visit) -> None:
    page = visit.open("index.html")
    size = page.locator("th[data-key=parameters]")
    size.locator("button").click()
    assert size.get_attribute("aria-sort") == "descending"
    assert names(page)[:2] == ["quill-72b", "quill-7b"]
    size.locator("button").click()
    assert size.get_attribute("aria-sort") == "ascending"
    assert names(page)[:2] == ["quill-7b", "quill-72b"]
    page.locator("th[data-key=model] button").click()
    assert names(page) == sorted(names(page), key=str.lower)


def test_on_paper_every_table_fits_and_controls_are_gone(visit: Visit) -> None:
    page = visit.open("index.html", width=700)
    page.emulate_media(media="print")
    rights = page.evaluate(
        "Array.from(document.querySelectorAll('table'), (table) => table.getBoundingClientRect().right)"
    )
    assert max(rights) <= 700
    assert not page.locator("#controls").is_visible()


def test_sorting_150_rows_is_quick(browser: Browser, folder: Path) -> None:
    head, body, foot = re.split(r"(?<=<tbody>)|(?=</tbody>)", (folder / "index.html").read_text("utf-8"), maxsplit=2)
    (folder / "many.html").write_text(head + body * 30 + foot, "utf-8")
    page = Visit(browser, folder.as_uri()).open("many.html")
    (folder / "many.html").unlink()
    assert len(names(page)) == 150
    best = page.evaluate(
        """() => Array.from(document.querySelectorAll("th.score button, th[data-key=model] button"), (button) =>
            Math.min(...Array.from({length: 9}, () => {
                const begun = performance.now();
                button.click();
                document.body.getBoundingClientRect();
                return performance.now() - begun;
            })))"""
    )
    page.context.close()
    assert len(best) == 3
    # How fast on a quiet machine is for benchmarks/site.py to say; this finds what is slower by far.
    assert max(best) < 400, best


def test_filters_and_search_narrow_the_rows(visit: Visit) -> None:
    page = visit.open("index.html")
    page.fill("#search", "quillworks")
    assert sorted(names(page)) == ["quill-72b", "quill-7b"]
    page.select_option("#size", "4-15")
    assert names(page) == ["quill-7b"]
    assert page.locator("#shown").inner_text() == "1 of 5 rows"
    page.click("#reset")
    page.uncheck("#baselines")
    assert "baseline/blank" not in names(page)
    page.select_option("#weights", "closed")
    assert names(page) == ["Alder 2"]
    page.click("#reset")
    page.fill("#since", "2026-11-01")
    assert "unchecked" not in names(page)
    assert len(names(page)) == 4


def test_columns_can_be_chosen(visit: Visit) -> None:
    page = visit.open("index.html")
    assert page.locator("th[data-key=provider]").is_hidden()
    page.locator(".menu summary").click()
    page.get_by_label("provider", exact=True).check()
    page.get_by_label("weights", exact=True).uncheck()
    assert page.locator("th[data-key=provider]").is_visible()
    assert page.locator("th[data-key=openness]").is_hidden()
    assert page.locator("tbody tr").first.locator("td").last.is_hidden()


def test_a_view_has_an_address_that_brings_it_back(visit: Visit) -> None:
    page = visit.open("index.html")
    page.fill("#search", "quill")
    page.locator("th[data-key=parameters] button").click()
    page.locator(".menu summary").click()
    page.get_by_label("provider", exact=True).check()
    again = visit.open("index.html" + page.evaluate("location.hash"))
    assert names(again) == names(page) == ["quill-72b", "quill-7b"]
    assert again.locator("th[data-key=provider]").is_visible()


def test_the_theme_follows_the_system_until_it_is_chosen(visit: Visit) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit.open("index.html"), visit.open("index.html", scheme="dark")
    assert light.evaluate(background) != dark.evaluate(background)
    dark.click("#theme")
    assert dark.evaluate(background) == light.evaluate(background)
    dark.reload()
    assert dark.evaluate(background) == light.evaluate(background)


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit.open("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("alder")
    assert names(page) == ["Alder 2"]
    page.locator("th[data-key=cost] button").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[data-key=cost]").get_attribute("aria-sort") == "ascending"
    gallery = visit.open("gallery/comp-v1/index.html")
    gallery.locator("button.paper").first.focus()
    gallery.keyboard.press("Enter")
    assert gallery.locator("#sheet").is_visible()
    gallery.keyboard.press("Escape")
    assert gallery.locator("#sheet").is_hidden()
    assert gallery.evaluate("document.activeElement.className") == "paper"


def test_the_gallery_filters_sorts_and_shows_programs_as_text(visit: Visit) -> None:
    page = visit.open("gallery/comp-v1/index.html")
    assert page.locator("#static").count() == 0
    page.select_option("#category", "counting")
    assert page.locator("#summary").inner_text() == "20 of 40 prompts"
    page.select_option("#outcome", "truncated")
    assert page.locator("#summary").inner_text() == "4 of 40 prompts"
    page.click("#reset")
    page.select_option("#sort", "disagreement")
    assert page.locator("section.prompt").count() == 12
    page.locator("#more button").click()
    assert page.locator("section.prompt").count() == 24
    page.locator("section.prompt button.paper img").first.click()
    page.wait_for_function("document.querySelector('#sheet pre').textContent.startsWith('<svg')")
    assert page.locator("#sheet svg").count() == 0


def test_two_models_are_compared_prompt_by_prompt(visit: Visit) -> None:
    page = visit.open("gallery/comp-v1/index.html")
    page.select_option("#a", label="Alder 2")
    page.select_option("#b", label="quill-7b")
    said = page.locator("#summary").inner_text()
    assert "A wins" in said
    assert "after correction for all pairs" in said
    page.select_option("#side", "a")
    wins = page.locator("#summary").inner_text().split(" ")[0]
    assert f"A wins {wins}," in said
    assert page.locator("li.win").count() == page.locator("section.prompt").count() == min(12, int(wins))
    again = visit.open("gallery/comp-v1/index.html" + page.evaluate("location.hash"))
    assert again.locator("#summary").inner_text() == page.locator("#summary").inner_text()


def test_one_drawing_has_an_address(visit: Visit) -> None:
    page = visit.open("gallery/comp-v1/index.html")
    page.locator("section.prompt").nth(3).locator("button.paper").first.click()
    again = visit.open("gallery/comp-v1/index.html" + page.evaluate("location.hash"))
    assert again.locator("#sheet").is_visible()
    assert again.locator("#sheet-title").inner_text() == page.locator("#sheet-title").inner_text()


def test_an_open_drawing_changes_neither_the_view_nor_its_address(visit: Visit) -> None:
    page = visit.open("gallery/comp-v1/index.html")
    first = page.locator("section.prompt h2 a").first.get_attribute("href")
    assert first is not None
    page = visit.open("gallery/comp-v1/index.html" + first)
    assert page.locator("section.prompt").count() == 1
    page.locator("button.paper").first.click()
    assert "d=" in page.evaluate("location.hash")
    page.keyboard.press("Escape")
    assert page.evaluate("location.hash") == first
    assert page.locator("section.prompt").count() == 1


def test_a_link_within_the_page_keeps_the_filters(visit: Visit) -> None:
    page = visit.open("gallery/comp-v1/index.html")
    page.select_option("#category", "counting")
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main'")
    assert page.locator("#summary").inner_text() == "20 of 40 prompts"


def test_a_view_without_a_sort_is_in_the_usual_order(visit: Visit) -> None:
    page = visit.open("index.html")
    usual = names(page)
    page.locator("th[data-key=parameters] button").click()
    assert names(page) != usual
    page.evaluate("location.hash = 'search='")
    page.wait_for_function("document.querySelector('th[data-key=parameters]').getAttribute('aria-sort') === 'none'")
    assert names(page) == usual


@pytest.mark.parametrize("width", [360, 768, 1000, 1280])
def test_the_menu_of_columns_stays_on_the_page(visit: Visit, width: int) -> None:
    page = visit.open("index.html", width=width)
    page.locator(".menu summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".menu .panel").evaluate("(panel) => panel.getBoundingClientRect().left") >= 0


def test_baselines_do_not_count_in_the_mean_of_models(browser: Browser, tmp_path: Path) -> None:
    publish(tmp_path / "results", "alder-2", ability=0.9, seed=1, prompts=20, split_prompts=40)
    publish(tmp_path / "results", "baseline/blank", ability=0.5, seed=2, adapter="baseline")
    build_site(tmp_path / "results", tmp_path / "site")
    page = Visit(browser, (tmp_path / "site").as_uri()).open("gallery/comp-v1/index.html#sort=score")
    for _ in range(3):
        page.locator("#more button").click()
    heads = page.locator("section.prompt h2").all_text_contents()
    assert len(heads) == 40
    assert ["mean of models" in head for head in heads] == [True] * 20 + [False] * 20
    page.fill("#low", "0")
    assert page.locator("#summary").inner_text() == "20 of 40 prompts"
    page.context.close()


def test_everything_is_there_without_scripts(visit: Visit) -> None:
    page = visit.open("index.html", script=False)
    assert len(names(page)) == 5
    assert page.locator("#controls").is_hidden()
    gallery = visit.open("gallery/comp-v1/index.html", script=False)
    assert gallery.locator("section.prompt").count() == 10
    gallery.locator("nav.pages a").nth(3).click()
    assert gallery.locator("section.prompt").count() == 10


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_window(browser: Browser, folder: Path, width: int, scheme: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    visit = Visit(browser, folder.as_uri())
    model = next(path.name for path in (folder / "models").glob("alder*.html"))
    for name in [*PAGES, f"models/{model}"]:
        page = visit.open(name, width=width, scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        label = "model" if name.startswith("models/") else name.removesuffix(".html").replace("/", "-")
        page.screenshot(path=str(SCREENSHOTS / f"{label}-{width}-{scheme}.png"))
        page.context.close()
    assert visit.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, folder: Path, scheme: str) -> None:
    needs_extra("dev", "axe_playwright_python")
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    visit = Visit(browser, folder.as_uri())
    model = next(path.name for path in (folder / "models").glob("alder*.html"))
    for name in [*PAGES, f"models/{model}", "gallery/comp-v1/page-2.html"]:
        page = visit.open(name, scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.evaluate(axe)
        violations = page.evaluate("axe.run().then((report) => report.violations)")
        serious = [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in violations
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == [], name
        page.context.close()


def test_hostile_results_run_nothing_and_keep_the_layout(browser: Browser, hostile_folder: Path) -> None:
    visit = Visit(browser, hostile_folder.as_uri())
    paths = sorted(path.relative_to(hostile_folder).as_posix() for path in hostile_folder.rglob("*.html"))
    for path in paths:
        for width in (360, 1200):
            page = visit.open(path, width=width)
            for button in page.locator("button.paper").all()[:2]:
                button.click()
                page.wait_for_function("document.querySelector('#sheet pre').textContent !== '…'")
                page.keyboard.press("Escape")
            assert page.evaluate("window.pwned") is None, path
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.locator("#hostile-program").count() == 0, path
            page.context.close()
    assert visit.faults == []
    assert [address for address in visit.requests if not address.startswith(visit.address)] == []
