"""The hub's file, from a look-alike of the hub with a synthetic file of the same fields."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_hosts import Answer, Site, serving

from sgpbench.data import load_manifest
from sgpbench.data.hub import hub_address
from sgpbench.data.manifest import File
from sgpbench.tasks.registry import load_task

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    {
        "description": "A red lantern with a golden tassel.",
        "svg_content": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="3"/></svg>',
        "file_name": "Red_Lantern.svg",
        "major_class": "Household",
        "sub_class": "lamp",
    },
    {"description": "  ", "svg_content": "<svg/>", "file_name": "blank.svg"},
    {"description": "A green kite.", "svg_content": "<svg/>", "file_name": "kite.svg", "major_class": "Toys & Games"},
    {"description": "a green kite", "svg_content": "<svg/>", "file_name": "kite2.svg"},
]
BODY = json.dumps(ROWS).encode()
PATH = "/datasets/SphereLab/SGP-Object/resolve/main/SGP-Object.json"


class Data:
    """Two files as a data directory."""

    def __init__(self, rows: Path, questions: Path) -> None:
        self.files = {"sgp-object": rows, "tifa-questions": questions}

    def file(self, dataset: str, name: str) -> Path:
        return self.files[dataset]

    def find(self, dataset: str, name: str) -> Path | None:
        return self.files.get(dataset)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serving() as hosts:
        monkeypatch.setenv("HF_ENDPOINT", hosts.address)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        site = Site(hosts, tmp_path)
        site.manifest(
            "sgp-object",
            '[[files]]\nname = "SGP-Object.json"\nsha256 = "locked at first fetch"\n[files.hub]\n'
            'repo = "SphereLab/SGP-Object"\nkind = "dataset"\npath = "SGP-Object.json"\n',
        )
        yield site


def _hub(body: bytes, tokens: list[str | None]) -> object:
    def behaviour(answer: Answer, number: int) -> None:
        tokens.append(answer.headers.get("Authorization"))
        digest = hashlib.sha256(body).hexdigest()
        answer.plain(200, body, ETag=f'"{digest}"', X_Repo_Commit=COMMIT)

    return behaviour


def test_the_hub_file_is_fetched_with_token_and_locked(site: Site) -> None:
    tokens: list[str | None] = []
    site.hosts.behaviours[PATH] = _hub(BODY, tokens)
    (result,) = site.fetch("sgp-object")
    assert (result.outcome, result.reason) == ("fetched", None)
    assert result.addresses == (f"{site.hosts.address}{PATH}",)
    assert site.store.file("sgp-object", "SGP-Object.json").read_bytes() == BODY
    assert set(tokens) == {"Bearer hf_secret"}
    assert {path.name for path in site.path("sgp-object", "").iterdir()} == {"SGP-Object.json", "sgpbench-lock.json"}
    asked = site.hosts.total
    assert site.fetch("sgp-object")[0].outcome == "present"
    assert site.hosts.total == asked


def test_a_changed_hub_file_is_refused_once_the_first_is_locked(site: Site) -> None:
    site.hosts.behaviours[PATH] = _hub(BODY, [])
    site.fetch("sgp-object")
    site.path("sgp-object", "SGP-Object.json").unlink()
    site.hosts.behaviours[PATH] = _hub(BODY + b"\n", [])
    (result,) = site.fetch("sgp-object")
    assert result.outcome == "failed"
    assert result.reason is not None
    assert "locked on" in result.reason


def test_a_hub_without_the_repository_says_so(site: Site) -> None:
    site.hosts.behaviours[PATH] = lambda answer, _: answer.plain(404, b"", X_Error_Code="RepoNotFound")
    (result,) = site.fetch("sgp-object")
    assert result.reason is not None
    assert "no dataset 'SphereLab/SGP-Object' for this HF_TOKEN" in result.reason


def test_a_hub_without_the_file_says_so(site: Site) -> None:
    site.hosts.behaviours[PATH] = lambda answer, _: answer.plain(404, b"", X_Error_Code="EntryNotFound")
    (result,) = site.fetch("sgp-object")
    assert result.reason is not None
    assert "no file SGP-Object.json" in result.reason


def test_a_gated_repository_says_what_to_do(site: Site) -> None:
    site.hosts.behaviours[PATH] = lambda answer, _: answer.plain(403, b"", X_Error_Code="GatedRepo")
    (result,) = site.fetch("sgp-object")
    assert result.reason is not None
    assert "Accept them on its page, then set HF_TOKEN" in result.reason


def test_the_published_manifest_points_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    manifest = load_manifest("sgp-object")
    (file,) = manifest.files
    assert isinstance(file, File)
    assert file.hub is not None
    assert hub_address(file.hub) == f"https://huggingface.co{PATH}"
    assert manifest.licence.non_commercial
    assert manifest.licence.name == "CC-BY-NC-4.0"


def test_object_prompts_come_from_the_fields_of_the_hub_file(tmp_path: Path) -> None:
    rows, questions = tmp_path / "SGP-Object.json", tmp_path / "qa.json"
    rows.write_bytes(BODY)
    asked = {"question": "is this a kite?", "choices": ["yes", "no", "yes"], "answer": "yes", "cls": "object"}
    questions.write_text(json.dumps({"A green kite.": {"questions": [asked, asked]}}))
    prompts = list(load_task("object").prompts(Data(rows, questions), "official", 0))
    assert [prompt.id for prompt in prompts] == [
        "object-0001-red-lantern",
        "object-0003-kite",
        "object-0004-kite2",
    ]
    assert [prompt.category for prompt in prompts] == ["household", "toys-games", "object"]
    assert [prompt.cluster for prompt in prompts] == [
        "object-0001-red-lantern",
        "object-0003-kite",
        "object-0003-kite",
    ]
    assert prompts[0].reference is not None
    assert prompts[0].reference.svg == ROWS[0]["svg_content"]
    assert prompts[0].questions == ()
    assert [question.id for question in prompts[1].questions] == ["q1", "q2"]
    assert prompts[1].questions[0].choices == ("yes", "no")
    assert prompts[0].metadata == {"file_name": "Red_Lantern.svg", "major_class": "Household", "sub_class": "lamp"}
