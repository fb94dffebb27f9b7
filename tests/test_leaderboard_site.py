"""The site as files: what is on it, that equal results give equal bytes, and that nothing hostile becomes part of a page."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from leaderboard_support import HOSTILE, hostile_results, publish, usual_results
from lxml import html

from sgpbench.errors import UsageError
from sgpbench.leaderboard.build import BuildReport, Options, build_site
from sgpbench.leaderboard.captions import TaskWords
from sgpbench.leaderboard.output import TooLarge
from sgpbench.leaderboard.pages import POLICY
from sgpbench.records import Prompt


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, BuildReport]]:
    folder = tmp_path_factory.mktemp("usual")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_CACHE_DIR", str(folder / "cache"))
        report = build_site(usual_results(folder / "results"), folder / "site")
        yield folder, report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, BuildReport]]:
    folder = tmp_path_factory.mktemp("hostile")
    prompts = {f"p{i:03d}": Prompt(f"p{i:03d}", HOSTILE, HOSTILE, "c") for i in range(40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGPBENCH_CACHE_DIR", str(folder / "cache"))
        patch.setattr(
            "sgpbench.leaderboard.build.task_words",
            lambda task, split, seed, data: TaskWords(HOSTILE, HOSTILE, HOSTILE, prompts),
        )
        report = build_site(hostile_results(folder / "results"), folder / "site")
        yield folder, report


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page(folder: Path, name: str) -> html.HtmlElement:
    return html.fromstring((folder / "site" / name).read_bytes())


def pages(folder: Path) -> Iterator[tuple[str, html.HtmlElement]]:
    for path in sorted((folder / "site").rglob("*.html")):
        yield path.relative_to(folder / "site").as_posix(), html.fromstring(path.read_bytes())


def rows(folder: Path) -> dict[str, list[html.HtmlElement]]:
    found = page(folder, "index.html").cssselect("table.sortable tbody tr")
    return {row.cssselect("th a")[0].text_content(): list(row) for row in found}


def test_models_that_nothing_tells_apart_share_a_rank(usual: tuple[Path, BuildReport]) -> None:
    cells = {name: row[1] for name, row in rows(usual[0]).items()}
    ranks = {name: [e.text for e in cell.cssselect(".rank")] for name, cell in cells.items()}
    assert ranks == {"Alder 2": ["1"], "quill-7b": ["2"], "quill-72b": ["2"], "unchecked": [], "baseline/blank": []}
    assert "ranks 2–3" in cells["quill-7b"].text_content()


def test_what_is_not_ranked_says_why(usual: tuple[Path, BuildReport]) -> None:
    cells = {name: row[1] for name, row in rows(usual[0]).items()}
    assert cells["unchecked"].cssselect(".chip")[0].text == "unverified"
    assert "self-reported" in cells["unchecked"].get("title")
    assert cells["baseline/blank"].cssselect(".chip")[0].text == "baseline"


def test_no_value_is_blank_and_each_missing_one_has_its_note(usual: tuple[Path, BuildReport]) -> None:
    document = page(usual[0], "index.html")
    for row in rows(usual[0]).values():
        assert all(cell.text_content().strip() for cell in row)
    for link in document.cssselect("a.missing"):
        assert link.get("title")
        assert document.cssselect(f"[id='{link.get('href')[1:]}']")
    assert "nobody has judged or scored" in rows(usual[0])["quill-7b"][2].cssselect("a.missing")[0].get("title")
    assert "no published result" in rows(usual[0])["Alder 2"][2].cssselect("a.missing")[0].get("title")


def test_another_judge_is_another_column(tmp_path: Path) -> None:
    publish(tmp_path / "results", "one", judge="robot")
    publish(tmp_path / "results", "two", judge="owl", seed=1)
    build_site(tmp_path / "results", tmp_path / "site")
    head = page(tmp_path, "index.html").cssselect("table.sortable thead th.score")
    assert sorted(cell.cssselect("small bdi")[0].text for cell in head) == ["judge[owl]", "judge[robot]"]
    for row in rows(tmp_path).values():
        assert [len(cell.cssselect(".rank")) for cell in row[1:3]] in ([0, 1], [1, 0])


def test_partial_results_are_shown_and_not_ranked(tmp_path: Path) -> None:
    publish(tmp_path / "results", "half", split_prompts=80)
    build_site(tmp_path / "results", tmp_path / "site")
    assert rows(tmp_path)["half"][1].cssselect(".chip")[0].text == "partial"


def test_equal_results_give_equal_bytes(
    usual: tuple[Path, BuildReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path / "cache"))
    build_site(usual[0] / "results", tmp_path / "site")
    assert tree(tmp_path / "site") == tree(usual[0] / "site")


def test_an_unchanged_rebuild_writes_and_renders_nothing(
    usual: tuple[Path, BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(usual[0] / "cache"))
    report = build_site(usual[0] / "results", usual[0] / "site")
    assert (report.changed, report.rendered) == (0, 0)
    assert usual[1].rendered > 30


def test_pages_of_results_that_are_gone_go_too(tmp_path: Path) -> None:
    gone = publish(tmp_path / "results", "one")
    publish(tmp_path / "results", "two", seed=1)
    build_site(tmp_path / "results", tmp_path / "site")
    gone.unlink()
    gone.with_name(gone.stem + ".samples.parquet").unlink()
    build_site(tmp_path / "results", tmp_path / "site")
    assert len(list((tmp_path / "site" / "models").iterdir())) == 1
    assert not (tmp_path / "site" / "one").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    publish(tmp_path / "results", "one")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        build_site(tmp_path / "results", tmp_path / "home")
    assert tree(tmp_path / "home") == {"thesis.txt": b"mine"}


def test_a_site_that_is_too_large_says_what_to_cut(tmp_path: Path) -> None:
    publish(tmp_path / "results", "one")
    with pytest.raises(TooLarge, match="--gallery-prompts"):
        build_site(tmp_path / "results", tmp_path / "site", Options(most_bytes=60_000))


def test_broken_results_are_named_and_the_others_stand(tmp_path: Path) -> None:
    publish(tmp_path / "results", "one")
    swapped = publish(tmp_path / "results", "two", seed=1)
    evidence = swapped.with_name(swapped.stem + ".samples.parquet")
    evidence.write_bytes(evidence.read_bytes() + b" ")
    (tmp_path / "results" / "broken.json").write_text("{")
    report = build_site(tmp_path / "results", tmp_path / "site")
    assert any("broken.json" in warning for warning in report.warnings)
    found = rows(tmp_path)
    assert found["one"][1].cssselect(".rank")
    assert "not the file" in found["two"][1].get("title")


def test_an_empty_folder_makes_a_site_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    build_site(tmp_path / "results", tmp_path / "site")
    assert "no results yet" in page(tmp_path, "index.html").text_content()


def test_reported_numbers_never_stand_in_a_measured_table(usual: tuple[Path, BuildReport]) -> None:
    document = page(usual[0], "index.html")
    assert "GPT-4o-mini" not in document.cssselect("table.sortable")[0].text_content()
    reported = document.cssselect("section.reported")[0]
    assert "not measured" in reported.text_content()
    assert not reported.cssselect(".rank")
    full = page(usual[0], "reported.html").text_content()
    assert "RL-750" in full
    assert "arXiv" in full


def test_model_pages_say_everything(usual: tuple[Path, BuildReport]) -> None:
    (path,) = (usual[0] / "site" / "models").glob("alder-2-*.html")
    document = html.fromstring(path.read_bytes())
    text = document.text_content()
    for word in ("best", "median", "worst", "distinct texts", "valid drawings alone", "binding", "color",
                 "stopped by the token limit", "sha256", "verified", "generation "):  # fmt: skip
        assert word in text
    link = next(a.get("href") for a in document.cssselect("a") if "evidence" in a.text_content())
    assert (path.parent / link).resolve().is_file()


def test_links_lead_to_files_that_are_there(usual: tuple[Path, BuildReport]) -> None:
    for name, document in pages(usual[0]):
        here = (usual[0] / "site" / name).parent
        for element in document.iter():
            for attribute in ("href", "src"):
                target = element.get(attribute)
                if target and not target.startswith(("https:", "#")):
                    assert (here / target.split("#")[0]).is_file(), f"{name}: {target}"


def test_every_plot_has_the_same_as_a_table(usual: tuple[Path, BuildReport]) -> None:
    boxes = page(usual[0], "plots.html").cssselect("figure.plotbox")
    assert {box.cssselect("h3")[0].text for box in boxes} >= {"Score against cost", "Score against size", "By category"}
    for box in boxes:
        assert box.cssselect("svg.plot title")
        assert box.cssselect("details table tbody tr")


def test_downloads_agree_with_each_other(usual: tuple[Path, BuildReport]) -> None:
    import pyarrow.parquet as pq

    data = usual[0] / "site" / "data"
    records = json.loads((data / "leaderboard.json").read_bytes())
    listed = list(csv.DictReader(io.StringIO((data / "leaderboard.csv").read_text("utf-8"))))
    columnar = pq.read_table(data / "leaderboard.parquet").to_pylist()
    assert records == columnar
    assert [row["mean"] for row in listed] == ["" if r["mean"] is None else str(r["mean"]) for r in records]
    assert {r["rank"] for r in records if r["model"] == "quill-72b" and r["part"] == "overall"} == {2, None}


def test_the_feed_has_the_newest_result_first(usual: tuple[Path, BuildReport]) -> None:
    from lxml import etree

    feed = etree.fromstring((usual[0] / "site" / "feed.xml").read_bytes())
    moments = [element.text for element in feed.iterfind("{*}entry/{*}updated")]
    assert moments == sorted(moments, reverse=True)
    assert len(moments) == usual[1].results


@pytest.mark.parametrize("site", ["usual", "hostile"])
def test_pages_hold_no_code_and_load_nothing_from_elsewhere(site: str, request: pytest.FixtureRequest) -> None:
    folder, _ = request.getfixturevalue(site)
    for name, document in pages(folder):
        policies = document.cssselect("meta[http-equiv='Content-Security-Policy']")
        assert [meta.get("content") for meta in policies] == [POLICY], name
        for element in document.iter():
            if not isinstance(element.tag, str):
                continue
            assert not [key for key in element.attrib if key.startswith("on") or key == "style"], name
            if element.tag in {"script", "img", "iframe", "embed", "object", "source", "video", "audio"}:
                assert element.tag in {"script", "img"}, name
                assert re.fullmatch(r"(\.\./)*[a-z0-9./-]+", element.get("src") or ""), name
                assert not (element.text or "").strip(), name
            if element.tag == "a" and element.get("href"):
                assert re.match(r"https://|#|(\.\./)*[a-z0-9-]+[a-z0-9/.-]*", element.get("href")), name
                assert not element.get("href").lower().startswith(("javascript", "data:")), name
            assert element.get("id") != "hostile-program", name


def test_hostile_texts_stay_texts(hostile: tuple[Path, BuildReport]) -> None:
    folder, _ = hostile
    for path, data in tree(folder / "site").items():
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", path)
        assert len(Path(path).name) < 120
        if path.endswith((".html", ".js")):
            assert b"<script>window" not in data, path
            assert b"<img src=x" not in data, path
            assert "\u202e".encode() not in data, path
    scripts = list((folder / "site" / "gallery").rglob("*.js"))
    assert scripts
    for script in scripts:
        assert b"</script" not in script.read_bytes()
    assert HOSTILE.replace("\u202e", "\ufffd") in page(folder, "index.html").text_content()[
        :200_000
    ] or "window.pwned" in (page(folder, "index.html").text_content())


def test_no_name_is_so_long_that_it_fills_a_page(hostile: tuple[Path, BuildReport]) -> None:
    (path,) = (hostile[0] / "site" / "models").glob("n" * 40 + "*.html")
    document = html.fromstring(path.read_bytes())
    assert len(document.cssselect("h1")[0].text_content()) <= 120
    assert "n" * 10_000 in document.cssselect("details.fullname")[0].text_content()
    assert len((hostile[0] / "site" / "index.html").read_bytes()) < 150_000
