"""``sgpbench data``: what data sets there are, which are here, and how to get the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sgpbench.cli.apps import group_app
from sgpbench.terminal import say, say_json

if TYPE_CHECKING:
    from sgpbench.data.fetch import FileResult
    from sgpbench.data.manifest import Manifest
    from sgpbench.data.store import DataStore, FileState
    from sgpbench.records import Json
    from sgpbench.results.drift import Drift

__all__ = ["app"]

app = group_app("List, fetch and verify data sets.")

DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Where files are looked for first, and fetched to. [default: the user's cache]"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


@app.command("list")
def list_data(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A data set, to see its files.")] = None,
    data_dir: DataDir = None,
    addresses: Annotated[
        bool, typer.Option("--addresses", help="Print address and destination of every missing file, tab-separated.")
    ] = False,
    json: AsJson = False,
) -> None:
    """What data sets there are and which of their files are here. Looks at no hash twice."""
    from sgpbench.data import dataset_names, load_manifest

    store = _store(data_dir)
    manifests = [load_manifest(each) for each in ([name] if name else dataset_names())]
    if addresses:
        for manifest in manifests:
            for address, path in _by_hand(manifest.name, store):
                say(f"{address}\t{path}")
    elif json:
        say_json({"datasets": [_summary(manifest, store) for manifest in manifests]}, indent=1)
    elif name:
        _print_one(manifests[0], store)
    else:
        say(f"{'data set':<26}{'here':<22}{'licence'}")
        for manifest in manifests:
            say(f"{manifest.name:<26}{_state_text(manifest.name, store):<22}{manifest.licence.name}")
        say("\nLooked for in, in this order:")
        for folder in store.folders:
            say(f"  {folder}")


@app.command("fetch")
def fetch_data(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Data sets; all of them if none is named.")
    ] = None,
    data_dir: DataDir = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept non-commercial licences without being asked.")
    ] = False,
    connections: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Files fetched side by side.")] = 8,
    json: AsJson = False,
) -> None:
    """Fetch what is missing. Run it again to continue where it was cut; what is here is not fetched again."""
    from sgpbench.cli.data_progress import progress_for_stderr
    from sgpbench.data import dataset_names, load_manifest
    from sgpbench.data.download import Hosts, Policy
    from sgpbench.data.fetch import fetch, with_needed

    store = _store(data_dir)
    for name in names or ():
        load_manifest(name)
    policy = Policy(connections=connections)
    hosts = Hosts(policy.host_failures)
    results: list[FileResult] = []
    declined: list[str] = []
    for name in with_needed(names or dataset_names(), store):
        if not _licence_accepted(load_manifest(name), store, accept_licence):
            declined.append(name)
            continue
        if (unlisted := _unlisted(name, store)) is not None:
            found = [unlisted]
        else:
            progress = progress_for_stderr()
            try:
                found = fetch(name, store, progress, policy=policy, hosts=hosts)
            finally:
                progress.close()
        results += found
        if not json:
            _print_fetched(name, found)
    if json:
        say_json({"files": [_result(result) for result in results], "declined": list(declined)}, indent=1)
    if declined or any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


@app.command("verify")
def verify_data(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A data set; every one that is here if none is named.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Hash every file again and hold it against its manifest or its lock. Leaves with 1 if one is damaged."""
    from sgpbench.data import dataset_names

    store = _store(data_dir)
    bad = False
    documents: list[Json] = []
    for each in [name] if name else dataset_names():
        states = _states(each, store, fresh=True)
        damaged = [state for state in states or [] if state.state == "damaged"]
        bad |= bool(damaged) or (name is not None and (states is None or any(s.state == "missing" for s in states)))
        documents.append({"name": each, "files": [_file(state) for state in states or []]})
        if not json:
            say(f"{each:<26}{_counts_text(states)}")
            for state in damaged:
                say(f"  {state.path}\n    SHA-256  {state.found}\n    expected {state.expected}")
            if damaged:
                say(f"  Remove {'it' if len(damaged) == 1 else 'them'}, then run `sgpbench data fetch {each}`.")
    if json:
        say_json({"datasets": documents}, indent=1)
    if bad:
        raise typer.Exit(1)


