"""What a run remembers: completions, renderings, scores and failures, each under what decides it.

``RunStore`` holds the writing side; every method that stores returns a future that is done once the change is committed.
``RunView`` reads: a run in progress, or one that nobody works on.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sgpbench.metrics.interface import Metric
from sgpbench.protocol import canonical_hash
from sgpbench.records import Column, Completion, Failure, Flag, Json, Outcome, Prompt, Score
from sgpbench.run.database import Database, open_reader
from sgpbench.svg.sandbox import Rendered

__all__ = [
    "RunStore",
    "RunView",
    "StoredSample",
    "group_key",
    "picture_path",
    "render_path",
    "rendering_key",
    "score_key",
    "text_free_path",
]


def rendering_key(program_hash: str, renderer_hash: str) -> str:
    """Identity of a rendering: its program and all that decides its pixels. 32 hex digits."""
    return canonical_hash([program_hash, renderer_hash], 32)


def picture_path(folder: Path, name: str) -> Path:
    """Where the picture of that name lies."""
    return folder / "renders" / name[:2] / name


def render_path(folder: Path, key: str) -> Path:
    """Where a rendering's PNG lies."""
    return picture_path(folder, f"{key}.png")


def text_free_path(folder: Path, key: str) -> Path:
    """Where the PNG of the same program without its text lies."""
    return picture_path(folder, f"{key}.notext.png")


def score_key(rendering: str | None, outcome: Outcome, *, parsed: bool) -> str:
    """Under what a sample's score is kept: its rendering; where it has none, its outcome and whether its program parsed."""
    if rendering is not None and outcome is Outcome.OK:
        return rendering
    return f"outcome:{outcome}:parsed" if parsed else f"outcome:{outcome}"


def group_key(renderings: Iterable[str]) -> str:
    """Under what a metric of unit ``prompt`` keeps its score for a prompt's drawings together."""
    return "group:" + canonical_hash(sorted(renderings), 32)


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One sample as far as it has come; ``outcome`` is ``None`` while its program waits to be rendered."""

    row: int
    prompt_id: str
    sample: int
    outcome: Outcome | None
    finish_reason: str
    program_hash: str | None
    rendering: str | None
    program: str | None
    flags: frozenset[Flag]
    structure: Mapping[str, float]
    text_free: bool
    message: str | None


_SAMPLES = """
    SELECT c.id AS row, c.prompt_id, c.sample, c.finish_reason, c.program_hash, c.outcome AS extracted,
           r.hash AS rendering, r.outcome AS rendered, r.program, r.program IS NOT NULL AS parsed,
           r.flags, r.structure, r.text_free, r.message
    FROM completions c LEFT JOIN renderings r ON r.program_hash = c.program_hash AND r.renderer = :renderer
    WHERE c.final
