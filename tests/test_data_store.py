"""Finding files: in which folder, under which name, with which hash."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from data_hosts import Hosts, Site

from sgpbench.data import DataStore
from sgpbench.data.checks import Checks
from sgpbench.data.lock import lock_path
from sgpbench.errors import DataError, UsageError

BODY = b"some published bytes"
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One data set with one file, also kept under the folder name ``other-name``."""
    site = Site(Hosts(), tmp_path)
    files = f'[[files]]\nname = "a.txt"\nbytes = {len(BODY)}\nsha256 = "{SHA256}"\naddresses = ["http://x.test/a"]'
    site.manifest("one", files)
    path = site.manifests / "one.toml"
    path.write_text(path.read_text().replace("[licence]", 'folders = ["other-name"]\n[licence]'))
    return site


@pytest.mark.parametrize("place", ["one/a.txt", "other-name/a.txt", "a.txt"])
def test_a_file_is_found_in_every_usual_place(site: Site, place: str) -> None:
    path = site.root / "data" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BODY)
    assert site.store.file("one", "a.txt") == path
    assert site.store.find("one", "a.txt") == path


def test_folders_are_searched_in_order(site: Site, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (second / "a.txt").write_bytes(BODY)
    store = DataStore([first, second], manifests=site.manifests)
    assert store.file("one", "a.txt") == second / "a.txt"
    (first / "a.txt").write_bytes(BODY)
    assert store.file("one", "a.txt") == first / "a.txt"


def test_a_missing_file_names_the_command(site: Site) -> None:
    assert site.store.find("one", "a.txt") is None
    with pytest.raises(DataError) as caught:
        site.store.file("one", "a.txt")
    assert caught.value.remedy == "Run `sgpbench data fetch one`."


def test_a_wrong_hash_names_file_hashes_and_command(site: Site) -> None:
    path = site.root / "data" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        site.store.find("one", "a.txt")
    for part in (str(path), hashlib.sha256(b"something else").hexdigest(), SHA256, "sgpbench data fetch one"):
        assert part in str(caught.value)


def test_a_change_of_a_verified_file_is_noticed(site: Site) -> None:
    path = site.root / "data" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert site.store.file("one", "a.txt") == path
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError):
        site.store.file("one", "a.txt")


def test_an_unchanged_file_is_hashed_once_across_processes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.root / "data" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(BODY)
    site.store.file("one", "a.txt")

    def refuse(path: Path) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr("sgpbench.data.checks.sha256_of", refuse)
    assert site.store.file("one", "a.txt") == path  # a new store: nothing is kept in memory
    with pytest.raises(AssertionError, match="hashed again"):
        site.store.states("one", fresh=True)


def test_unknown_names_are_errors(site: Site) -> None:
    with pytest.raises(UsageError, match="no data set named 'two'"):
        site.store.find("two", "a.txt")
    with pytest.raises(DataError, match=r"no file b\.txt"):
        site.store.find("one", "b.txt")


def test_a_cache_that_cannot_be_written_or_read_only_costs_time(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(BODY)
    (tmp_path / "blocked").write_text("a file, not a folder")
    assert Checks(tmp_path / "blocked" / "cache").sha256(file) == SHA256
    cache = tmp_path / "cache.jsonl"
    cache.write_text('["cut off in the midd\n')
    assert Checks(cache).sha256(file) == SHA256
    assert json.loads(cache.read_text().splitlines()[-1])[-1] == SHA256


def test_a_broken_lock_file_is_named(tmp_path: Path) -> None:
    site = Site(Hosts(), tmp_path)
    site.manifest("one", '[[files]]\nname = "a.jpg"\nsha256 = "locked at first fetch"\naddresses = ["http://x.test/a"]')
    folder = site.path("one", "")
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(BODY)
    lock_path(folder, "one").write_text("{}")
    with pytest.raises(DataError, match=r"sgpbench-lock\.json cannot be read"):
        site.store.file("one", "a.jpg")


def test_a_file_that_stands_for_others_makes_them_unneeded(tmp_path: Path) -> None:
    site = Site(Hosts(), tmp_path)
    two = "".join(
        f'[[files]]\nname = "{n}.py"\nsha256 = "{"0" * 64}"\naddresses = ["http://x.test/{n}"]\n' for n in "ab"
    )
    site.manifest("one", f'{two}[[files]]\nname = "all.json"\nsha256 = "{SHA256}"\nstands_for = ["a.py", "b.py"]\n')
    assert [(state.name, state.state) for state in site.store.states("one")] == [
        ("a.py", "missing"),
        ("b.py", "missing"),
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all.json").write_bytes(BODY)
    assert [(state.name, state.state) for state in site.store.states("one")] == [("all.json", "verified")]
