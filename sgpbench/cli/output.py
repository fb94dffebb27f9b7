"""What ``run``, ``score`` and ``status`` print: one JSON document, or a table that fits a terminal."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpbench.terminal import console, one_line, say, say_json, styled

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    from sgpbench.paths import cache_error

    try:
        yield
    except OSError as error:
        if (of_cache := cache_error(error)) is not None:
            raise of_cache from None
        # pyarrow gives no plain reason, and copying names the file it copies from.
        reason = os.strerror(error.errno) if error.errno else str(error).rstrip(".")
        raise SgpbenchError(
            f"{folder} cannot be written: {reason}.",
            remedy="Free some space, or choose another folder with --out.",
        ) from None


def print_runs(
    finished: Sequence[Finished], *, as_json: bool, interrupted: bool, chosen: Mapping[Path, int] | None = None
) -> int:
    """Prints how runs ended, what went wrong first; returns the exit code.

    A run that an error ended before its time has no table (with a budget that is reached it has: that is no fault of the
    run). ``chosen`` holds the number of prompts that this command chose, where it chose any.
    """
    from sgpbench.errors import BudgetReached, StoreError
    from sgpbench.results.from_run import run_document

    broken = {str(one.folder) for one in finished if one.error and not isinstance(one.error, BudgetReached)}
    documents = []
    for one in finished:
        if (one.folder / "run.db").exists():
            try:
                document = run_document(one.folder)
            except StoreError:
                if one.error is None:
                    raise
                continue
            documents.append(document if chosen is None else document | {"chosen": chosen[one.folder]})
    for one in finished:
        if one.error is not None:
            say(f"sgpbench: {one.identity.model} on {one.identity.task}: {one.error}", err=True)
    if not as_json:
        for path in (document["path"] for document in documents if document["path"] in broken):
            if kept := _kept(Path(path)):
                say(f"{kept} With the cause mended, the same command goes on from there.", err=True)
        documents = [document for document in documents if document["path"] not in broken]
    code = print_documents(
        documents, as_json=as_json, ended_early=[str(one.folder) for one in finished if one.error is not None]
    )
    if interrupted:
        say("Stopped. All that had arrived is stored; run the same command again to continue.", err=True)
        return 130
    codes = [one.error.exit_code for one in finished if one.error is not None]
    return min(codes) if codes else code


def _kept(folder: Path) -> str:
    """What of a run's answers is stored, as a sentence; empty where there is none."""
    from sgpbench.run.status import run_status
    from sgpbench.run.store import RunView

    view = RunView(folder)
    try:
        status = run_status(view)
    finally:
        view.close()
    wanted = status.prompts * status.samples
    answered = wanted - status.pending_completions
    return f"{answered:,} of {wanted:,} answers are stored in {folder}." if answered else ""


def print_documents(documents: Sequence[_Document], *, as_json: bool, ended_early: Collection[str] = ()) -> int:
    """Prints summaries; returns 3 where a run is incomplete, else 0. Who reads of an error (``ended_early``, the paths of
    such runs) is not told to run it again.
    """
    incomplete = any(document["status"] == "incomplete" for document in documents)
    if as_json:
        say_json({"runs": documents})
        return 3 if incomplete else 0
    out = console()
    groups: dict[tuple[str, str, str], list[_Document]] = {}
    for document in documents:
        groups.setdefault((document["task"], document["protocol"], document["split"]), []).append(document)
    for (task, protocol, split), members in groups.items():
        if scored := [document for document in members if document["metrics"] or document["unfinished"]]:
            _print_table(out, f"{task} · {protocol} · {split}", scored)
        _print_remarks(out, members, ended_early)
    return 3 if incomplete else 0


def _headline_columns(documents: Sequence[_Document]) -> list[str]:
    """The columns worth a place on a terminal: headlines first, then their parts, in the documents' order."""
    named = (name for document in documents for name in (*document["metrics"], *document["unfinished"]))
    names = list(dict.fromkeys(named))
    kept = [name for name in names if name != "validity" and not name.startswith("structure.")]
    kept.sort(key=lambda name: "." in name.partition("]")[2] or ("." in name and "[" not in name))
    return kept[:_MOST_COLUMNS]


def _print_table(out: Console, title: str, documents: Sequence[_Document]) -> None:
    columns = _headline_columns(documents)
    table = _wide_table(columns, documents)
    if out.measure(table, options=out.options.update(width=10_000)).maximum > out.width:
        table = _tall_table(columns, documents)
    out.print(styled(title, "bold"))
    out.print(table)


def _wide_table(columns: Sequence[str], documents: Sequence[_Document]) -> Table:
    """A row per model."""
    table = _empty_table()
    for name in columns:
        table.add_column(styled(one_line(name)), justify="right", no_wrap=True)
    for document in documents:
        table.add_row(*_first_cells(document), *(styled(_number(document, name)) for name in columns))
    return table