"""


def _stored_sample(row: sqlite3.Row) -> StoredSample:
    extracted = Outcome(row["extracted"])
    outcome: Outcome | None = extracted
    if extracted is Outcome.OK:
        outcome = Outcome(row["rendered"]) if row["rendered"] else None
    return StoredSample(
        row=row["row"],
        prompt_id=row["prompt_id"],
        sample=row["sample"],
        outcome=outcome,
        finish_reason=row["finish_reason"],
        program_hash=row["program_hash"],
        rendering=row["rendering"],
        program=row["program"],
        flags=frozenset(map(Flag, json.loads(row["flags"] or "[]"))),
        structure=json.loads(row["structure"] or "{}"),
        text_free=bool(row["text_free"]),
        message=row["message"],
    )


class RunView:
    """Reads a run. One view belongs to one thread. ``trusted``: this process has checked the database already.

    Raises:
        StoreError: the folder holds no readable run, or one that is damaged.
    """

    def __init__(self, folder: Path, *, trusted: bool = False) -> None:
        self.folder = folder
        self._db = open_reader(folder, trusted=trusted)
        # A store that an older sgpbench wrote and nobody has continued yet.
        known = "SELECT 1 FROM sqlite_master WHERE name = 'pictures'"
        self._knows_pictures = self._db.execute(known).fetchone() is not None

    def close(self) -> None:
        """Ends the connection."""
        self._db.close()

    def setting(self, key: str) -> str | None:
        """A setting that was stored under ``key``."""
        row = self._db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def prompts(self) -> Iterator[sqlite3.Row]:
        """The prompts asked for so far, in their order: ``id, caption, category, cluster, traits``."""
        return iter(
            self._db.execute("SELECT id, caption, category, cluster, traits FROM prompts ORDER BY position, id")
        )

    def answered(self) -> set[tuple[str, int]]:
        """The samples that have their final completion."""
        return {(row[0], row[1]) for row in self._db.execute("SELECT prompt_id, sample FROM completions WHERE final")}

    def attempts(self) -> dict[tuple[str, int], int]:
        """How many tries were made of samples that have no final completion yet."""
        rows = self._db.execute(
            "SELECT prompt_id, sample, count(*) AS tries, max(final) AS final FROM completions GROUP BY 1, 2"
        )
        return {(row["prompt_id"], row["sample"]): row["tries"] for row in rows if not row["final"]}

    def samples(self, renderer: str, *, after: int = 0, limit: int = -1) -> list[StoredSample]:
        """Final samples in the order they arrived, with their renderings by the renderer of that hash."""
        query = f"{_SAMPLES} AND c.id > :after ORDER BY c.id LIMIT :limit"
        rows = self._db.execute(query, {"renderer": renderer, "after": after, "limit": limit})
        return [_stored_sample(row) for row in rows]

    def programs(self, *, after: int, limit: int) -> list[tuple[int, str, str]]:
        """(row, program hash, program) of final samples with a program, in the order they arrived."""
        query = """SELECT c.id, p.hash, p.svg FROM completions c JOIN programs p ON p.hash = c.program_hash
                   WHERE c.final AND c.id > ? ORDER BY c.id LIMIT ?"""
        return [(row[0], row[1], row[2]) for row in self._db.execute(query, (after, limit))]

    def rendered(self, key: str) -> Outcome | None:
        """The outcome of the rendering of that key, if there is one."""
        row = self._db.execute("SELECT outcome FROM renderings WHERE hash = ?", (key,)).fetchone()
        return Outcome(row[0]) if row else None

    def pictures(self, key: str) -> list[tuple[str, int | None, str | None]]:
        """(name, bytes, sha256) of each picture of a rendering; ``None`` for one drawn before these were kept."""
        query = """
            SELECT names.name, p.bytes, p.sha256 FROM (
                SELECT hash || '.png' AS name FROM renderings WHERE hash = :key AND outcome = 'ok'
                UNION SELECT hash || '.notext.png' FROM renderings WHERE hash = :key AND outcome = 'ok' AND text_free
            ) names LEFT JOIN pictures p ON p.name = names.name"""
        if not self._knows_pictures:
            query = query.replace("p.bytes, p.sha256", "NULL, NULL").partition("LEFT JOIN")[0]
        return [(row[0], row[1], row[2]) for row in self._db.execute(query, {"key": key})]

    def is_scored(self, metric: str, prompt_id: str, key: str) -> bool:
        """Whether a score by the metric of that hash is stored."""
        query = "SELECT 1 FROM scores WHERE metric = ? AND prompt_id = ? AND rendering = ?"
        return self._db.execute(query, (metric, prompt_id, key)).fetchone() is not None

    def unscored(self, metric: str, renderer: str) -> int:
        """How many samples with a valid drawing have no score by the metric of that hash."""
        query = """
            SELECT count(*) FROM completions c
            JOIN renderings r ON r.program_hash = c.program_hash AND r.renderer = ? AND r.outcome = 'ok'
            WHERE c.final AND NOT EXISTS (
                SELECT 1 FROM scores s WHERE s.metric = ? AND s.prompt_id = c.prompt_id AND s.rendering = r.hash)
        """
        return int(self._db.execute(query, (renderer, metric)).fetchone()[0])

    def scores(self, metric: str) -> Iterator[sqlite3.Row]:
        """``prompt_id, rendering, value, evidence`` of the metric of that hash; the last two are JSON."""
        query = "SELECT prompt_id, rendering, value, evidence FROM scores WHERE metric = ?"
        return iter(self._db.execute(query, (metric,)))

    def prompt_scores(self, metric: str, prompt_id: str) -> Iterator[tuple[str, str]]:
        """``(rendering, value)`` of one prompt's drawings; the latter is JSON."""
        query = "SELECT rendering, value FROM scores WHERE metric = ? AND prompt_id = ?"
        return ((row[0], row[1]) for row in self._db.execute(query, (metric, prompt_id)))

    def score(self, metric: str, prompt_id: str, key: str) -> tuple[str, str] | None:
        """The JSON of values and evidence of one score."""
        query = "SELECT value, evidence FROM scores WHERE metric = ? AND prompt_id = ? AND rendering = ?"
        row = self._db.execute(query, (metric, prompt_id, key)).fetchone()
        return (row[0], row[1]) if row else None

    def evidence_rows(self, renderer: str) -> Iterator[sqlite3.Row]:
        """Final samples sorted by prompt id and sample, with texts; one at a time, so that memory stays small."""
        query = f"""
            SELECT s.*, c.text AS completion, p.caption, p.category, p.cluster, c.input_tokens, c.output_tokens, c.cost_usd,
                   c.latency_s, c.served_by, c.dropped, g.svg
            FROM ({_SAMPLES}) s JOIN completions c ON c.id = s.row JOIN prompts p ON p.id = s.prompt_id
            LEFT JOIN programs g ON g.hash = s.program_hash ORDER BY s.prompt_id, s.sample
        """
        return iter(self._db.execute(query, {"renderer": renderer}))

    def light_rows(self, renderer: str) -> Iterator[sqlite3.Row]:
        """Final samples without their texts, sorted by prompt id and sample: what statistics need."""
        query = """
            SELECT c.prompt_id, c.sample, c.outcome AS extracted, r.hash AS rendering, r.outcome AS rendered, r.flags,
                   r.program IS NOT NULL AS parsed,
                   c.input_tokens, c.output_tokens, c.cost_usd, c.latency_s
            FROM completions c LEFT JOIN renderings r ON r.program_hash = c.program_hash AND r.renderer = :renderer
            WHERE c.final ORDER BY c.prompt_id, c.sample
        """
        return iter(self._db.execute(query, {"renderer": renderer}))

    def drawn(self, renderer: str) -> dict[str, list[str]]:
        """The renderings of valid drawings by prompt, for prompts that have one."""
        found: dict[str, list[str]] = {}
        for row in self.light_rows(renderer):
            if row["extracted"] == row["rendered"] == Outcome.OK:
                found.setdefault(row["prompt_id"], []).append(row["rendering"])
        return found

    def failures(self, stage: str | None = None) -> list[sqlite3.Row]:
        """What failed through no fault of the model and waits to be tried again."""
        query = "SELECT * FROM failures WHERE stage = coalesce(?, stage) ORDER BY stage, metric, prompt_id, sample"
        return self._db.execute(query, (stage,)).fetchall()

    def metrics(self) -> list[sqlite3.Row]:
        """The metrics that have scored here: ``hash, name, identity, columns``."""
        return self._db.execute("SELECT * FROM metrics ORDER BY name, hash").fetchall()

    def usage(self) -> sqlite3.Row:
        """Sums over all completions, tries included: ``requests, input_tokens, output_tokens, cost_usd, unpriced``."""
        query = """SELECT count(*) AS samples, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                   sum(cost_usd) AS cost_usd, sum(cost_usd IS NULL) AS unpriced, avg(latency_s) AS latency_s,
                   (SELECT sum(cost_usd) FROM replies) AS judge_cost_usd FROM completions"""
        row: sqlite3.Row = self._db.execute(query).fetchone()
        return row

    def latencies(self) -> list[float]:
        """Seconds of every completion whose latency is known, sorted."""
        query = "SELECT latency_s FROM completions WHERE latency_s IS NOT NULL ORDER BY latency_s"
        return [row[0] for row in self._db.execute(query)]

    def distinct(self, column: Literal["served_by", "dropped"]) -> list[str]:
        """The different values of a column over all completions, sorted."""
        query = f"SELECT DISTINCT {column} FROM completions WHERE {column} IS NOT NULL ORDER BY 1"
        return [row[0] for row in self._db.execute(query)]

    def reply(self, key: str) -> str | None:
        """A judge's stored reply."""
        row = self._db.execute("SELECT text FROM replies WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def sessions(self) -> list[Mapping[str, Json]]:
        """What is known of each start of this run: dates, host, versions."""
        return [json.loads(row[0]) for row in self._db.execute("SELECT record FROM sessions ORDER BY id")]


class RunStore:
    """The writing side of a run: exactly one at a time, held by a lock.

    Raises:
        StoreError: see ``Database``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = Database(folder)

    def view(self) -> RunView:
        """A reader of what is committed; to be used and closed by one thread."""
        return RunView(self.folder, trusted=True)

    def close(self) -> None:
        """Commits what is queued and gives up the lock."""
        self.database.close()

    def add_prompts(self, prompts: Sequence[tuple[int, Prompt]], samples: int) -> Future[None]:
        """Adds prompts, each with its place in the task, to those asked for; ``samples`` are wanted of each at least."""

        def change(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR IGNORE INTO prompts VALUES (?, ?, ?, ?, ?, ?, NULL)",
                [
                    (p.id, position, p.caption, p.category, p.cluster, json.dumps(sorted(p.traits)))
                    for position, p in prompts
                ],
            )
            old = db.execute("SELECT value FROM settings WHERE key = 'samples'").fetchone()
            wanted = max(samples, int(old[0]) if old else 0)
            db.execute("INSERT OR REPLACE INTO settings VALUES ('samples', ?)", (str(wanted),))

        return self.database.write(change)

    def set(self, key: str, value: str) -> Future[None]:
        """Stores a setting."""

        def change(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value))

        return self.database.write(change)

    def add_completion(
        self,
        prompt_id: str,
        sample: int,
        attempt: int,
        completion: Completion,
        *,
        request_hash: str,
        seed: int,
        outcome: Outcome,
        program: str | None,
        final: bool,
    ) -> Future[None]:
        """Stores a completion with what extraction made of it, and forgets earlier failures of the sample."""
        program_hash = canonical_hash(program, 32) if program is not None else None
        usage = completion.usage
        row = (
            *(prompt_id, sample, attempt, int(final), str(outcome), program_hash, request_hash, seed),
            *(completion.text, str(completion.finish_reason), completion.refusal),
            *(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
            *(
                completion.cost_usd,
                completion.latency_s,
                completion.served_by,
                json.dumps(completion.dropped),
                time.time(),
            ),
        )

        def change(db: sqlite3.Connection) -> None:
            if program_hash is not None:
                db.execute("INSERT OR IGNORE INTO programs VALUES (?, ?, NULL)", (program_hash, program))
            db.execute(f"INSERT INTO completions VALUES (NULL{', ?' * len(row)}, NULL)", row)
            db.execute(
                "DELETE FROM failures WHERE stage = 'generate' AND prompt_id = ? AND sample = ?", (prompt_id, sample)
            )

        return self.database.write(change)

    def add_rendering(self, key: str, program_hash: str, renderer: str, rendered: Rendered) -> Future[None]:
        """Stores what became of a program, with size and hash of its pictures; they must be on disk already."""
        row = (
            *(key, program_hash, renderer, str(rendered.outcome), rendered.program, json.dumps(sorted(rendered.flags))),
            *(json.dumps(dict(rendered.structure), sort_keys=True), rendered.width, rendered.height),
            *(int(rendered.png_without_text is not None), rendered.message, rendered.seconds),
        )

        drawn = {f"{key}.png": rendered.png, f"{key}.notext.png": rendered.png_without_text}
        pictures = [
            (name, len(data), hashlib.sha256(data).hexdigest()) for name, data in drawn.items() if data is not None
        ]

        def change(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, NULL)", pictures)
            db.execute(f"INSERT OR REPLACE INTO renderings VALUES ({'?, ' * len(row)}NULL)", row)

        return self.database.write(change)

    def add_metric(self, key: str, metric: Metric) -> Future[None]:
        """Remembers what a metric's scores mean."""
        described = json.dumps(
            [{slot: getattr(column, slot) for slot in Column.__slots__} for column in metric.columns]
        )
        identity = json.dumps(metric.identity, sort_keys=True)
        row = (key, metric.name, metric.unit, json.dumps(sorted(metric.needs)), identity, described)

        def change(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, NULL)", row)

        return self.database.write(change)

    def add_scores(self, metric: str, scored: Sequence[tuple[str, int, str, Score]]) -> Future[None]:
        """Stores (prompt id, sample, score key, score), and forgets earlier failures of them."""
        rows = [
            (
                metric,
                prompt,
                key,
                json.dumps(dict(score.values), sort_keys=True),
                json.dumps(score.evidence, sort_keys=True),
            )
            for prompt, _, key, score in scored
        ]
        healed = [(metric, prompt, sample) for prompt, sample, _, _ in scored]

        def change(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, NULL)", rows)
            db.executemany(
                "DELETE FROM failures WHERE stage = 'score' AND metric = ? AND prompt_id = ? AND sample = ?", healed
            )

        return self.database.write(change)

    def add_failure(self, stage: str, metric: str, prompt_id: str, sample: int, failure: Failure) -> Future[None]:
        """Remembers that a sample could not be processed through no fault of the model."""

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                """INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, 1, ?, NULL)
                   ON CONFLICT DO UPDATE SET times = times + 1, outcome = excluded.outcome, message = excluded.message,
                   last_at = excluded.last_at""",
                (stage, metric, prompt_id, sample, str(failure.outcome), failure.message, time.time()),
            )

        return self.database.write(change)

    def add_reply(self, key: str, model: str, completion: Completion) -> Future[None]:
        """Stores a judge's reply the moment it arrives."""
        usage = completion.usage
        row = (key, model, completion.text, usage.input_tokens, usage.output_tokens, completion.cost_usd, time.time())

        def change(db: sqlite3.Connection) -> None:
            # A reply that replaces one was paid for like the one it replaces.
            db.execute(
                """INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (key) DO UPDATE SET
                   model = excluded.model, text = excluded.text, received_at = excluded.received_at,
                   input_tokens = coalesce(input_tokens + excluded.input_tokens, excluded.input_tokens, input_tokens),
                   output_tokens = coalesce(output_tokens + excluded.output_tokens, excluded.output_tokens, output_tokens),
                   cost_usd = coalesce(cost_usd + excluded.cost_usd, excluded.cost_usd, cost_usd)""",
                row,
            )

        return self.database.write(change)

    def add_session(self, record: Mapping[str, Json]) -> Future[int]:
        """Adds a start of this run to its history and returns its number."""

        def change(db: sqlite3.Connection) -> int:
            cursor = db.execute("INSERT INTO sessions (record) VALUES (?)", (json.dumps(record, sort_keys=True),))
            return int(cursor.lastrowid or 0)

        return self.database.write(change)

    def end_session(self, number: int, record: Mapping[str, Json]) -> Future[None]:
        """Replaces the record of a start once it has ended."""

        def change(db: sqlite3.Connection) -> None:
            db.execute("UPDATE sessions SET record = ? WHERE id = ?", (json.dumps(record, sort_keys=True), number))

        return self.database.write(change)
