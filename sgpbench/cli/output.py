"""What ``run``, ``score`` and ``status`` print: one JSON document, or a table that fits a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sgpbench.run.estimate import RunEstimate
    from sgpbench.run.pipeline import Finished

__all__ = ["print_documents", "print_estimates", "print_runs", "writing_to"]

_Document = Mapping[str, Any]
_MOST_COLUMNS = 3


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """For what writes below ``--out``.

    Raises:
        SgpbenchError: instead of an ``OSError``, with the folder and the remedy.
    """
    from sgpbench.errors import SgpbenchError

    try:
        yield
    except OSError as error:
        # pyarrow gives no plain reason, and copying names the file it copies from.
        reason = os.strerror(error.errno) if error.errno else str(error).rstrip(".")
        raise SgpbenchError(
            f"{folder} cannot be written: {reason}.",
            remedy="Free some space, or choose another folder with --out.",
        ) from None


def print_runs(finished: Sequence[Finished], *, as_json: bool, interrupted: bool) -> int:
    """Prints how runs ended; returns the exit code."""
    from sgpbench.errors import StoreError
    from sgpbench.results.from_run import run_document

    documents = []
    for one in finished:
        if (one.folder / "run.db").exists():
            try:
                documents.append(run_document(one.folder))
            except StoreError:
                if one.error is None:
                    raise
    code = print_documents(documents, as_json=as_json)
    for one in finished:
        if one.error is not None:
            print(f"sgpbench: {one.identity.model} on {one.identity.task}: {one.error}", file=sys.stderr)
    if interrupted:
        print("Stopped. All that had arrived is stored; run the same command again to continue.", file=sys.stderr)
        return 130
    codes = [one.error.exit_code for one in finished if one.error is not None]
    return min(codes) if codes else code


def print_documents(documents: Sequence[_Document], *, as_json: bool) -> int:
    """Prints summaries; returns 3 where a run is incomplete, else 0."""
    incomplete = any(document["status"] == "incomplete" for document in documents)
    if as_json:
        print(json.dumps({"runs": documents}, ensure_ascii=False, allow_nan=False))
        return 3 if incomplete else 0
    from rich.console import Console

    console = Console(highlight=False)
    groups: dict[tuple[str, str, str], list[_Document]] = {}
    for document in documents:
        groups.setdefault((document["task"], document["protocol"], document["split"]), []).append(document)
    for (task, protocol, split), members in groups.items():
        _print_table(console, f"{task} · {protocol} · {split}", members)
        _print_remarks(console, members)
    return 3 if incomplete else 0


def _headline_columns(documents: Sequence[_Document]) -> list[str]:
    """The columns worth a place on a terminal: headlines first, then their parts, in the documents' order."""
    named = (name for document in documents for name in (*document["metrics"], *document["unfinished"]))
    names = list(dict.fromkeys(named))
    kept = [name for name in names if name != "validity" and not name.startswith("structure.")]
    kept.sort(key=lambda name: "." in name.partition("]")[2] or ("." in name and "[" not in name))
    return kept[:_MOST_COLUMNS]


def _print_table(console: Console, title: str, documents: Sequence[_Document]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1), header_style="dim")
    table.add_column("model", overflow="fold")
    table.add_column("n", justify="right")
    table.add_column("valid", justify="right", no_wrap=True)
    columns = _headline_columns(documents)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for document in documents:
        cells = [
            Text(document["model"]),
            Text(str(document["prompts"])),
            Text(_waiting(document, "validity") or _percent(document["metrics"].get("validity"))),
        ]
        cells += [Text(_waiting(document, name) or _interval(document["metrics"].get(name))) for name in columns]
        table.add_row(*cells)
    console.print(table)


def _waiting(document: _Document, column: str) -> str:
    """``270 of 300 judged`` where a column has no number yet, else nothing."""
    from sgpbench.results.unfinished import in_words

    unfinished = document["unfinished"].get(column)
    return in_words(unfinished) if unfinished else ""


def _percent(number: _Document | None) -> str:
    return "–" if number is None else f"{100 * number['mean']:.0f} %"


def _interval(number: _Document | None) -> str:
    if number is None:
        return "–"
    digits = 1 if abs(number["mean"]) >= 10 else 3
    if number["ci95"] is None:
        return f"{number['mean']:.{digits}f}"
    low, high = number["ci95"]
    return f"{number['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _print_remarks(console: Console, documents: Sequence[_Document]) -> None:
    shown = {"validity", *_headline_columns(documents)}
    for document in documents:
        outcomes = ", ".join(f"{count} {name}" for name, count in document["outcomes"].items())
        status = "" if document["status"] == "complete" else f" ({document['status']})"
        console.print(f"[dim]{_plain(document['model'])}{status}: {outcomes or 'nothing yet'}[/]", soft_wrap=True)
        if pending := document.get("pending"):
            waiting = [f"{count} {kind}" for kind, count in pending.items() if isinstance(count, int) and count]
            waiting += [f"{count} scores of {name}" for name, count in pending["scores"].items()]
            waiting += [f"{count} {outcome}" for outcome, count in pending["failures"].items()]
            console.print(
                f"  [yellow]incomplete: {_plain(', '.join(waiting))}; run it again to continue[/]", soft_wrap=True
            )
            for outcome, message in pending["last_failures"].items():
                console.print(f"  [dim]the last {_plain(outcome)}: {_plain(message)}[/]", soft_wrap=True)
        for name, unfinished in document["unfinished"].items():
            if name in shown and unfinished["bounds"]:
                low, high = unfinished["bounds"]
                bounds = f"{name}: no number yet; bounds {low:.3f} to {high:.3f}, whatever is still to come"
                console.print(f"  [dim]{_plain(bounds)}[/]", soft_wrap=True)
        cost = document["usage"].get("cost_usd")
        if cost:
            console.print(f"  [dim]cost ${cost:.4f}[/]")
        console.print(f"  [dim]{_plain(document['path'])}[/]", soft_wrap=True)
    skipped = {name: reason for document in documents for name, reason in document["skipped"].items()}
    scored = {name for document in documents for name in (*document["metrics"], *document["unfinished"])}
    for name, reason in skipped.items():
        if not name.startswith("structure.") and name.split(".")[0] not in scored:
            console.print(f"[yellow]{_plain(name)}[/]: {_plain(str(reason))}", soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def print_estimates(estimates: Sequence[RunEstimate], *, as_json: bool) -> None:
    """Prints what runs would ask and may cost."""
    if as_json:
        import dataclasses

        print(json.dumps({"estimates": [dataclasses.asdict(one) for one in estimates]}, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    total = 0.0
    known = True
    for one in estimates:
        console.print(f"[bold]{_plain(one.label)}[/]: {one.prompts} prompts × {one.samples} sample(s)")
        console.print(f"  {one.requests:,} requests still to make, about {one.input_tokens:,} tokens in")
        console.print(f"  and {one.output_tokens:,} out ({_plain(one.basis)})")
        costs = [one.cost_usd, one.judge_cost_usd]
        generation = "price not known" if one.cost_usd is None else f"about ${one.cost_usd:,.2f}"
        judging = ""
        if one.judge_requests:
            price = "price not known" if one.judge_cost_usd is None else f"about ${one.judge_cost_usd:,.2f}"
            judging = f"; judging: {one.judge_requests:,} requests, {price}"
        console.print(f"  cost: {generation}{judging}")
        known = known and all(cost is not None for cost in costs)
        total += sum(cost for cost in costs if cost is not None)
    if len(estimates) > 1:
        console.print(f"In all about ${total:,.2f}{'' if known else ', and what has no known price'}.")
