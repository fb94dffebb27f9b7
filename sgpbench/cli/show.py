"""``sgpbench show``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import command_app
from sgpbench.terminal import console, one_line, say, say_json, styled

if TYPE_CHECKING:
    from sgpbench.run.samples import ShownSample

__all__ = ["app"]

app = command_app()


@app.command()
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")],
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="A prompt's id; without it, a contact sheet is written.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the contact sheet.  [default: in the run]")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Drawings on the contact sheet.")] = 40,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")] = False,
) -> None:
    """Show one prompt's program, outcome and scores; or write a contact sheet of the run as a PNG."""
    if prompt is None:
        _contact_sheet(run, out or run / "contact-sheet.png", count, as_json=json)
        return
    from sgpbench.run.samples import samples_of

    found = samples_of(run, prompt)
    if json:
        import dataclasses

        rows = [
            dataclasses.asdict(sample) | {"rendering": sample.rendering and str(sample.rendering)} for sample in found
        ]
        say_json({"samples": rows})
        return
    for sample in found:
        _print(sample)


def _print(sample: ShownSample) -> None:
    import json

    from rich.text import Text

    out = console(soft_wrap=True)
    head = f" sample {sample.sample}: {one_line(sample.caption)}"
    out.print(Text.assemble(styled(one_line(sample.prompt_id), "bold"), styled(head)))
    flags = f"  ({', '.join(sample.flags)})" if sample.flags else ""
    lines = [f"outcome  {sample.outcome}{flags}"]
    if sample.message:
        lines.append(f"because  {sample.message}")
    lines += [
        f"score    {name} = {value:g}" for name, value in sample.scores.items() if not name.startswith("structure.")
    ]
    lines += [
        f"evidence {name}: {json.dumps(evidence, ensure_ascii=False)}" for name, evidence in sample.evidence.items()
    ]
    if sample.rendering:
        lines.append(f"drawing  {sample.rendering}")
    lines.append("program" if sample.program else "completion (no program in it)")
    lines.append((sample.program or sample.completion).replace("\r\n", "\n"))
    say("\n".join(lines))
    say()


def _contact_sheet(run: Path, path: Path, count: int, *, as_json: bool) -> None:
    from sgpbench.run.contact_sheet import SheetItem, write_contact_sheet
    from sgpbench.run.identity import read_identity
    from sgpbench.run.samples import all_samples

    identity = read_identity(run)
    samples = list(all_samples(run))
    # Evenly over the run, so that every category is seen.
    step = max(1, len(samples) / count)
    chosen = [samples[int(index * step)] for index in range(min(count, len(samples)))]
    items = [
        SheetItem(
            f"{sample.prompt_id}: {sample.caption}" if len(samples) > 1 else sample.caption,
            sample.outcome,
            "  ".join(
                f"{name} {value:g}"
                for name, value in sample.scores.items()
                if name != "validity" and not name.startswith("structure.") and name.count(".") <= 1
            )[:40],
            sample.rendering,
        )
        for sample in chosen
    ]
    write_contact_sheet(items, f"{identity.model} on {identity.task} ({identity.protocol})", path)
    if as_json:
        say_json({"contact_sheet": str(path), "drawings": len(items)})
    else:
        say(f"{len(items)} drawings: {path}")
