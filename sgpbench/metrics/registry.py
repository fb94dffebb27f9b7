"""Finds metrics by name: the built-in ones, those of installed packages, and files given by path.

Nothing here imports a metric before it is opened, so that listing them needs no torch and takes no time.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

from sgpbench.errors import PluginError, ProtocolError, SgpbenchError, UsageError, unknown_name
from sgpbench.metrics.interface import Metric, MetricContext, MetricFactory

__all__ = ["BUILT_IN", "BuiltIn", "check_name", "metric_names", "open_metric", "parse"]

GROUP = "sgpbench.metrics"

_NAME = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<argument>[^\[\]]+)\])?")
_FILE = re.compile(r"(?P<path>.+\.py):(?P<factory>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A metric that comes with the package."""

    name: str
    target: str
    """``module:function`` of its factory."""
    version: str
    """What the code implements; a protocol pins one and the two must agree."""
    summary: str
    """One line for ``sgpbench metrics list``."""
    arguments: tuple[str, ...] = ()
    """What may stand in brackets; ``MODEL`` is any model's name."""
    weights: tuple[str, ...] = ()
    """Names in ``weights.WEIGHTS`` of what it needs when no argument is given."""


_DINOV2 = ("dinov2-small", "dinov2-base", "dinov2-large", "dinov2-giant")

_BUILT_IN = (
    BuiltIn("validity", "sgpbench.metrics.validity:open_validity", "1", "share of samples with a drawing"),
    BuiltIn("structure", "sgpbench.metrics.structure:open_structure", "1", "how the programs are built"),
    BuiltIn("shapes", "sgpbench.metrics.shapes:open_shapes", "1", "constraints met, from pixels"),
    BuiltIn("edit", "sgpbench.metrics.edit.metric:open_edit", "1", "repairs done, the rest left alone"),
    BuiltIn(
        "clip",
        "sgpbench.metrics.clip:open_clip",
        "1",
        "caption and drawing, by CLIP",
        ("fast", "bf16"),
        ("clip-vit-b-32", "clip-vit-l-14"),
    ),
    BuiltIn(
        "siglip",
        "sgpbench.metrics.siglip:open_siglip",
        "1",
        "caption and drawing, by SigLIP",
        ("bf16",),
        ("siglip-base-patch16-384", "siglip-large-patch16-384"),
    ),
    BuiltIn(
        "dino", "sgpbench.metrics.dino:open_dino", "2", "drawing and reference, by DINOv2", ("fast", "bf16"), _DINOV2
    ),
    BuiltIn("hps", "sgpbench.metrics.hps:open_hps", "1", "human preference, by HPSv2.1", ("bf16",), ("hps-v2.1",)),
    BuiltIn(
        "vqa",
        "sgpbench.metrics.vqa:open_vqa",
        "1",
        "questions about the drawing",
        ("blip-large", "blip-base", "MODEL"),
        ("blip-large", "all-mpnet-base-v2"),
    ),
    BuiltIn(
        "diversity",
        "sgpbench.metrics.diversity:open_diversity",
        "2",
        "how a prompt's drawings differ",
        ("fast", "bf16"),
        _DINOV2,
    ),
    BuiltIn("judge", "sgpbench.metrics.judge:open_judge", "1", "rubrics, by a model that sees", ("MODEL",)),
)
BUILT_IN = {built_in.name: built_in for built_in in _BUILT_IN}


def parse(text: str) -> tuple[str, str | None]:
    """``"clip[fast]"`` as ``("clip", "fast")`` and ``"clip"`` as ``("clip", None)``.

    Raises:
        UsageError: not of that form.
    """
    match = _NAME.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"'{text}' is not a metric: write NAME or NAME[ARGUMENT].", remedy="See `sgpbench metrics list`."
        )
    return match["name"], match["argument"]


