"""``sgpbench models``: what is known of each model, and how to ask for one that the catalog does not know."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.models.catalog import CatalogEntry

__all__ = ["app"]

app = group_app("List and show models.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
_WIDTH = 80
_LABEL = 16


@app.command("list")
def list_models(
    json: AsJson = False,
    sees: Annotated[bool, typer.Option("--sees", help="Only models that see: these can judge.")] = False,
) -> None:
    """The models of the catalog; any other is asked for as adapter/model-id."""
    from sgpbench.models.registry import adapter_names, known_models

    entries = [entry for entry in known_models() if entry.sees or not sees]
    if json:
        documents = [entry.model_dump(mode="json", exclude_none=True) for entry in entries]
        say_json({"models": documents, "adapters": adapter_names()})
        return
    say(f"{'model':<34}{'adapter':<11}{'size':>7}  {'weights':<8}{'sees':<6}$/M in, out")
    for entry in entries:
        size = f"{entry.parameters_b:g}B" if entry.parameters_b else "-"
        price = f"{entry.price.input:g}, {entry.price.output:g}" if entry.price else "-"
        seeing = "yes" if entry.sees else "-"
        say(f"{entry.name:<34}{entry.adapter:<11}{size:>7}  {entry.weights or '-':<8}{seeing:<6}{price}")
    listed = ", ".join(adapter_names())
    say(f"\n- is not known. Any other model: adapter/model-id, with an adapter of\n{listed}.")
    say("Facts and arguments of one: sgpbench models show NAME")


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of the catalog, or adapter/model-id.")],
    json: AsJson = False,
) -> None:
    """Everything the catalog knows of one model, and the arguments that it takes as --model-arg."""
    from sgpbench.models.registry import COMMON_ARGUMENTS, adapter_arguments, find_entry, resolve

    entry = find_entry(name)
    spec = resolve(name)
    own = adapter_arguments(name)
    if json:
        facts = (
            entry.model_dump(mode="json", exclude_none=True)
            if entry
            else {"adapter": spec.adapter, "id": spec.model_id}
        )
        say_json({**facts, "arguments": {**(own or {}), **COMMON_ARGUMENTS}})
        return
    if entry:
        say(f"{entry.name}  {entry.title}")
        _print_pairs(_facts(entry))
    else:
        say(f"{name}  not in the catalog; asked as {spec.model_id} of the adapter {spec.adapter}")
    say("\nArguments (--model-arg KEY=VALUE)")
    if own is None:
        say("  The adapter does not say which ones it takes beside these.")
    _print_pairs([*(own or {}).items(), *COMMON_ARGUMENTS.items()])


def _print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """``label  words``, wrapped; a long label has a line of its own."""
    for label, value in pairs:
        lines = textwrap.wrap(value, _WIDTH - _LABEL - 3, break_on_hyphens=False) or [""]
        if len(label) > _LABEL:
            say(f"  {label}")
            label = ""
        say(f"  {label:<{_LABEL}} {lines[0]}")
        for line in lines[1:]:
            say(f"{'':<{_LABEL + 3}}{line}")


def _facts(entry: CatalogEntry) -> list[tuple[str, str]]:
    """(label, words) of all that is known; what is not known is left out."""
    price = entry.price
    facts = {
        "asked as": f"{entry.adapter}/{entry.id}",
        "aliases": ", ".join(entry.aliases),
        "provider": entry.provider,
        "family": entry.family,
        "weights": entry.weights,
        "size": f"{entry.parameters_b:g} billion parameters" if entry.parameters_b else None,
        "licence": entry.licence,
        "released": str(entry.released) if entry.released else None,
        "retired": str(entry.retired) if entry.retired else None,
        "context": f"{entry.context_tokens:,} tokens" if entry.context_tokens else None,
        "output": f"at most {entry.max_output_tokens:,} tokens" if entry.max_output_tokens else None,
        "takes": ", ".join(entry.accepts) + (", pictures" if entry.sees else ""),
        "fixes": ", ".join(sorted(entry.fixed)),
        "price": f"${price.input:g} in, ${price.output:g} out per million tokens" if price else None,
        "price read": f"{price.as_of}, {price.source}" if price else None,
        "arguments": ", ".join(f"{key}={value}" for key, value in sorted(entry.args.items())),
        "in the paper": ", ".join(entry.reported_as),
        "homepage": entry.homepage,
        "note": entry.footnote,
    }
    return [(label, value) for label, value in facts.items() if value]
