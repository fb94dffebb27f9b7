"""``sgpbench tasks``: what tasks there are, and what each is made of and needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.data.store import DataStore
    from sgpbench.records import Json
    from sgpbench.tasks.census import Census
    from sgpbench.tasks.info import TaskInfo

__all__ = ["app"]

app = group_app("List and show tasks.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


@app.command("list")
def list_tasks(json: AsJson = False) -> None:
    """What tasks there are; broken plugins are named with their error."""
    from sgpbench.tasks.registry import task_infos

    infos, broken = task_infos()
    if json:
        tasks: list[Json] = [info.model_dump(mode="json") for info in infos]
        say_json({"tasks": tasks, "broken": [str(error) for error in broken]}, indent=1)
        return
    say(f"{'task':<12}{'ranked by':<12}{'splits':<22}what")
    for info in infos:
        say(f"{info.name:<12}{info.headline:<12}{', '.join(info.splits):<22}{info.title}")
    for error in broken:
        say(f"broken: {error}")
    say("\nMore of one: `sgpbench tasks show NAME`")


@app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A task's name, or the path of a task's folder.")],
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which prompts to count. [default: the ranked split]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="For generated splits.")] = 0,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where data sets are looked for first.")
    ] = None,
    json: AsJson = False,
) -> None:
    """What a task is made of: prompts by category, clusters, metrics, and which data is here."""
    import textwrap

    from sgpbench.data import DataStore
    from sgpbench.errors import DataError
    from sgpbench.paths import data_dirs
    from sgpbench.tasks.census import take_census
    from sgpbench.tasks.registry import load_task, load_task_info

    task, info = load_task(name), load_task_info(name)
    store = DataStore(data_dirs(data_dir))
    wanted = split or info.splits[0]
    census, missing = None, None
    try:
        census = take_census(task.prompts(store, wanted, seed))
    except DataError as error:
        missing = str(error)
    needs = [_need(dataset, store, required=True) for dataset in info.data]
    needs += [_need(dataset, store, required=False) for dataset in info.optional_data]
    if json:
        document: dict[str, Json] = {**info.model_dump(mode="json"), "split": wanted, "error": missing}
        say_json({**document, "needs": needs, "counts": census.as_json() if census else None}, indent=1)
        return
    _print_info(info, wanted)
    if census:
        _print_census(census)
    if missing:
        say()
        say(textwrap.fill(missing, 80, break_long_words=False, break_on_hyphens=False))
    _print_needs(needs)


def _need(dataset: str, store: DataStore, *, required: bool) -> dict[str, Json]:
    """Whether a data set is here, and the command that fetches it."""
    from sgpbench.data import load_manifest

    derived = load_manifest(dataset, store.manifests).derived
    known = derived is None or store.find(derived.dataset, derived.file) is not None
    states = store.states(dataset) if known else []
    here = sum(state.state in ("verified", "unlocked") for state in states)
    files = len(states) if known else (derived.count if derived else 0)
    return {
        "dataset": dataset,
        "required": required,
        "files": files,
        "here": here,
        "damaged": sum(state.state == "damaged" for state in states),
        "command": f"sgpbench data fetch {dataset}",
    }


def _print_info(info: TaskInfo, split: str) -> None:
    import textwrap

    from sgpbench.metrics.registry import BUILT_IN

    say(f"{info.name}  {info.title}, version {info.version}")
    say(textwrap.fill(info.description, 80))
    say(textwrap.fill(info.licence, 80, initial_indent="Licence: ", subsequent_indent="  "))
    say(f"\nSplits: {', '.join(info.splits)} (counted here: {split})\nMetrics")
    for metric in info.metrics:
        summary = BUILT_IN[metric].summary if metric in BUILT_IN else ""
        ranked = " (ranked)" if metric == info.headline else ""
        say(f"  {metric:<12}{summary}{ranked}")


def _print_census(census: Census) -> None:
    say(f"\n{'Prompts by category':<40}{'prompts':>10}{'clusters':>10}")
    for name, count in census.categories.items():
        say(f"  {name:<38}{count.prompts:>10,}{count.clusters:>10,}")
    say(f"  {'all':<38}{census.prompts:>10,}{census.clusters:>10,}")
    if census.questions:
        say(f"Questions: {census.questions:,}, about {census.with_questions:,} prompts")
    if census.references or census.missing_references:
        say(f"References: {census.references:,} here, {census.missing_references:,} missing")


def _print_needs(needs: Sequence[dict[str, Json]]) -> None:
    if not needs:
        say("\nNeeds no data.")
        return
    say("\nData")
    for need in needs:
        if need["here"] == need["files"]:
            say(f"  {need['dataset']:<28}here")
            continue
        optional = "" if need["required"] else " (some metrics need it)"
        say(f"  {need['dataset']:<28}{need['here']} of {need['files']} files{optional}")
        say(f"  {'':<28}`{need['command']}`")
