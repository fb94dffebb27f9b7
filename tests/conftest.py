"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that others use too may take its time: what a test may take is for pytest to say, not for each example.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def upstream() -> Path:
    """The folder of upstream data files, from ``SGPBENCH_TEST_DATA`` or beside the project."""
    given = os.environ.get("SGPBENCH_TEST_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "upstream"
    if not folder.is_dir():
        pytest.skip(f"the upstream data files are not at {folder}; set SGPBENCH_TEST_DATA to their folder")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("SGPBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("SGPBENCH_DATA_DIR", raising=False)
