"""The published manifests follow the schema, and the schema refuses what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sgpbench.data import DataStore, dataset_names, load_manifest
from sgpbench.data.manifest import Archive, Derived, File, Hub, Licence, Manifest, read_manifest
from sgpbench.errors import DataError, UsageError
from sgpbench.paths import root_folder

GOOD = """
name = "good"
title = "t"
description = "d"
homepage = "https://example.org"
source = "s"
citation = "c"
selection = "all"
split = "test"
[licence]
name = "MIT"
[[files]]
name = "a.json"
bytes = 3
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
addresses = ["https://example.org/a.json"]
"""


@pytest.mark.parametrize("name", dataset_names())
def test_a_published_manifest_follows_the_schema(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.files or manifest.derived
    for file in manifest.files:
        assert file.locked or file.stands_for or file.addresses
    if manifest.derived:
        assert manifest.derived.file in {file.name for file in load_manifest(manifest.derived.dataset).files}


def test_all_data_sets_of_the_benchmark_have_a_manifest() -> None:
    assert dataset_names() == [
        "coco-val-captions",
        "coco-val2017-photographs",
        "sgp-compbench",
        "sgp-object",
        "smollm2-135m",
        "tifa-questions",
        "upstream-templates",
        "vector-bench",
    ]


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("title =", "tittle =", "title"),
        ('name = "good"', 'name = "other"', "must agree"),
        ("bytes = 3", 'bytes = "3"', r"files\.0\.bytes"),
        ("0000", "zz", "sha256"),
        ("https://example.org/a.json", "ftp://example.org/a", "addresses"),
        ('name = "a.json"', 'name = "../a.json"', "name"),
        ("addresses =", "adresses =", "adresses"),
        ('addresses = ["https://example.org/a.json"]', "", "addresses or a hub path"),
        ("[[files]]", "[[files", "TOML"),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_and_key(tmp_path: Path, old: str, new: str, where: str) -> None:
    path = tmp_path / "good.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"good\.toml.*{where}"):
        read_manifest(path)


def test_an_unknown_data_set_names_near_ones() -> None:
    with pytest.raises(UsageError, match="Did you mean sgp-compbench"):
        load_manifest("sgp-comp")


@pytest.mark.parametrize("model", [Manifest, File, Licence, Hub, Archive, Derived])
def test_every_key_is_documented(model: type[Manifest]) -> None:
    text = (root_folder("data_manifests") / "README.md").read_text("utf-8")
    for key in model.model_fields:
        assert f"`{key}`" in text, f"{model.__name__}.{key}"


@pytest.mark.upstream
def test_sizes_and_hashes_are_those_of_the_real_files(upstream: Path) -> None:
    checked = 0
    for name in dataset_names():
        for file in load_manifest(name).files:
            path = upstream / file.name
            if path.exists():
                body = path.read_bytes()
                assert (len(body), hashlib.sha256(body).hexdigest()) == (file.bytes, file.sha256)
                checked += 1
    assert checked == 5


@pytest.mark.upstream
def test_the_photographs_are_those_the_captions_name(upstream: Path) -> None:
    wanted = DataStore([upstream]).wanted("coco-val2017-photographs")
    assert len(wanted) == 954
    assert wanted[0].name == "000000132796.jpg"
    assert wanted[0].addresses[0] == "http://images.cocodataset.org/val2017/000000132796.jpg"