def metric_names() -> list[str]:
    """The names of all metrics that can be asked for, built-in ones first, then those of installed packages."""
    further = {entry.name for entry in entry_points(group=GROUP)} - BUILT_IN.keys()
    return [*BUILT_IN, *sorted(further)]


def check_name(text: str) -> None:
    """Loads nothing.

    Raises:
        UsageError: there is no metric of that name.
    """
    name, _ = parse(text)
    if name not in metric_names() and not _FILE.fullmatch(name):
        raise unknown_name("metric", name, metric_names(), listing="sgpbench metrics list")


def open_metric(text: str, context: MetricContext) -> Metric:
    """The metric that ``text`` names, ready to score; ``context.argument`` is replaced by what stands in brackets.

    ``text`` is a built-in name, the name of an installed plugin (entry point group ``sgpbench.metrics``), or a function
    in a file: ``./my_metric.py:open_mine``.

    Raises:
        UsageError: there is no such metric.
        ProtocolError: the protocol pins another version of it than this code implements.
        PluginError: a plugin does not load; the message holds its name and its own error.
        MetricUnavailable: it lacks weights, a package or a judge here.
    """
    name, argument = parse(text)
    context = dataclasses.replace(context, argument=argument)
    if name in BUILT_IN:
        _check_version(name, context)
        return _call(_load(BUILT_IN[name].target, name), name, context)
    if found := _FILE.fullmatch(name):
        return _call(_from_file(Path(found["path"]), found["factory"]), name, context)
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            metric = _call(_from_entry_point(entry), name, context)
            _check_plugin_version(name, metric, context)
            return metric
    raise unknown_name("metric", name, metric_names(), listing="sgpbench metrics list")


def _check_version(name: str, context: MetricContext) -> None:
    pinned = context.protocol.scoring.metrics.get(name)
    implemented = BUILT_IN[name].version
    if pinned is not None and pinned != implemented:
        raise ProtocolError(
            f"The protocol '{context.protocol.name}' pins version {pinned} of the metric {name}; "
            f"this sgpbench implements version {implemented}.",
            remedy="Install the sgpbench release that the protocol was made for.",
        )


def _check_plugin_version(name: str, metric: Metric, context: MetricContext) -> None:
    pinned = context.protocol.scoring.metrics.get(name)
    if pinned is not None and pinned != metric.version:
        raise ProtocolError(
            f"The protocol '{context.protocol.name}' pins version {pinned} of the metric {name}; "
            f"the installed plugin implements version {metric.version}."
        )


def _load(target: str, name: str) -> MetricFactory:
    module, _, function = target.partition(":")
    try:
        return cast("MetricFactory", getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(f"The metric {name} cannot be loaded: {type(error).__name__}: {error}.") from error


def _from_entry_point(entry: EntryPoint) -> MetricFactory:
    try:
        return cast("MetricFactory", entry.load())
    except Exception as error:
        # A plugin's import may raise anything, and must only harm itself.
        raise PluginError(f"The metric plugin {entry.name} ({entry.value}) cannot be loaded: {_said(error)}") from error


def _from_file(path: Path, function: str) -> MetricFactory:
    if not path.is_file():
        raise UsageError(f"There is no metric file {path}.", remedy="Give it as ./my_metric.py:function.")
    try:
        module = _import_file(path)
    except Exception as error:
        raise PluginError(f"The metric file {path} cannot be loaded: {_said(error)}") from error
    if not hasattr(module, function):
        raise PluginError(f"The metric file {path} has no function {function}.")
    return cast("MetricFactory", getattr(module, function))


def _import_file(path: Path) -> ModuleType:
    name = f"sgpbench_metric_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a class's module up by name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _call(factory: MetricFactory, name: str, context: MetricContext) -> Metric:
    try:
        return factory(context)
    except SgpbenchError:
        raise
    except Exception as error:
        if name in BUILT_IN:
            raise
        raise PluginError(f"The metric plugin {name} cannot be opened: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
