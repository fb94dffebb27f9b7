"""Upstream's words: read as literals out of files of upstream's structure, never run, refused when changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpbench.data import DataStore
from sgpbench.data.templates import UPSTREAM_NAMES, fill, literal_template, resolve
from sgpbench.errors import DataError, ProtocolError
from sgpbench.protocol import Template, load_protocol

RUBRICS = '''
raise SystemExit("this file is never run")

def eval_prompt_binding(prompt):
    return (
        f"Look for: {prompt}\\n"
        "100: all there\\n"
        "SCORE: [score]"
    )

def eval_prompt_relation(prompt):
    text = f"Look how they stand: {prompt}\\n" + "0: not so"
    return text

def eval_prompt_numeracy_total(total_count):
    return "Are there {total_count} {{things}}?".format(total_count=total_count)

def eval_prompt_numeracy_item(nouns):
    noun_list = ", ".join(nouns)
    return f"Are these there: {noun_list}?"

def eval_prompt_numeracy_count_binding(count, noun):
    """Asks for one kind."""
    return f"Are there {count} {noun}, {count} exactly?"
'''
GENERATION = """
import nothing_that_exists

def parse(reply):
    return reply.find("<svg")

def get_svg_generation_prompt(description):
    return (
        "You draw.\\n\\n"

        f"Description: {description}"
    )
"""
RAW = "A talk.\nUser: Please draw this: {}\nAssistant: <think>"
ROWS = [{"caption": text, "prompt": RAW.format(text)} for text in ("a cat ", "User: {curly}", "this")]
NUMERACY = {"total_count": 7, "noun_list": "cup, fork", "count": 3, "noun": "cup"}


class Files:
    """Upstream's files as a data directory."""

    def __init__(self, folder: Path) -> None:
        (folder / "evaluation_prompts.py").write_text(RUBRICS)
        (folder / "generation.py").write_text(GENERATION)
        (folder / "coco_test_data.json").write_text(json.dumps(ROWS))
        self.folder = folder

    def file(self, dataset: str, name: str) -> Path:
        return self.folder / name

    def find(self, dataset: str, name: str) -> Path | None:
        path = self.folder / name
        return path if path.exists() else None


def _words(name: str, files: Files) -> str:
    return resolve(Template(upstream=name), files)


def test_every_rubric_is_read_and_filled(tmp_path: Path) -> None:
    files = Files(tmp_path)
    asked = {"prompt": "a {red} cup and a blue fork"}
    assert fill(_words("eval_prompt_binding", files), asked) == (
        "Look for: a {red} cup and a blue fork\n100: all there\nSCORE: [score]"
    )
    assert fill(_words("eval_prompt_relation", files), asked) == (
        "Look how they stand: a {red} cup and a blue fork\n0: not so"
    )
    assert fill(_words("eval_prompt_numeracy_total", files), NUMERACY) == "Are there 7 {things}?"
    assert fill(_words("eval_prompt_numeracy_item", files), NUMERACY) == "Are these there: cup, fork?"
    assert fill(_words("eval_prompt_numeracy_count_binding", files), NUMERACY) == "Are there 3 cup, 3 exactly?"


def test_every_prompt_to_a_model_takes_a_caption(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert _words("get_svg_generation_prompt", files) == "You draw.\n\nDescription: {caption}"
    assert _words("rl_generation_prompt", files) == RAW.format("{caption}")
    assert _words("instruction", files) == "Please draw this: {caption}"


def test_our_own_words_need_no_files() -> None:
    assert resolve(Template(text="Draw {caption}"), DataStore([])) == "Draw {caption}"


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sgpbench data fetch upstream-templates"):
        resolve(Template(upstream="eval_prompt_binding"), DataStore([tmp_path]))
    with pytest.raises(DataError, match="sgpbench data fetch coco-val-captions"):
        resolve(Template(upstream="instruction"), DataStore([tmp_path]))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation_prompts.py").write_text(RUBRICS)
    found = hashlib.sha256(RUBRICS.encode()).hexdigest()
    with pytest.raises(DataError, match=f"not the published file: its SHA-256 is {found}"):
        resolve(Template(upstream="eval_prompt_binding"), DataStore([tmp_path]))


@pytest.mark.parametrize(
    "body",
    [
        "def other(): return 'x'",
        "def wanted(x): return make(x)",
        "def wanted(x): return f'{x!r}'",
        "def wanted(x): return f'{x:>4}'",
        "def wanted(x): return f'{x.upper()}'",
        "def wanted(x): return 'a' * 3",
        "def wanted(x):\n    if x: return 'a'\n    return 'b'",
        "def wanted(x): return b'bytes'",
        "def wanted(x)",
        "\0",
    ],
)
def test_what_is_not_a_literal_is_refused(tmp_path: Path, body: str) -> None:
    path = tmp_path / "file.py"
    path.write_text(body)
    with pytest.raises(DataError, match=r"file\.py"):
        literal_template(path, "wanted")


@pytest.mark.parametrize("template", [Template(), Template(text="a", upstream="eval_prompt_binding")])
def test_a_template_is_one_of_the_two(template: Template) -> None:
    with pytest.raises(ProtocolError):
        resolve(template, DataStore([]))


def test_an_unknown_upstream_name_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no upstream template 'other'"):
        resolve(Template(upstream="other"), DataStore([]))


@given(st.dictionaries(st.sampled_from(["caption", "count", "noun"]), st.text() | st.integers(0, 9)))
def test_values_are_put_in_as_they_are(values: dict[str, str | int]) -> None:
    filled = fill("<{caption}|{count}|{noun}>", values)
    parts = [str(values.get(name, f"{{{name}}}")) for name in ("caption", "count", "noun")]
    assert filled == f"<{'|'.join(parts)}>"


@pytest.mark.upstream
def test_the_real_wording_serves_every_template_of_the_paper_protocol(upstream: Path) -> None:
    store = DataStore([upstream])
    published = json.loads((upstream / "protocol-templates.json").read_text())["templates"]
    for name in UPSTREAM_NAMES:
        words = resolve(Template(upstream=name), store)
        assert words.replace("{caption}", "x").startswith(published[name][:40])
    paper = load_protocol("paper")
    for rule in (paper.generation.default, *paper.generation.tasks.values()):
        assert "{caption}" in resolve(rule.template, store)
        if rule.chat:
            assert resolve(rule.chat.template, store) == f"{published['instruction']} {{caption}}"
    values = {**NUMERACY, "prompt": "a red cup"}
    for kind, template in paper.scoring.judge.rubrics.items():
        filled = fill(resolve(template, store), values)
        assert "{" not in filled, kind
        assert "SCORE: [score]" in filled


@pytest.mark.upstream
def test_the_captions_file_and_the_templates_file_agree_on_the_raw_prompt(upstream: Path, tmp_path: Path) -> None:
    (tmp_path / "coco_test_data.json").symlink_to(upstream / "coco_test_data.json")
    alone, both = DataStore([tmp_path]), DataStore([upstream])
    for name in ("rl_generation_prompt", "instruction"):
        assert resolve(Template(upstream=name), alone) == resolve(Template(upstream=name), both)