def _tall_table(columns: Sequence[str], documents: Sequence[_Document]) -> Table:
    """A row per model and column: for names that leave no room for numbers beside each other."""
    table = _empty_table()
    table.add_column("column", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for document in documents:
        cells: Sequence[object] = _first_cells(document)
        for name in columns:
            table.add_row(*map(styled, cells), styled(one_line(name)), styled(_number(document, name)))
            cells = ["", "", ""]
    return table


def _empty_table() -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("model", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("valid", justify="right", no_wrap=True)
    return table


def _first_cells(document: _Document) -> list[str]:
    return [
        one_line(document["model"]),
        str(document["prompts"]),
        _waiting(document, "validity") or _percent(document["metrics"].get("validity")),
    ]


def _number(document: _Document, name: str) -> str:
    return _waiting(document, name) or _interval(document["metrics"].get(name))


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


def _print_remarks(out: Console, documents: Sequence[_Document], ended_early: Collection[str]) -> None:
    shown = {"validity", *_headline_columns(documents)}

    def remark(words: str, style: str = "dim") -> None:
        out.print(styled(words, style), soft_wrap=True)

    for document in documents:
        outcomes = ", ".join(f"{count} {name}" for name, count in document["outcomes"].items())
        status = "" if document["status"] == "complete" else f" ({document['status']})"
        remark(f"{one_line(document['model'])}{status}: {outcomes or 'nothing yet'}")
        if others := document.get("served_by_others"):
            remark(f"  the answers name another model than was asked for: {one_line(', '.join(others))}", "yellow")
        if (chosen := document.get("chosen", document["prompts"])) < document["prompts"]:
            remark(f"  over all {document['prompts']:,} prompts of this run; this command chose {chosen:,} of them")
        if pending := document.get("pending"):
            remark(f"  still to come: {', '.join(_still_to_come(pending))}", "yellow")
            for outcome, message in pending["last_failures"].items():
                remark(f"  the last {outcome}: {one_line(message)}")
            if document["path"] not in ended_early:
                remark("  Run it again to continue.", "yellow")
        for name, unfinished in document["unfinished"].items():
            if name in shown and unfinished["bounds"]:
                low, high = unfinished["bounds"]
                remark(f"  {name}: no number yet; bounds {low:.3f} to {high:.3f}, whatever is still to come")
        if cost := cost_in_words(document["usage"]):
            remark(f"  {cost}")
        remark(f"  {document['path']}")
    # Where there is no number at all, why single ones are missing says nothing.
    skipped = {
        name: reason for document in documents if document["metrics"] for name, reason in document["skipped"].items()
    }
    scored = {name for document in documents for name in (*document["metrics"], *document["unfinished"])}
    for name, reason in skipped.items():
        if not name.startswith("structure.") and name.split(".")[0] not in scored:
            remark(f"{name}: {reason}", "yellow")


def _still_to_come(pending: _Document) -> list[str]:
    """What a run still lacks, in words: ``1 completion``, ``3 scores of judge[gpt-5-mini]``, ``2 api_error``."""
    counted = [(pending["completions"], "completion"), (pending["renderings"], "rendering")]
    words = [f"{count:,} {kind}{'' if count == 1 else 's'}" for count, kind in counted if count]
    words += [f"{count:,} score{'' if count == 1 else 's'} of {name}" for name, count in pending["scores"].items()]
    return words + [f"{count:,} {outcome}" for outcome, count in pending["failures"].items()]


def cost_in_words(usage: Mapping[str, float | None]) -> str:
    """What a run has cost, judging included; empty where nothing is known to have cost anything."""
    generation, judging = usage.get("cost_usd") or 0.0, usage.get("judge_cost_usd") or 0.0
    if judging:
        return f"cost ${generation + judging:.4f} (generation ${generation:.4f}, judging ${judging:.4f})"
    return f"cost ${generation:.4f}" if generation else ""


def print_estimates(estimates: Sequence[RunEstimate], *, as_json: bool) -> None:
    """Prints what runs would ask and may cost."""
    if as_json:
        import dataclasses

        say_json({"estimates": [dataclasses.asdict(one) for one in estimates]})
        return
    total = 0.0
    known = True
    for one in estimates:
        say(f"{one_line(one.label)}: {one.prompts} prompts × {one.samples} sample{'' if one.samples == 1 else 's'}")
        say(f"  {one.requests:,} requests still to make, about {one.input_tokens:,} tokens in")
        say(f"  and {one.output_tokens:,} out ({one.basis})")
        costs = [one.cost_usd, one.judge_cost_usd]
        generation = "price not known" if one.cost_usd is None else f"about ${one.cost_usd:,.2f}"
        judging = ""
        if one.judge_requests:
            price = "price not known" if one.judge_cost_usd is None else f"about ${one.judge_cost_usd:,.2f}"
            judging = f"; judging: {one.judge_requests:,} requests, {price}"
        say(f"  cost: {generation}{judging}")
        known = known and all(cost is not None for cost in costs)
        total += sum(cost for cost in costs if cost is not None)
    if len(estimates) > 1 or any(one.judge_requests for one in estimates):
        say(f"In all about ${total:,.2f}{'' if known else ', and what has no known price'}.")
