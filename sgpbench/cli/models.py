"""``sgpbench models``: what is known of each model, and how to ask for one that the catalog does not know."""

from __future__ import annotations

import textwrap
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


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of the catalog.")], json: AsJson = False
) -> None:
    """Everything the catalog knows of one model."""
    from sgpbench.errors import unknown_name
    from sgpbench.models.registry import find_entry, known_models

    entry = find_entry(name)
    if entry is None:
        raise unknown_name("model", name, [known.name for known in known_models()], listing="sgpbench models list")
    if json:
        say_json(entry.model_dump(mode="json", exclude_none=True))
        return
    say(f"{entry.name}  {entry.title}")
    for label, value in _facts(entry):
        lines = textwrap.wrap(value, _WIDTH - 16, break_on_hyphens=False) or [""]
        say(f"  {label:<13} {lines[0]}")
        for line in lines[1:]:
            say(f"{'':<16}{line}")


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
