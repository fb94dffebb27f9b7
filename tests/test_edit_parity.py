"""Verdicts on repairs, held against the published ones of real models' answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sgpbench.metrics.edit.verdict import Edit, read_edit, verdict

pytestmark = pytest.mark.upstream

_PUBLISHED = {
    "validity": "validity_pass",
    "repair": "repair_pass",
    "preservation": "preservation_pass",
    "near": "near_pass",
    "passed": "specification_pass",
    "completion": "edit_completion",
    "progress": "repair_progress",
    "kept": "preservation",
}


def _edit(upstream: Path, task: str) -> Edit:
    row = json.loads((upstream / "vector-bench" / "tasks" / f"{task}.json").read_bytes())
    return read_edit({"target": row["target_svg"], "changes": row["expected_diff"], "preserve": row["should_preserve"]})


@pytest.mark.parametrize("task", [f"sv_{number:03d}" for number in range(1, 21)])
def test_every_published_verdict_is_ours_too(upstream: Path, task: str) -> None:
    edit = _edit(upstream, task)
    answers: list[dict[str, Any]] = json.loads((upstream / "vector-bench" / "traces" / f"{task}.json").read_bytes())
    assert len(answers) == 17
    for answer in answers:
        found = verdict(answer["produced_svg"] or "", edit)
        for ours, theirs in _PUBLISHED.items():
            assert float(getattr(found, ours)) == pytest.approx(float(answer[theirs]), abs=1e-6), (
                answer["model"],
                ours,
            )
        assert list(found.unexpected) == answer["unexpected_changed_parts"], answer["model"]
        for match, published in zip(found.changes, answer["expected_changes"], strict=True):
            assert match.comparison == published["comparison"]
            for value, name in ((match.distance, "distance"), (match.tolerance, "tolerance")):
                assert value == (None if published[name] is None else pytest.approx(published[name], abs=2e-6))


def test_the_published_answers_hold_passes_and_failures_of_every_gate(upstream: Path) -> None:
    answers = [
        answer
        for path in sorted((upstream / "vector-bench" / "traces").glob("*.json"))
        for answer in json.loads(path.read_bytes())
    ]
    assert len(answers) == 340
    for gate in ("validity_pass", "repair_pass", "preservation_pass", "specification_pass", "near_pass"):
        assert {bool(answer[gate]) for answer in answers} == {True, False}
