"""The catalog of models that comes with sgpbench: every entry is usable, and every price says where it is from."""

from __future__ import annotations

import csv
import importlib
import re
from datetime import date
from pathlib import Path

import pytest

from sgpbench.errors import PluginError, UsageError
from sgpbench.models import catalog
from sgpbench.models.catalog import CatalogEntry, catalog_files, read_catalog_file
from sgpbench.models.connection import SHARED_ARGUMENTS
from sgpbench.models.registry import BUILT_IN, find_entry, known_models, resolve

REPORTED = Path(__file__).resolve().parent.parent / "results" / "reported" / "sgp-genbench-paper.csv"
OF_THE_PAPER = {
    "Claude-3.5-Sonnet": "claude-3.5-sonnet",
    "Claude-3.7-Sonnet": "claude-3.7-sonnet",
    "Claude-3.7-Thinking": "claude-3.7-sonnet-thinking",
    "DeepSeek-R1": "deepseek-r1",
    "GPT-4o": "gpt-4o",
    "GPT-4o-mini": "gpt-4o-mini",
    "Gemini-2.0-Flash": "gemini-2.0-flash",
    "Gemini-2.5-Flash-Preview": "gemini-2.5-flash-preview",
    "Gemini-2.5-Pro-Preview": "gemini-2.5-pro-preview",
    "QwQ-32B": "qwq-32b",
    "Qwen-2.5-7B": "qwen2.5-7b",
    "Qwen-2.5-7B+RL": "sgp-rl-qwen2.5-7b",
    "o1": "o1",
    "o1-mini": "o1-mini",
    "o3": "o3",
    "o3-mini": "o3-mini",
    "o4-mini": "o4-mini",
}
"""Printed name → catalog name, for the 17 models of Table 1."""

ENTRIES = known_models()
each_file = pytest.mark.parametrize("file", catalog_files(), ids=lambda file: file.stem)


def printed(table: str | None = None) -> set[str]:
    with REPORTED.open(encoding="utf-8", newline="") as file:
        return {row["model"] for row in csv.DictReader(file) if table in (None, row["table"])}


def entry_named(name: str) -> CatalogEntry:
    entry = find_entry(name)
    assert entry is not None, f"{name} is not in the catalog"
    return entry


@each_file
def test_every_entry_resolves_to_a_known_adapter(file: Path) -> None:
    for entry in read_catalog_file(file):
        spec = resolve(entry.name)
        assert spec.adapter in BUILT_IN, entry.name
        assert (spec.model_id, dict(spec.args)) == (entry.id, entry.args)
        assert all(find_entry(name) == entry for name in entry.names)


@each_file
def test_arguments_are_ones_that_the_adapter_knows(file: Path) -> None:
    for entry in read_catalog_file(file):
        if entry.args:
            arguments = importlib.import_module(BUILT_IN[entry.adapter].partition(":")[0]).ARGUMENTS
            assert entry.args.keys() <= arguments.keys() | SHARED_ARGUMENTS.keys(), entry.name


@each_file
def test_prices_are_dated_and_name_a_web_page(file: Path) -> None:
    for entry in read_catalog_file(file):
        if price := entry.price:
            assert 0 < price.input <= 100, entry.name
            assert 0 < price.output <= 500, entry.name
            assert date(2025, 1, 1) <= price.as_of, entry.name
            assert re.search(r"https://\S+\.\S+", price.source), entry.name


@each_file
def test_entries_say_who_made_the_model_and_open_ones_which_checkpoint(file: Path) -> None:
    for entry in read_catalog_file(file):
        assert None not in {entry.provider, entry.family, entry.homepage}, entry.name
        if entry.adapter == "vllm":
            assert entry.weights == "open", entry.name
            assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.id), f"{entry.name}: not a repository of the Hugging Face hub"
        elif entry.adapter in {"anthropic", "google"}:
            assert entry.weights == "closed", entry.name


@each_file
def test_a_dated_id_was_released_on_its_date(file: Path) -> None:
    for entry in read_catalog_file(file):
        if dated := re.search(r"(20\d\d)-?([01]\d)-?([0-3]\d)$", entry.id):
            assert entry.released == date.fromisoformat("-".join(dated.groups())), entry.name


def test_no_two_entries_are_the_same_model_in_the_same_setting() -> None:
    settings = [(entry.adapter, entry.id, *sorted(entry.args.items())) for entry in ENTRIES]
    assert len(settings) == len(set(settings))


def test_all_17_models_of_the_paper_are_there() -> None:
    assert printed("1") == OF_THE_PAPER.keys()
    assert len({entry_named(name).name for name in OF_THE_PAPER.values()}) == 17


def test_printed_names_lead_to_one_entry_each() -> None:
    reported = [(name, entry.name) for entry in ENTRIES for name in entry.reported_as]
    names = [name for name, _ in reported]
    assert len(names) == len(set(names))
    assert set(names) <= printed()
    for name, entry_name in OF_THE_PAPER.items():
        if name != "Qwen-2.5-7B+RL":
            assert (name, entry_name) in reported


def test_the_released_checkpoint_does_not_claim_the_headline_row() -> None:
    entry = entry_named("sgp-rl-qwen2.5-7b")
    assert entry.reported_as == ("Qwen-2.5-7B+RL step 780",)
    assert entry.footnote
    assert {"780", "57.1", "60.8"} <= set(re.findall(r"\d+(?:\.\d+)?", entry.footnote))


def test_the_base_checkpoint_is_not_the_instruct_model() -> None:
    base, instruct = entry_named("qwen2.5-7b"), entry_named("qwen2.5-7b-instruct")
    assert (base.id, instruct.id) == ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B-Instruct")
    assert "text" in base.accepts
    assert "text" not in instruct.accepts


def test_a_misspelt_fact_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "family.toml"
    file.write_text('[[model]]\nname = "a"\ntitle = "A"\nadapter = "vllm"\nid = "a/a"\ncontextt = 3\n', "utf-8")
    with pytest.raises(PluginError, match=r"family\.toml: a: contextt"):
        read_catalog_file(file)


def test_one_name_twice_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[[model]]\nname = "a"\ntitle = "A"\nadapter = "vllm"\nid = "a/a"\n'
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(catalog, "catalog_files", lambda: catalog_files(tmp_path))
    catalog.known_models.cache_clear()
    try:
        with pytest.raises(PluginError, match=r"'a' is also in .*one\.toml"):
            catalog.known_models()
    finally:
        catalog.known_models.cache_clear()


def test_a_model_that_the_catalog_does_not_know_can_be_said_to_see() -> None:
    assert not resolve("openai/my-vlm").sees
    assert resolve("openai/my-vlm", {"sees": "true"}).sees
    with pytest.raises(UsageError, match="true or false"):
        resolve("openai/my-vlm", {"sees": "yes"})


def test_the_entry_that_contributors_are_shown_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my-model.toml").write_text(shown, "utf-8")
    (entry,) = read_catalog_file(tmp_path / "my-model.toml")
    assert (entry.name, entry.adapter, entry.weights) == ("my-model-7b", "vllm", "open")
