"""Finding metrics by name, and saying what is wrong with those that cannot be had."""

from __future__ import annotations

import asyncio
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from sgpbench.errors import MetricUnavailable, PluginError, ProtocolError, UsageError
from sgpbench.metrics import clip, dino, hps, registry, siglip, weights
from sgpbench.metrics.interface import MetricContext
from sgpbench.metrics.registry import BUILT_IN, metric_names, open_metric, parse
from sgpbench.protocol import Protocol, load_protocol

PLUGIN = """
from sgpbench.metrics.validity import Validity

class Mine(Validity):
    name = "mine"

def open_mine(context):
    metric = Mine()
    metric.argument = context.argument
    return metric

def open_broken(context):
    return 1 / 0
"""


@pytest.fixture
def context(tmp_path: Path) -> MetricContext:
    return MetricContext(None, load_protocol("v1"), tmp_path)


def pinned(**versions: str) -> Protocol:
    protocol = load_protocol("v1")
    scoring = protocol.scoring.model_copy(update={"metrics": {**protocol.scoring.metrics, **versions}})
    return protocol.model_copy(update={"scoring": scoring})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip", ("clip", None)),
        ("clip[fast]", ("clip", "fast")),
        (" judge[vllm/a-b.c] ", ("judge", "vllm/a-b.c")),
        ("./my.py:open_it[x]", ("./my.py:open_it", "x")),
    ],
)
def test_a_metric_is_a_name_and_what_stands_in_brackets(text: str, expected: tuple[str, str | None]) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "clip[", "clip[]", "[fast]", "clip[a]b", "clip[a][b]"])
def test_what_is_not_a_metric_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a metric"):
        parse(text)


def test_an_unknown_metric_offers_the_nearest_and_the_list(context: MetricContext) -> None:
    with pytest.raises(UsageError, match=r"no metric named 'validty'.*validity.*sgpbench metrics list"):
        open_metric("validty", context)


def test_a_protocol_that_pins_another_version_is_refused(tmp_path: Path) -> None:
    context = MetricContext(None, pinned(validity="7"), tmp_path)
    with pytest.raises(ProtocolError, match=r"pins version 7 of the metric validity.*implements version 1"):
        open_metric("validity", context)


def test_every_built_in_metric_has_the_version_both_protocols_pin() -> None:
    for name in ("v1", "paper"):
        assert load_protocol(name).scoring.metrics == {one.name: one.version for one in BUILT_IN.values()}


def test_the_list_of_needed_weights_is_that_of_the_metrics_themselves() -> None:
    parts = {"clip": clip.PARTS, "siglip": siglip.PARTS, "hps": hps.PARTS, "dino": dino.PARTS, "diversity": dino.PARTS}
    for name, own in parts.items():
        assert BUILT_IN[name].weights == tuple(part.weights for part in own)
    assert all(one in weights.WEIGHTS for built_in in BUILT_IN.values() for one in built_in.weights)


def test_a_metric_comes_from_a_file(context: MetricContext, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(PLUGIN)
    metric = open_metric(f"{tmp_path}/my.py:open_mine[quick]", context)
    assert (metric.name, metric.argument) == ("mine", "quick")


def test_a_broken_file_names_itself_and_its_error(context: MetricContext, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import a_package_that_is_not_there")
    (tmp_path / "my.py").write_text(PLUGIN)
    with pytest.raises(
        PluginError, match=r"bad\.py cannot be loaded: ModuleNotFoundError.*a_package_that_is_not_there"
    ):
        open_metric(f"{tmp_path}/bad.py:open_it", context)
    with pytest.raises(PluginError, match=r"my\.py has no function open_it"):
        open_metric(f"{tmp_path}/my.py:open_it", context)
    with pytest.raises(PluginError, match=r"my\.py:open_broken cannot be opened: ZeroDivisionError"):
        open_metric(f"{tmp_path}/my.py:open_broken", context)
    with pytest.raises(UsageError, match="no metric file"):
        open_metric(f"{tmp_path}/none.py:open_it", context)


def test_a_metric_comes_from_an_installed_package(
    context: MetricContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed_metrics.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        importlib.metadata.EntryPoint("mine", "installed_metrics:open_mine", registry.GROUP),
        importlib.metadata.EntryPoint("lost", "installed_metrics:no_such", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])
    assert metric_names()[-2:] == ["lost", "mine"]
    assert open_metric("mine", context).name == "mine"
    with pytest.raises(PluginError, match=r"lost \(installed_metrics:no_such\) cannot be loaded: AttributeError"):
        open_metric("lost", context)
    with pytest.raises(ProtocolError, match="pins version 2"):
        open_metric("mine", MetricContext(None, pinned(mine="2"), tmp_path))
    # A broken plugin takes nothing else down.
    assert open_metric("validity", context).name == "validity"


def test_missing_weights_name_the_metric_the_files_and_the_command(
    context: MetricContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "missing_packages", lambda families: [])
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SGPBENCH_WEIGHTS_DIR", str(tmp_path / "own"))
    (tmp_path / "own" / "dinov2-base").mkdir(parents=True)
    with pytest.raises(MetricUnavailable) as caught:
        open_metric("dino[fast]", context)
    words = str(caught.value)
    assert "The metric dino[fast] lacks weights" in words
    assert "facebook/dinov2-small/model.safetensors" in words
    assert str(tmp_path / "own" / "dinov2-base" / "model.safetensors") in words
    assert "sgpbench metrics fetch 'dino[fast]'" in words


def test_missing_packages_name_the_metric_and_the_command(
    context: MetricContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_installed", lambda package: package != "open_clip")
    with pytest.raises(
        MetricUnavailable, match=r"clip needs the Python packages open_clip.*pip install 'sgpbench\[metrics\]'"
    ):
        open_metric("clip", context)


@pytest.mark.parametrize(
    "text", ["validity[x]", "structure[x]", "clip[quick]", "siglip[fast]", "hps[fp16]", "dino[fast,fast]"]
)
def test_an_argument_that_means_nothing_is_a_usage_error(text: str, context: MetricContext) -> None:
    with pytest.raises(UsageError):
        open_metric(text, context)


def test_listing_and_refusing_import_nothing_heavy() -> None:
    program = (
        "import sys, pathlib\n"
        "from sgpbench.metrics.registry import metric_names, open_metric\n"
        "from sgpbench.metrics.interface import MetricContext\n"
        "from sgpbench.metrics.availability import why_unavailable\n"
        "from sgpbench.protocol import load_protocol\n"
        "[why_unavailable(name) for name in metric_names()]\n"
        "open_metric('validity', MetricContext(None, load_protocol('v1'), pathlib.Path('.')))\n"
        "print(sorted({'torch', 'cv2', 'transformers', 'open_clip', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_metrics_close(context: MetricContext) -> None:
    assert asyncio.run(open_metric("validity", context).aclose()) is None
