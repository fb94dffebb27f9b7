"""``sgpbench models``: fits a terminal, one document with --json, and help for a misspelt name."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from sgpbench.cli.models import app
from sgpbench.errors import UsageError
from sgpbench.models.registry import known_models


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_has_a_line_for_every_model_and_fits_80_columns() -> None:
    lines = printed("list").splitlines()
    assert [line.split()[0] for line in lines[1 : len(known_models()) + 1]] == [one.name for one in known_models()]
    assert max(map(len, lines)) <= 80


def test_the_list_is_one_json_document() -> None:
    document = json.loads(printed("list", "--json"))
    assert [one["name"] for one in document["models"]] == [one.name for one in known_models()]
    assert "openai" in document["adapters"]


def test_a_model_is_shown_with_the_day_and_source_of_its_price() -> None:
    text = printed("show", "gpt-5.4-mini-none")
    assert "openai/gpt-5.4-mini-2026-03-17" in text
    assert "2026-11-21, https://" in text
    assert "reasoning_effort=none" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_base_checkpoint_is_shown_as_such() -> None:
    document = json.loads(printed("show", "qwen2.5-7b", "--json"))
    assert (document["id"], document["adapter"]) == ("Qwen/Qwen2.5-7B", "vllm")
    assert "base checkpoint" in document["footnote"]


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"qwen2\.5-7b"):
        CliRunner().invoke(app, ["show", "qwen2.5-7bb"], catch_exceptions=False)
