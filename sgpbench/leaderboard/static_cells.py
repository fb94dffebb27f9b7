"""The drawings of a gallery's pages without scripts: 90,000 of them at full size, so made without templates."""

from __future__ import annotations

from markupsafe import Markup, escape

from sgpbench.leaderboard import figures
from sgpbench.leaderboard.gallery import Gallery
from sgpbench.leaderboard.naming import shortened

__all__ = ["StaticCells"]


class StaticCells:
    """Makes the list items of a prompt. What is the same for all prompts is escaped once.

    Args:
        gallery: whose drawings.
        root: the way from a page of it to the site's root.
    """

    def __init__(self, gallery: Gallery, root: str) -> None:
        self._gallery = gallery
        self._root = root
        scoring = gallery.column.scoring if gallery.column else None
        self._high = scoring.high if scoring else None
        self._names: list[tuple[Markup, Markup]] = []
        for one in gallery.shown:
            title = " ".join(one.row.title.split())
            link = f"{root}models/{one.row.slug}-{gallery.protocol.lower()}.html"
            name = Markup('<p><a href="{}"><bdi title="{}">{}</bdi></a>').format(
                link, shortened(title, 300), shortened(title, 28)
            )
            self._names.append((escape(f"by {shortened(title, 60)}"), name))
        self._tiles = {
            outcome: Markup('<span class="tile outcome-{}">{}</span>').format(outcome.replace("_", "-"), words)
            for outcome, words in figures.OUTCOME_WORDS.items()
        }
        self._not_asked = Markup('<span class="tile outcome-none">not asked</span>')

    def of(self, prompt_id: str) -> Markup:
        """The items of all models for a prompt."""
        parts = []
        for one, (alternative, name) in zip(self._gallery.shown, self._names, strict=True):
            picture = one.shelf.pictures.get(prompt_id)
            value = one.values.get(prompt_id)
            if picture:
                inside = (
                    f'<img src="{self._root}thumbs/{picture[:2]}/{picture}.webp" width="192" height="192" '
                    f'loading="lazy" decoding="async" alt="{alternative}">'
                )
            else:
                inside = self._tiles.get(one.outcomes.get(prompt_id, ""), self._not_asked)
            number = "" if value is None else f' <span class="mono">{figures.score(value, self._high)}</span>'
            parts.append(f'<li><div class="paper">{inside}</div>{name}{number}</p></li>')
        return Markup("\n").join(map(Markup, parts))
