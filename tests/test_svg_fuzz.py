"""Mutated replies: none ends as an error of ours, and ``paper`` extracts what the released rules extract."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_benchmark", BENCHMARKS / "fuzz.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_no_mutated_reply_is_an_error_of_ours_or_differs_from_the_released_rules(fuzz: ModuleType) -> None:
    found = fuzz.chunk((0, 1500, 7, None))
    assert found.faults == []
    assert found.counts["replies"] == 1500
    assert all(found.counts[f"{rule}: valid"] > 50 for rule, _ in fuzz.WAYS), "many are still drawings"
    assert all(found.counts[f"{rule}: invalid"] > 50 for rule, _ in fuzz.WAYS), "and many are not"


def test_the_fuzzer_notices_a_difference_and_an_error(fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "released_first", lambda _: None)
    monkeypatch.setattr(fuzz, "drawn_text", lambda _: 1 / 0)
    faults = fuzz.judge("<svg xmlns='http://www.w3.org/2000/svg'></svg>", "x").faults
    assert len(faults) == 4
    assert sum("ZeroDivisionError" in fault for fault in faults) == 3
