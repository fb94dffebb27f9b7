"""``sgpbench doctor``: what works here, and a remedy for what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sgpbench.cli.app import app
from sgpbench.metrics import weights
from sgpbench.run import checks

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path / "weights"))


def looked() -> dict[str, dict[str, object]]:
    """The checks by their names."""
    result = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_a_bare_machine_draws_and_is_told_what_else_it_could_have() -> None:
    found = looked()
    assert found["resvg (v1)"]["works"]
    assert found["shapes"]["works"]
    for name, remedy in (
        ("openai", "export OPENAI_API_KEY=…"),
        ("sgp-compbench", "sgpbench data fetch sgp-compbench"),
        ("clip", "sgpbench metrics show clip"),
    ):
        assert not found[name]["works"]
        assert found[name]["remedy"] == remedy


def test_a_key_is_seen_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key-5309")
    found = looked()
    assert found["openai"]["works"]
    assert "canary" not in json.dumps(found)


def test_weights_are_looked_for_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "missing_packages", lambda families: [])
    for name in ("clip-vit-b-32", "clip-vit-l-14"):
        source = weights.WEIGHTS[name]
        for file in (source.weights[0], *source.beside):
            (tmp_path / "weights" / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "weights" / name / file).write_bytes(b"")

    def opened(*_: object) -> None:
        pytest.fail("a metric was opened")

    monkeypatch.setattr(checks, "open_metric", opened)
    found = looked()
    assert found["clip"]["works"]
    assert not found["dino"]["works"]


def test_for_people_it_groups_and_fits_the_screen() -> None:
    result = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert [group for group in ("Rendering", "Models", "Data", "Metrics") if group in result.output] == [
        "Rendering",
        "Models",
        "Data",
        "Metrics",
    ]
    assert all(len(line) <= 80 for line in result.output.splitlines())
