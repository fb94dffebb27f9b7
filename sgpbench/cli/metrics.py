"""``sgpbench metrics``: what metrics there are, which can be computed here, and how to get their weights."""

from __future__ import annotations

import asyncio
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.records import Json

__all__ = ["app"]

app = group_app("List and show metrics, and fetch their weights.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
_WIDTH = 80


@app.command("list")
def list_metrics(json: AsJson = False) -> None:
    """What metrics there are and which can be computed here. Loads none of them."""
    from sgpbench.metrics.registry import metric_names

    summaries = [_summary(name) for name in metric_names()]
    if json:
        say_json({"metrics": summaries})
        return
    say(f"{'metric':<11}{'here':<6}{'in brackets':<30}what")
    for one in summaries:
        here = "yes" if one["available"] else "no"
        say(f"{one['name']:<11}{here:<6}{one['arguments'] or '-':<30}{one['what']}")
    missing = [str(one["name"]) for one in summaries if not one["available"]]
    if missing:
        say(f"\nWhat is missing, and what to do: sgpbench metrics show {missing[0]}")


@app.command("show")
def show_metric(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A metric, with its argument if any: clip, clip[fast], vqa[blip-base]."),
    ],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="Decides columns and versions.")] = "v1",
    json: AsJson = False,
) -> None:
    """One metric: what it measures, its columns, its weights, and whether it can be computed here."""
    from sgpbench.errors import unknown_name
    from sgpbench.metrics.availability import needed_weights
    from sgpbench.metrics.registry import BUILT_IN, metric_names, parse

    bare, _ = parse(name)
    if bare not in metric_names() and ".py:" not in bare:
        raise unknown_name("metric", bare, metric_names(), listing="sgpbench metrics list")
    document: dict[str, Json] = {**_summary(bare), "name": name, "columns": None, "identity": None}
    document["weights"] = list(needed_weights(name)) if bare in BUILT_IN else []
    if _asks_a_model(name):
        document["missing"] = None
    else:
        document |= _opened(name, protocol)
    if json:
        say_json(document)
        return
    _print_one(document, about=BUILT_IN[bare].target if bare in BUILT_IN else None)


@app.command("fetch")
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Metrics whose weights are wanted: clip, 'clip[fast]', dino ..."),
    ],
) -> None:
    """Fetch the weights of metrics from the Hugging Face hub, at the pinned revisions, into its cache."""
    from sgpbench.metrics.availability import fetch_weights

    for name in names:
        files = fetch_weights(name, lambda line: say(line, err=True))
        say(f"{name}: {files} files fetched" if files else f"{name}: nothing to fetch")


def _summary(name: str) -> dict[str, Json]:
    from sgpbench.metrics.availability import why_unavailable
    from sgpbench.metrics.registry import BUILT_IN

    if name not in BUILT_IN:
        return {"name": name, "available": True, "arguments": "", "what": "a plugin", "weights": [], "missing": None}
    built_in = BUILT_IN[name]
    error = why_unavailable(name)
    return {
        "name": name,
        "version": built_in.version,
        "available": error is None,
        "arguments": ", ".join(built_in.arguments),
        "what": built_in.summary,
        "weights": list(built_in.weights),
        "missing": str(error) if error else None,
    }


def _asks_a_model(name: str) -> bool:
    """Whether a model answers, which cannot be opened for a look."""
    from sgpbench.metrics.registry import parse
    from sgpbench.metrics.vqa_blip import BLIP_NAMES

    bare, argument = parse(name)
    return bare == "judge" or (bare == "vqa" and argument is not None and argument not in BLIP_NAMES)


def _opened(name: str, protocol: str) -> dict[str, Json]:
    """What only the metric itself can say."""
    from sgpbench.errors import MetricUnavailable
    from sgpbench.metrics.interface import MetricContext
    from sgpbench.metrics.registry import open_metric
    from sgpbench.paths import cache_dir
    from sgpbench.protocol import load_protocol

    try:
        metric = open_metric(name, MetricContext(None, load_protocol(protocol), cache_dir()))
    except MetricUnavailable as error:
        return {"available": False, "missing": str(error)}
    columns: list[Json] = [
        {"name": one.name, "higher_is_better": one.higher_is_better, "description": one.description}
        for one in metric.columns
    ]
    asyncio.run(metric.aclose())
    return {"available": True, "missing": None, "columns": columns, "identity": metric.identity}


def _print_one(document: dict[str, Json], *, about: str | None) -> None:
    say(f"{document['name']}: {document['what']}")
    if about is not None:
        say()
        say(_documentation(about))
    if document["arguments"]:
        say(f"\nIn brackets: {document['arguments']}")
    weights = document["weights"]
    if isinstance(weights, list) and weights:
        from sgpbench.metrics.weights import WEIGHTS

        say("\nWeights:")
        for name in weights:
            source = WEIGHTS[str(name)]
            say(f"  {source.name:<26}{source.repository}")
    columns = document["columns"]
    if isinstance(columns, list):
        say("\nColumns:")
        for column in columns:
            line = f"{column['name']}: {column['description']}"
            say(textwrap.fill(line, _WIDTH, initial_indent="  ", subsequent_indent="      "))
    verdict = f"Not here: {document['missing']}" if document["missing"] else "Can be computed here."
    if _asks_a_model(str(document["name"])):
        verdict = "A model answers: one that sees, of `sgpbench models list`."
    say()
    say(textwrap.fill(verdict, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _documentation(target: str) -> str:
    """The metric's own words: the docstring of its module."""
    import importlib

    words = importlib.import_module(target.partition(":")[0]).__doc__ or ""
    return "\n\n".join(textwrap.fill(part, _WIDTH, break_on_hyphens=False) for part in words.strip().split("\n\n"))