@app.command("drift")
def drift_data(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT…", help="Result files; their evidence lies beside them.")
    ],
    data_dir: DataDir = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep what is drawn here, to compare with it later.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What an earlier --keep kept: compare pixels with it.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Draw the stored programs of results again, and say what moves under the versions installed now.

    No model is asked. Compared are programs, outcomes and the scores that need no weights; pixels are not published, so
    compare them with --keep in one environment and --against in the other. Leaves with 1 if anything moved.
    """
    import tempfile
    from dataclasses import asdict

    from sgpbench.results.drift import drift
    from sgpbench.results.validate import result_files
    from sgpbench.run.options import RunOptions

    moved = False
    documents: list[Json] = []
    with tempfile.TemporaryDirectory(prefix="sgpbench-drift-") as scratch:
        options = RunOptions(runs_dir=keep or Path(scratch), data_dir=data_dir, command="sgpbench data drift")
        for path in result_files(results):
            found = drift(path, options, against=against)
            moved |= found.moved
            if json:
                documents.append({**asdict(found), "path": str(path), "moved": found.moved})
            else:
                _print_drift(found)
    if json:
        say_json({"results": documents}, indent=1)
    if moved:
        raise typer.Exit(1)


def _print_drift(found: Drift) -> None:
    parser = found.renderer.get("parser")
    versions = {"renderer": found.renderer.get("engine"), **(parser if isinstance(parser, dict) else {})}
    say(f"{found.path}: {found.samples} samples drawn again ({', '.join(f'{k} {v}' for k, v in versions.items())})")
    say(f"  programs extracted differently   {found.programs}")
    say(f"  other outcomes                   {sum(found.outcomes.values())}")
    for words, number in found.outcomes.items():
        say(f"    {words:<31}{number}")
    if found.pixels is not None:
        pixels = found.pixels
        say(f"  drawings with other pixels       {pixels.moved} of {pixels.of}")
        if pixels.moved:
            say(f"    {pixels.share:.2%} of their pixels, by up to {pixels.largest} of 255")
    still = [name for name, column in found.columns.items() if not column.moved]
    for name, column in found.columns.items():
        if column.moved:
            say(
                f"  {name}: {column.moved} of {column.of} scores, by up to {column.largest:g}; mean {column.mean_by:+.6g}"
            )
    say(f"  columns that did not move        {len(still)} of {len(found.columns)}")


def _store(data_dir: Path | None) -> DataStore:
    from sgpbench.data import DataStore
    from sgpbench.paths import data_dirs

    return DataStore(data_dirs(data_dir))


def _states(name: str, store: DataStore, *, fresh: bool = False) -> list[FileState] | None:
    """What is here of a data set; ``None`` where its list of files is not known yet."""
    from sgpbench.data import load_manifest

    derived = load_manifest(name).derived
    if derived is not None and store.find(derived.dataset, derived.file) is None:
        return None
    return store.states(name, fresh=fresh)


def _unlisted(name: str, store: DataStore) -> FileResult | None:
    """The failure of a data set whose list of files is in another one that is not here; else ``None``."""
    from sgpbench.data import load_manifest
    from sgpbench.data.fetch import FileResult

    derived = load_manifest(name).derived
    if derived is None or store.find(derived.dataset, derived.file) is not None:
        return None
    reason = f"the list of these files is in {derived.file} of {derived.dataset}, which is not here"
    path = store.folders[0] / name / derived.name
    return FileResult(name, derived.name, "failed", path, reason=reason, addresses=derived.addresses)


def _counts_text(states: Sequence[FileState] | None) -> str:
    """``verified``, ``3 verified, 1 damaged`` or ``missing``."""
    if states is None or all(state.state == "missing" for state in states):
        return "missing"
    counts = {kind: sum(state.state == kind for state in states) for kind in _STATES}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


_STATES = ("verified", "unlocked", "damaged", "missing")


def _state_text(name: str, store: DataStore) -> str:
    states = _states(name, store)
    if states and all(state.state in ("verified", "unlocked") for state in states):
        return "yes"
    return "no" if (text := _counts_text(states)) == "missing" else text


def _print_one(manifest: Manifest, store: DataStore) -> None:
    import textwrap

    def fact(label: str, text: str) -> None:
        indent = " " * 12
        say(textwrap.fill(text, 80, initial_indent=f"{label:<12}", subsequent_indent=indent, break_long_words=False))

    fact("name", manifest.name)
    fact("title", manifest.title)
    fact("what", manifest.description)
    fact("source", manifest.source)
    fact("selected", manifest.selection)
    fact("licence", manifest.licence.name + (f" ({manifest.licence.address})" if manifest.licence.address else ""))
    if manifest.licence.non_commercial:
        fact("", "Not for commercial use.")
    states = _states(manifest.name, store)
    fact("here", _counts_text(states))
    for state in (states or [])[:12]:
        say(f"  {state.state:<10}{state.path or state.name}")
    if states and len(states) > 12:
        say(f"  ... and {len(states) - 12} more")
    if states is None or any(state.state == "missing" for state in states):
        say(f"\nRun `sgpbench data fetch {manifest.name}`, or put the files by hand into\n")
        say(f"  {store.folders[0] / manifest.name}\n")
        say(f"from the addresses that `sgpbench data list {manifest.name} --addresses` prints.")


def _by_hand(name: str, store: DataStore) -> list[tuple[str, Path]]:
    """Where each missing file can be had, and where it belongs."""
    from sgpbench.data.fetch import missing_files
    from sgpbench.data.hub import hub_address

    pairs = []
    for file in missing_files(name, store):
        target = store.folders[0] / name / (file.archive.name if file.archive else file.name)
        pairs.append((hub_address(file.hub) if file.hub else file.addresses[0], target))
    return pairs


def _licence_accepted(manifest: Manifest, store: DataStore, accepted: bool) -> bool:
    """Shows a non-commercial licence before the first fetch, and asks for it where somebody can answer."""
    if not manifest.licence.non_commercial or not (missing := _missing_count(manifest.name, store)):
        return True
    files = "a file" if missing == 1 else f"{missing} files"
    say(
        f"{manifest.title}: {files} under {manifest.licence.name} ({manifest.licence.address}), of {manifest.homepage}.\n"
        "They may not be used commercially.",
        err=True,
    )
    if accepted:
        return True
    if _somebody_is_there():
        return typer.confirm("Fetch under this licence?", err=True)
    say(f"Not fetched. Run `sgpbench data fetch {manifest.name} --accept-licence` to accept it.", err=True)
    return False


def _somebody_is_there() -> bool:
    """Whether a question on the terminal would be seen and could be answered."""
    import sys

    return sys.stdin.isatty() and sys.stderr.isatty()


def _missing_count(name: str, store: DataStore) -> int:
    from sgpbench.data.fetch import missing_files

    return len(missing_files(name, store))


def _print_fetched(name: str, results: Sequence[FileResult]) -> None:
    from sgpbench.cli.data_progress import size_text

    fetched = [result for result in results if result.outcome == "fetched"]
    failed = [result for result in results if result.outcome == "failed"]
    present = len(results) - len(fetched) - len(failed)
    words = [f"{len(fetched)} fetched ({size_text(sum(r.bytes for r in fetched))})" if fetched else ""]
    words += [f"{present} here already" if present else "", f"{len(failed)} failed" if failed else ""]
    say(f"{name}: {', '.join(filter(None, words))}")
    for result in failed[:3]:
        say(f"  {result.name}: {result.reason}")
        for address in result.addresses:
            say(f"    {address}")
        say(f"    belongs at {result.path}")
    if len(failed) > 3:
        say(f"  ... and {len(failed) - 3} more; `sgpbench data list {name} --addresses` prints them all.")
    if failed and all(result.unreachable for result in failed):
        say(
            "  No host could be reached. Fetch the files elsewhere and put them at these places; they are checked there."
        )


def _summary(manifest: Manifest, store: DataStore) -> Json:
    states = _states(manifest.name, store)
    return {
        "name": manifest.name,
        "title": manifest.title,
        "licence": manifest.licence.name,
        "non_commercial": manifest.licence.non_commercial,
        "files": None if states is None else [_file(state) for state in states],
        "command": f"sgpbench data fetch {manifest.name}",
    }


def _file(state: FileState) -> Json:
    return {
        "name": state.name,
        "state": state.state,
        "path": str(state.path) if state.path else None,
        "sha256": state.found,
        "expected": state.expected,
    }


def _result(result: FileResult) -> Json:
    return {
        "dataset": result.dataset,
        "name": result.name,
        "outcome": result.outcome,
        "path": str(result.path),
        "bytes": result.bytes,
        "reason": result.reason,
        "addresses": list(result.addresses),
    }
