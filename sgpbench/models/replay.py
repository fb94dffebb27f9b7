"""``replay/<path>``: answers from what was recorded before: a run directory, an evidence file, or a JSON Lines file.

For tests and demonstrations, and to score what others generated. A JSON Lines file has one object a line with
``prompt_id``, ``completion`` and, where they differ from 0 and ``stop``, ``sample`` and ``finish_reason``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from sgpbench.errors import ModelUnavailable
from sgpbench.models.interface import Concurrency, ModelSpec, Price, takes
from sgpbench.records import Completion, FinishReason, Json, Request, Usage

__all__ = ["Replay", "open_replay"]

_Recorded = tuple[str, int, Completion]


def _from_run(path: Path) -> Iterator[_Recorded]:
    database = sqlite3.connect(f"{(path / 'run.db').resolve().as_uri()}?mode=ro", uri=True)
    query = """SELECT prompt_id, sample, text, finish_reason, refusal, input_tokens, output_tokens, cached_tokens,
               reasoning_tokens, latency_s, served_by FROM completions WHERE final"""
    try:
        for prompt, sample, text, reason, refusal, *numbers, latency, served_by in database.execute(query):
            usage = Usage(*numbers)
            yield prompt, sample, Completion(text, FinishReason(reason), usage, latency, None, served_by, (), refusal)
    finally:
        database.close()


def _from_lines(path: Path) -> Iterator[_Recorded]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                reason = FinishReason(row.get("finish_reason", "stop"))
                yield str(row["prompt_id"]), int(row.get("sample", 0)), Completion(str(row["completion"]), reason)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ModelUnavailable(f"{path}, line {number}: {type(error).__name__}: {error}.") from None


def _from_evidence(path: Path) -> Iterator[_Recorded]:
    import pyarrow.parquet

    columns = ["prompt_id", "sample", "completion", "finish_reason"]
    for batch in pyarrow.parquet.ParquetFile(path).iter_batches(columns=columns):
        for row in batch.to_pylist():
            yield row["prompt_id"], row["sample"], Completion(row["completion"], FinishReason(row["finish_reason"]))


class Replay:
    """A model that repeats recorded completions; a sample that was not recorded is an error, never an empty answer."""

    accepts: frozenset[Literal["messages", "text"]] = frozenset({"messages", "text"})
    sees = False
    max_n = 64
    seeds = True
    concurrency = Concurrency(64, 64)
    price: Price | None = None
    device: str | None = None

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.endpoint = f"replay {path}"
        self._recorded = {(prompt, sample): completion for prompt, sample, completion in _read(path)}
        if not self._recorded:
            raise ModelUnavailable(f"{path} holds no completions.")
        digest = hashlib.sha256()
        for key in sorted(self._recorded):
            completion = self._recorded[key]
            digest.update(json.dumps([*key, completion.text, completion.finish_reason]).encode())
        self.identity: Mapping[str, Json] = {"adapter": "replay", "recorded": digest.hexdigest()[:32]}

    async def generate(self, request: Request) -> Sequence[Completion]:
        """The recorded completions of the samples asked for."""
        answers = []
        for sample in request.samples:
            completion = self._recorded.get((request.prompt_id, sample))
            if completion is None:
                raise ModelUnavailable(
                    f"{self.name} has no completion of sample {sample} of prompt '{request.prompt_id}'.",
                    remedy="Choose the recorded prompts with --prompt-ids, --limit or --samples.",
                )
            answers.append(completion)
        return answers

    async def aclose(self) -> None:
        """Nothing to end."""


def _read(path: Path) -> Iterator[_Recorded]:
    try:
        if (path / "run.db").is_file():
            yield from _from_run(path)
        elif path.suffix == ".parquet":
            yield from _from_evidence(path)
        else:
            yield from _from_lines(path)
    except (OSError, sqlite3.Error, UnicodeDecodeError, ValueError) as error:
        raise ModelUnavailable(
            f"{path} cannot be replayed: {error}.", remedy="Give a run directory, a .samples.parquet or a .jsonl file."
        ) from None


@takes({"name": "whose completions they are (default: the path)"})
def open_replay(spec: ModelSpec) -> Replay:
    """Opens ``replay/<path>``; ``--model-arg name=NAME`` says whose completions they are.

    Raises:
        ModelUnavailable: the path cannot be read, or holds no completions.
        UsageError: an unknown argument.
    """
    from sgpbench.errors import unknown_name

    for key in spec.args:
        if key != "name":
            raise unknown_name("argument of replay", key, ["name"], listing="sgpbench models show replay")
    return Replay(spec.args.get("name", spec.name), Path(spec.model_id))
