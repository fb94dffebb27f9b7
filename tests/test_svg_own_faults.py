"""A fault of sgpbench's own code is never counted against a model."""

from __future__ import annotations

from typing import cast

from sgpbench.records import Outcome
from sgpbench.svg.render import Renderer
from sgpbench.svg.worker import _draw

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>'


class Broken:
    """A renderer with a bug of ours."""

    def draw(self, root: object) -> object:
        raise TypeError("we passed the wrong thing")


def test_a_bug_of_ours_is_a_scorer_error() -> None:
    answer = _draw(SVG, cast("Renderer", Broken()), "namespaces", None)
    assert answer["outcome"] == Outcome.SCORER_ERROR
    assert "fault of sgpbench" in str(answer["message"])


def test_a_program_that_cannot_be_read_is_still_the_models() -> None:
    answer = _draw("<svg><g></svg>", cast("Renderer", Broken()), "namespaces", None)
    assert answer["outcome"] == Outcome.RENDER_ERROR
