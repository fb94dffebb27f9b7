"""From a folder of results to a folder of static files."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sgpbench.leaderboard import figures
from sgpbench.leaderboard.board import make_boards, rankable_entries
from sgpbench.leaderboard.captions import TaskWords, task_words
from sgpbench.leaderboard.cards import card, icon, kept_card
from sgpbench.leaderboard.downloads import BIBTEX, Published, atom_feed, publish, table_files
from sgpbench.leaderboard.entries import Entry, read_entries
from sgpbench.leaderboard.gallery import Gallery, gallery_data, make_galleries, programs_data
from sgpbench.leaderboard.model_page import parts_of
from sgpbench.leaderboard.naming import plain, safe_link
from sgpbench.leaderboard.output import LARGEST_SITE, SiteWriter
from sgpbench.leaderboard.pages import PROMPTS_A_PAGE, Site, column_domain, counts, environment, thumb
from sgpbench.leaderboard.plots import plot_groups
from sgpbench.leaderboard.reported_pages import overall_pivots, pivots
from sgpbench.leaderboard.standings import Member, Standings, standings_of
from sgpbench.leaderboard.static_cells import StaticCells
from sgpbench.leaderboard.thumbnails import Thumbnails
from sgpbench.paths import cache_dir, root_folder
from sgpbench.records import Outcome
from sgpbench.results.reported import read_reported

__all__ = ["BuildReport", "Options", "build_site"]

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Options:
    """What a build may be told."""

    data: Path | None = None
    """Where the data sets are, for captions."""
    gallery_prompts: int = 200
    programs: bool = True
    """Whether the programs' texts are part of the site."""
    address: str | None = None
    """Where the site will be served (https), for links that must be absolute."""
    most_bytes: int = LARGEST_SITE


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did."""

    folder: Path
    results: int
    pages: int
    files: int
    bytes: int
    changed: int
    rendered: int
    """Pictures that were not in the cache."""
    seconds: Mapping[str, float]
    """By step."""
    warnings: tuple[str, ...]


def build_site(results: Path, out: Path, options: Options | None = None) -> BuildReport:
    """Builds the site of all results below a folder.

    Broken results are named in the report's warnings and left out. Equal results give equal files.

    Raises:
        UsageError: there is no such folder, or ``out`` holds other files.
        TooLarge: the site would be larger than it may be; says what to cut.
        ResultError: the reported numbers are broken.
    """
    chosen = options or Options()
    return _Build(results, out, chosen).run()


class _Build:
    """One build; the steps share what they have made."""

    def __init__(self, results: Path, out: Path, options: Options) -> None:
        self.results = results
        self.options = options
        self.address = safe_link(options.address.rstrip("/")) if options.address else None
        self.writer = SiteWriter(out, most_bytes=options.most_bytes)
        self.cache = cache_dir() / "leaderboard"
        self.pages = 0
        self.seconds: dict[str, float] = {}
        self.evidence: dict[str, Published] = {}

    def run(self) -> BuildReport:
        entries, warnings = self._timed("read", lambda: read_entries(self.results, self.cache / "digests"))
        standings = self._timed("rank", lambda: self._standings(entries))
        boards = make_boards(entries, standings)
        words = self._timed("captions", lambda: self._words(entries))
        with Thumbnails(cache_dir() / "thumbnails") as thumbnails:
            galleries = self._timed(
                "drawings",
                lambda: make_galleries(
                    *(boards, words, standings, thumbnails, self.cache / "shelves", self.options.gallery_prompts)
                ),
            )
            newest = max((entry.date for entry in entries), default="")
            site = Site(boards, galleries, self.address, newest)
            self._timed("pictures", lambda: self._place_pictures(galleries, thumbnails))
            rendered = thumbnails.rendered
        self._timed("pages", lambda: self._write_pages(site, entries, words))
        self._timed("galleries", lambda: self._write_galleries(site))
        self.writer.finish()
        return BuildReport(
            self.writer.folder,
            len(entries),
            self.pages,
            self.writer.files,
            self.writer.bytes,
            self.writer.changed,
            rendered,
            self.seconds,
            (*warnings, *_drawing_problems(galleries)),
        )

    def _timed(self, step: str, work: Callable[[], _Made]) -> _Made:
        begun = time.monotonic()
        done = work()
        self.seconds[step] = time.monotonic() - begun
        return done

    def _standings(self, entries: Sequence[Entry]) -> dict[str, Standings]:
        found = {}
        for key, members in rankable_entries(entries).items():
            name, first = members[0]
            scoring = first.result.scoring[name]
            taking_part = [Member(e.path, e.digest, column) for column, e in members if e.digest is not None]
            found[key] = standings_of(
                taking_part,
                first.result.identity.task,
                higher_is_better=scoring.higher_is_better is not False,
                bounds=(scoring.low, scoring.high),
                cache=self.cache / "ranks",
            )
        return found

    def _words(self, entries: Sequence[Entry]) -> dict[str, TaskWords]:
        tasks = sorted({entry.result.identity.task for entry in entries})
        return {task: task_words(task, "official", 0, self.options.data) for task in tasks}

    def _place_pictures(self, galleries: Sequence[Gallery], thumbnails: Thumbnails) -> None:
        digests = {d for gallery in galleries for one in gallery.shown for d in one.shelf.pictures.values()}
        for digest in sorted(digests):
            source = thumbnails.path(digest)
            self.writer.place(thumb(digest), source, source.stat().st_size)

    def _page(self, path: str, template: str, *, here: str = "", **context: object) -> None:
        root = "../" * path.count("/")
        html = environment().get_template(template).render(root=root, here=here or path, **context)
        self.writer.write(path, html.encode("utf-8", "replace"))
        self.pages += 1

    def _write_pages(self, site: Site, entries: Sequence[Entry], words: Mapping[str, TaskWords]) -> None:
        for file in sorted((root_folder("leaderboard") / "static").iterdir()):
            self.writer.write(f"static/{file.name}", file.read_bytes())
        self.writer.write("static/icon.png", icon())
        reports = read_reported()
        self._page(
            "index.html",
            "index.html.j2",
            site=site,
            counts=counts(entries),
            providers=sorted({p for _, row in site.rows if (p := row.text("provider"))}),
            domains={b.protocol + c.key: column_domain(b, c) for b in site.boards for c in b.columns},
            sampler=_sampler(site.galleries),
            reports=reports,
            reported_overall=overall_pivots(reports),
        )
        self.writer.write("cards/index.png", card("How well do language models draw", "by writing programs?", ()))
        self._page("reported.html", "reported.html.j2", site=site, reports=reports, pivots=pivots(reports))
        self._page("methods.html", "methods.html.j2", site=site)
        self._page("plots.html", "plots.html.j2", site=site, groups=plot_groups(site.boards))
        self._write_models(site, entries, words)
        self._write_downloads(site, entries)

    def _write_models(self, site: Site, entries: Sequence[Entry], words: Mapping[str, TaskWords]) -> None:
        self.evidence = publish(entries, self.options.most_bytes // 5)
        for board, row in site.rows:
            page = f"{row.slug}-{board.protocol.lower()}"
            parts = parts_of(site, board, row, entries, words, self.evidence)
            self._page(
                f"models/{page}.html",
                "model.html.j2",
                here="models",
                site=site,
                board=board,
                row=row,
                page=page,
                parts=parts,
            )
            lines = [
                (f"{column.task} · {column.name}", figures.score(cell.number.mean, column.scoring.high))
                for column in board.columns
                if (cell := row.cells[column.key]).number and column.scoring
            ]
            self.writer.write(
                f"cards/{page}.png",
                kept_card(self.cache / "cards", row.title, f"protocol {board.protocol}", lines),
            )

    def _write_downloads(self, site: Site, entries: Sequence[Entry]) -> None:
        listed = []
        for name, words, data in table_files(site.boards):
            self.writer.write(name, data)
            listed.append((name, words, len(data)))
        for entry in entries:
            self.writer.write(f"data/results/{entry.slug}.json", entry.file.read_bytes())
            published = self.evidence[entry.path]
            if published.file is not None and published.address is not None:
                self.writer.write(published.address, published.file.read_bytes())
        feed = atom_feed(entries, self.address)
        self.writer.write("feed.xml", feed)
        listed.append(("feed.xml", "new results, as an Atom feed", len(feed)))
        self._page(
            "downloads.html",
            "downloads.html.j2",
            site=site,
            files=listed,
            bibtex=BIBTEX,
            entries=[(entry, self.evidence[entry.path].address) for entry in entries],
        )

    def _write_galleries(self, site: Site) -> None:
        montages = {gallery.id: _montage(gallery) for gallery in site.galleries}
        self._page("gallery/index.html", "galleries.html.j2", site=site, galleries=site.galleries, montages=montages)
        protocols = len({gallery.protocol for gallery in site.galleries})
        for gallery in site.galleries:
            folder = f"gallery/{gallery.id}"
            self.writer.write(f"{folder}/data.js", gallery_data(gallery))
            if self.options.programs:
                for one in gallery.shown:
                    self.writer.write(f"{folder}/programs/{one.row.slug}.js", programs_data(gallery, one))
            occurring = {outcome for one in gallery.shown for outcome in one.outcomes.values()}
            pages = max(1, -(-len(gallery.prompts) // PROMPTS_A_PAGE))
            shared: dict[str, object] = {
                "site": site,
                "gallery": gallery,
                "galleries": site.galleries,
                "protocols": protocols,
                "pages": pages,
                "categories": sorted({prompt.category for prompt in gallery.prompts}),
                "outcomes": [str(outcome) for outcome in Outcome if str(outcome) in occurring],
                "cells": StaticCells(gallery, "../../"),
            }
            for number in range(1, pages + 1):
                self._page(
                    f"{folder}/{'index' if number == 1 else f'page-{number}'}.html",
                    "gallery.html.j2",
                    here="gallery/index.html",
                    prompts=gallery.prompts[(number - 1) * PROMPTS_A_PAGE : number * PROMPTS_A_PAGE],
                    page=number,
                    **shared,
                )


def _montage(gallery: Gallery, number: int = 12) -> list[str]:
    """Pictures that stand for a gallery: of models, best first, each from another prompt."""
    found: dict[str, None] = {}
    models = [one for one in gallery.shown if not one.row.is_baseline] or list(gallery.shown)
    models = [one for one in models if len(set(one.shelf.pictures.values())) > 1] or models
    for index, prompt in enumerate(gallery.prompts):
        if models and (picture := models[index % min(len(models), 6)].shelf.pictures.get(prompt.id)):
            found[picture] = None
        if len(found) == number:
            break
    return list(found)


def _sampler(galleries: Sequence[Gallery], number: int = 14) -> list[tuple[str, str, str, str]]:
    """Drawings for the top of the first page: (picture, caption, model, link), from all galleries in turn."""
    queues = []
    for gallery in galleries:
        wanted = set(_montage(gallery, number))
        queue = []
        for one in gallery.shown:
            for prompt in gallery.prompts:
                picture = one.shelf.pictures.get(prompt.id)
                if picture in wanted:
                    wanted.discard(picture)
                    words = gallery.caption(prompt.id) or plain(prompt.id)
                    link = f"models/{one.row.slug}-{gallery.protocol.lower()}.html"
                    queue.append((picture, words, one.row.title, link))
        queues.append(queue)
    mixed = [queue[index] for index in range(number) for queue in queues if index < len(queue)]
    return [one for one in mixed if one[0]][:number]


def _drawing_problems(galleries: Sequence[Gallery]) -> list[str]:
    return [
        f"no drawings: {one.entry.path}: {one.shelf.problem}"
        for gallery in galleries
        for one in gallery.shown
        if one.shelf.problem and one.entry.problem is None
    ]
