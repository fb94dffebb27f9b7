"""``sgpbench data``: what people and scripts see."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_hosts import Site, serving
from typer.testing import CliRunner, Result

from sgpbench.cli.data import app
from sgpbench.cli.data_progress import BarProgress, PlainProgress
from sgpbench.data.fetch import FileResult

BODY = b"published" * 1000


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Two data sets: ``free`` and, under a non-commercial licence, ``bound``."""
    with serving() as hosts:
        site = Site(hosts, tmp_path)
        for name, licence in (("free", 'name = "MIT"'), ("bound", 'name = "CC-BY-NC-4.0"\nnon_commercial = true')):
            hosts.serve(f"/{name}.bin", BODY)
            files = (
                f'[[files]]\nname = "{name}.bin"\nbytes = {len(BODY)}\nsha256 = "{hashlib.sha256(BODY).hexdigest()}"\n'
                f'addresses = ["{hosts.address}/{name}.bin"]'
            )
            site.manifest(name, files, licence=licence)
        monkeypatch.setattr("sgpbench.data.manifest.root_folder", lambda _: site.manifests)
        yield site


def _run(site: Site, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--data-dir", str(site.root / "data")], catch_exceptions=False)


def test_list_says_what_is_here_and_where_it_looked(site: Site) -> None:
    before = _run(site, "list")
    assert before.exit_code == 0
    assert "free                      no                    MIT" in before.stdout
    assert str(site.root / "data") in before.stdout
    _run(site, "fetch", "free")
    assert "free                      yes                   MIT" in _run(site, "list").stdout


def test_list_of_one_says_how_to_get_it_by_hand(site: Site) -> None:
    shown = _run(site, "list", "free").stdout
    assert "sgpbench data fetch free" in shown
    assert str(site.root / "data" / "free") in shown
    assert max(map(len, shown.splitlines())) <= 80 or str(site.root) in max(shown.splitlines(), key=len)
    pairs = _run(site, "list", "free", "--addresses").stdout
    assert pairs == f"{site.hosts.address}/free.bin\t{site.root / 'data' / 'free' / 'free.bin'}\n"


def test_fetch_reports_counts_and_a_second_one_downloads_nothing(site: Site) -> None:
    first = _run(site, "fetch", "free")
    assert (first.exit_code, first.stdout) == (0, "free: 1 fetched (9.0 kB)\n")
    assert "fetching 1 file, 9.0 kB" in first.stderr
    asked = site.hosts.total
    assert _run(site, "fetch", "free").stdout == "free: 1 here already\n"
    assert site.hosts.total == asked


def test_a_failed_fetch_says_addresses_and_place_and_leaves_with_one(site: Site) -> None:
    del site.hosts.behaviours["/free.bin"]
    failed = _run(site, "fetch", "free")
    assert failed.exit_code == 1
    assert "answers 404" in failed.stdout
    assert f"{site.hosts.address}/free.bin" in failed.stdout
    assert f"belongs at {site.root / 'data' / 'free' / 'free.bin'}" in failed.stdout


def test_a_non_commercial_licence_is_shown_and_must_be_accepted_before_the_first_fetch(site: Site) -> None:
    declined = _run(site, "fetch", "bound")
    assert declined.exit_code == 1
    assert "CC-BY-NC-4.0" in declined.stderr
    assert "--accept-licence" in declined.stderr
    assert site.hosts.total == 0
    accepted = _run(site, "fetch", "bound", "--accept-licence")
    assert accepted.exit_code == 0
    assert "CC-BY-NC-4.0" in accepted.stderr
    again = _run(site, "fetch", "bound")
    assert (again.exit_code, again.stderr) == (0, "")


@pytest.mark.parametrize(("answer", "fetched"), [("y\n", True), ("n\n", False)])
def test_on_a_terminal_the_licence_is_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, answer: str, fetched: bool
) -> None:
    monkeypatch.setattr("sgpbench.cli.data._somebody_is_there", lambda: True)
    words = ["fetch", "bound", "--data-dir", str(site.root / "data")]
    done = CliRunner().invoke(app, words, input=answer, catch_exceptions=False)
    assert "Fetch under this licence?" in done.stderr
    assert site.path("bound", "bound.bin").exists() == fetched
    assert done.exit_code == (0 if fetched else 1)


