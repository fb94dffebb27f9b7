"""Protocols: strict to read, and v1 cannot move by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgpbench.errors import ProtocolError, UsageError
from sgpbench.paths import root_folder
from sgpbench.protocol import load_protocol, protocol_names

TASKS = ("object", "scene", "comp", "shapes")


def test_v1_is_what_it_was() -> None:
    """If this fails, published numbers would change their meaning: make a new protocol instead of editing v1."""
    v1 = load_protocol("v1")
    assert {task: v1.generation_hash(task) for task in TASKS} == {
        "object": "797c7a732f107799",
        "scene": "797c7a732f107799",
        "comp": "7486b5b6433a4128",
        "shapes": "7486b5b6433a4128",
    }
    assert v1.scoring_hash == "c87de261a7ddde8d"


def test_a_key_at_its_default_enters_no_hash(tmp_path: Path) -> None:
    v1 = load_protocol("v1")
    said = load_protocol(
        str(edited(tmp_path, "[scoring.dino]", "[scoring.hps]\ntoo_narrow = 'one-pixel'\n\n[scoring.dino]"))
    )
    assert said.scoring_hash == v1.scoring_hash
    rule = v1.generation.rule("comp")
    spelled = rule.model_copy(update={"stop": (), "keep_stop": False, "chat": None})
    generation = v1.generation.model_copy(update={"tasks": {"comp": spelled}})
    assert v1.model_copy(update={"generation": generation}).generation_hash("comp") == v1.generation_hash("comp")
    other = load_protocol(
        str(edited(tmp_path, "[scoring.dino]", "[scoring.hps]\ntoo_narrow = 'zero-all'\n\n[scoring.dino]"))
    )
    assert other.scoring_hash != v1.scoring_hash


def test_both_protocols_come_with_the_package() -> None:
    assert protocol_names() == ["paper", "v1"]


def test_paper_follows_the_released_code() -> None:
    paper = load_protocol("paper")
    comp, scene = paper.generation.rule("comp"), paper.generation.rule("scene")
    assert comp.tries == (10000, 10000, 10000, 20000, 20000, 20000)
    assert comp.system == "You are a helpful assistant."
    assert (comp.temperature, comp.samples, comp.extraction, comp.repair) == (0.7, 1, "paper-first", "none")
    assert (scene.form, scene.temperature, scene.top_p, scene.samples) == ("text", 1.0, 1.0, 8)
    assert (scene.stop, scene.keep_stop, scene.repair) == (("</answer>",), True, "lxml-recover")
    assert scene.chat is not None
    assert scene.chat.temperature == 0.7
    assert (paper.scoring.judge.reading, paper.scoring.judge.unreadable) == ("paper", "zero")
    assert paper.scoring.renderer.jpeg == {"vqa": 75, "hps": 75}
    assert paper.scoring.dino.squash_reference
    assert (paper.scoring.vqa.keyed_by, paper.scoring.hps.keyed_by) == ("image_id", "image_id")
    assert (paper.scoring.vqa.matching, paper.scoring.vqa.answer_tokens) == ("exact", 49)
    assert paper.scoring.hps.too_narrow == "zero-all"
    assert paper.scoring.diversity.only_positive
    assert paper.scoring.invalid.last_of_cluster == {"scene": ("vqa", "hps")}


def test_paper_holds_no_words_of_upstream() -> None:
    paper = load_protocol("paper")
    rules = [paper.generation.default, *paper.generation.tasks.values()]
    templates = [rule.template for rule in rules] + [rule.chat.template for rule in rules if rule.chat]
    assert all(template.upstream and template.text is None for template in templates)
    assert all(template.upstream and template.text is None for template in paper.scoring.judge.rubrics.values())


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = (root_folder("protocols") / "v1.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "v1"', 'name = "mine"').replace(old, new, 1), "utf-8")
    return path


def test_an_unknown_key_is_an_error_that_names_file_and_key(tmp_path: Path) -> None:
    path = edited(tmp_path, "longer_side = 512", "longer_sid = 512")
    with pytest.raises(ProtocolError, match=r"mine\.toml: scoring\.renderer\.longer_sid"):
        load_protocol(str(path))


def test_a_wrong_type_is_an_error(tmp_path: Path) -> None:
    path = edited(tmp_path, "longer_side = 512", 'longer_side = "512"')
    with pytest.raises(ProtocolError, match=r"scoring\.renderer\.longer_side"):
        load_protocol(str(path))


def test_broken_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = ")
    with pytest.raises(ProtocolError, match=r"mine\.toml is not valid TOML"):
        load_protocol(str(path))


def test_an_unknown_protocol_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean paper"):
        load_protocol("papr")


def test_the_hashes_follow_their_own_part_alone(tmp_path: Path) -> None:
    v1 = load_protocol("v1")
    scoring = load_protocol(str(edited(tmp_path, "longer_side = 512", "longer_side = 256")))
    assert scoring.generation_hash("comp") == v1.generation_hash("comp")
    assert scoring.scoring_hash != v1.scoring_hash
    generation = load_protocol(str(edited(tmp_path, "temperature = 0.7", "temperature = 0.8")))
    assert generation.generation_hash("comp") != v1.generation_hash("comp")
    assert generation.scoring_hash == v1.scoring_hash
