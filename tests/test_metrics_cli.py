"""``sgpbench metrics``: what is listed, what is missing, and how it is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sgpbench.cli.metrics import app
from sgpbench.errors import DataError, UsageError
from sgpbench.metrics import availability, weights
from sgpbench.metrics.registry import BUILT_IN


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "missing_packages", lambda families: [])
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path / "weights"))
    # huggingface_hub reads its cache's place when it is imported.
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def put(folder: Path, name: str) -> None:
    source = weights.WEIGHTS[name]
    for file in (source.weights[0], *source.beside):
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_the_list_fits_80_columns_and_says_what_can_be_computed() -> None:
    text = printed("list")
    assert all(len(line) <= 80 for line in text.splitlines())
    here = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:] if line and line.split()[0] in BUILT_IN}
    assert here == {name: "no" if built_in.weights else "yes" for name, built_in in BUILT_IN.items()}


def test_the_list_as_json_holds_the_remedies() -> None:
    listed = {one["name"]: one for one in json.loads(printed("list", "--json"))["metrics"]}
    assert list(listed) == list(BUILT_IN)
    assert listed["validity"]["missing"] is None
    assert "sgpbench metrics fetch 'dino'" in listed["dino"]["missing"]


def test_weights_in_a_folder_of_ones_own_are_found_and_incomplete_ones_named(tmp_path: Path) -> None:
    put(tmp_path / "weights", "dinov2-small")
    put(tmp_path / "weights", "dinov2-base")
    shown = json.loads(printed("show", "dino[fast]", "--json"))
    assert shown["available"] is True
    assert [column["name"] for column in shown["columns"]] == ["dino[fast]", "dino[fast].s", "dino[fast].b"]
    assert shown["identity"]["published"] is False
    (tmp_path / "weights" / "dinov2-base" / "config.json").unlink()
    text = printed("show", "dino[fast]")
    assert "dinov2-base/config.json" in text.replace("\n", "")
    assert "Not here" in text


def test_show_says_what_a_metric_is_within_80_columns() -> None:
    for name in BUILT_IN:
        if name == "shapes":
            continue
        text = printed("show", name)
        assert text.startswith(f"{name}: {BUILT_IN[name].summary}")
        long = [line for line in text.splitlines() if len(line) > 80 and " " in line.strip()]
        assert long == []


def test_a_metric_that_a_model_answers_needs_no_opening() -> None:
    assert "A model answers" in printed("show", "judge")
    assert "A model answers" in printed("show", "vqa[gpt-4o-mini]")


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean clip"):
        printed("show", "clipp")


def test_needed_weights_follow_the_argument() -> None:
    assert availability.needed_weights("clip[fast]") == ("clip-vit-b-32",)
    assert availability.needed_weights("dino[fast,bf16]") == ("dinov2-small", "dinov2-base")
    assert availability.needed_weights("vqa[blip-base]") == ("blip-base", "all-mpnet-base-v2")
    assert availability.needed_weights("vqa[gpt-4o-mini]") == ("all-mpnet-base-v2",)
    assert availability.needed_weights("validity") == ()


def test_fetching_brings_what_is_missing_at_the_pinned_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Hub:
        def list_repo_files(self, repository: str, *, revision: str) -> list[str]:
            return ["README.md", "config.json", "model.safetensors", "pytorch_model.bin"]

    def download(repository: str, name: str, *, revision: str) -> str:
        asked.append((repository, name, revision))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    put(tmp_path / "weights", "dinov2-small")
    assert "dino[fast]: 2 files fetched" in printed("fetch", "dino[fast]")
    revision = weights.WEIGHTS["dinov2-base"].revision
    assert asked == [("facebook/dinov2-base", name, revision) for name in ("model.safetensors", "config.json")]


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    class Hub:
        def list_repo_files(self, repository: str, *, revision: str) -> list[str]:
            raise httpx2.ConnectError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    with pytest.raises(DataError, match=r"could not be fetched: Name or service not known\. Try again"):
        printed("fetch", "hps")


def test_files_are_hashed_once_and_again_when_they_change(tmp_path: Path) -> None:
    put(tmp_path / "weights", "dinov2-small")
    source = weights.WEIGHTS["dinov2-small"]
    found = weights.find_weights(source)
    assert isinstance(found, weights.Found)
    first = weights.identify(source, found, cache_dir=tmp_path)
    memory = json.loads((tmp_path / "weights.json").read_text())
    (tmp_path / "weights.json").write_text(json.dumps(dict.fromkeys(memory, "0" * 64)))
    assert weights.identify(source, found, cache_dir=tmp_path).sha256 == "0" * 64
    found.file.write_bytes(b"other weights")
    second = weights.identify(source, found, cache_dir=tmp_path)
    assert second.sha256 not in ("0" * 64, first.sha256)
    (tmp_path / "weights.json").write_text("[broken")
    assert weights.identify(source, found, cache_dir=tmp_path).sha256 == second.sha256


def test_weights_are_published_by_their_hash_or_by_the_hubs_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses
    import hashlib

    content = b"the real weights"
    sha256 = hashlib.sha256(content).hexdigest()
    source = weights.WEIGHTS["dinov2-base"]
    blob = tmp_path / "blobs" / sha256
    blob.parent.mkdir()
    blob.write_bytes(content)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    own = weights.Found(link, None)
    assert not weights.identify(source, own, cache_dir=tmp_path).published
    by_hub = weights.identify(source, weights.Found(link, source.revision), cache_dir=tmp_path)
    assert by_hub.published
    assert by_hub.identity["weights"] == f"facebook/dinov2-base@{source.revision}"
    known = dataclasses.replace(source, sha256=frozenset([sha256]))
    assert weights.identify(known, own, cache_dir=tmp_path).published
    blob.write_bytes(b"damaged")
    damaged = weights.identify(source, weights.Found(link, source.revision), cache_dir=tmp_path)
    assert not damaged.published
    assert str(damaged.identity["weights"]).startswith("custom ")