def test_progress_on_a_terminal_counts_files_and_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    bar = BarProgress()
    bar.begin("free", 2, 3_000_000)
    bar.bytes("a", 3_000_000)
    bar.end(FileResult("free", "a", "fetched", Path("a")))
    bar.close()
    shown = capsys.readouterr().err
    assert "free" in shown
    assert "1/2 files" in shown
    assert "3.0/3.0 MB" in shown


def test_progress_elsewhere_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PlainProgress()
    plain.begin("free", 2, None)
    plain.bytes("a", 10)
    monkeypatch.setattr(plain, "every_s", 0.0)
    plain.bytes("a", 2_500)
    monkeypatch.setattr(plain, "every_s", 60.0)
    plain.bytes("b", 9)
    assert capsys.readouterr().err.splitlines() == ["free: fetching 2 files", "0 of 2 files, 2.5 kB"]


def test_fetching_all_leaves_out_what_was_not_accepted(site: Site) -> None:
    found = _run(site, "fetch", "--json")
    document = json.loads(found.stdout)
    assert found.exit_code == 1
    assert [(file["name"], file["outcome"]) for file in document["files"]] == [("free.bin", "fetched")]
    assert document["declined"] == ["bound"]


def test_a_data_set_whose_list_is_missing_takes_no_other_down(site: Site) -> None:
    rows = f'[[files]]\nname = "rows.json"\nbytes = 2\nsha256 = "{"0" * 64}"\naddresses = ["{site.hosts.address}/rows"]'
    site.manifest("a-rows", rows)
    derived = 'dataset = "a-rows"\nfile = "rows.json"\nfield = "id"\ncount = 2\nname = "{value}.jpg"'
    site.manifest("b-photos", f'[derived]\n{derived}\naddresses = ["http://127.0.0.1:9/{{value}}.jpg"]')
    done = _run(site, "fetch", "b-photos", "free")
    assert done.exit_code == 1
    assert "a-rows: 1 failed" in done.stdout
    assert "the list of these files is in rows.json of a-rows, which is not here" in done.stdout
    assert "free: 1 fetched" in done.stdout
    assert "b-photos                  no" in _run(site, "list").stdout


def test_verify_hashes_again_and_names_what_is_damaged(site: Site) -> None:
    _run(site, "fetch", "free")
    good = _run(site, "verify")
    assert good.exit_code == 0
    assert "1 verified" in good.stdout
    path = site.root / "data" / "free" / "free.bin"
    stat = path.stat()
    path.write_bytes(BODY[::-1])  # same size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # and same date: only hashing finds it out
    bad = _run(site, "verify")
    assert bad.exit_code == 1
    assert str(path) in bad.stdout
    assert hashlib.sha256(BODY[::-1]).hexdigest() in bad.stdout
    assert "sgpbench data fetch free" in bad.stdout


def test_verifying_one_that_is_missing_leaves_with_one(site: Site) -> None:
    assert _run(site, "verify", "free").exit_code == 1
    assert _run(site, "verify").exit_code == 0


def test_json_is_one_document(site: Site) -> None:
    _run(site, "fetch", "free")
    listed = {entry["name"]: entry for entry in json.loads(_run(site, "list", "--json").stdout)["datasets"]}
    assert listed["free"]["files"][0]["state"] == "verified"
    assert listed["bound"]["non_commercial"] is True
    verified = json.loads(_run(site, "verify", "--json").stdout)["datasets"]
    assert {entry["name"] for entry in verified} == {"free", "bound"}
