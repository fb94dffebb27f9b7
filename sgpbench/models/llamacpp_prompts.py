"""How a request is put to a llama.cpp model.

``chat`` uses the model's own chat template and nothing else. ``few-shot-svg`` is for models too small to draw when
simply asked: four worked examples stand before the request, and the answer is begun for the model. The examples are
no prompt of any task of sgpbench and use none of the colours of ``shapes``; the returned text holds the whole program,
its given beginning included, and ends after the first ``</svg>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sgpbench.protocol import canonical_hash

__all__ = ["FORMATS", "PromptFormat"]


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """What stands around the messages of a request."""

    description: str
    before: tuple[tuple[str, str], ...] = ()
    """(role, text) of messages before the request's own."""
    prefill: str = ""
    """How the answer begins; part of the returned text."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer and stay in it."""
    raw_text: bool = True
    """Whether raw text can be put to the model in this format."""

    @property
    def hash(self) -> str:
        """Identity of all the words above."""
        return canonical_hash([self.before, self.prefill, self.stop])


_BEGINNING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512">\n'
    '<rect x="0" y="0" width="512" height="512" fill="white"/>\n'
)


def _example(caption: str, shapes: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (
        ("user", f"Draw the following as one SVG image.\n\n{caption} on a plain white background."),
        ("assistant", f"{_BEGINNING}{shapes}</svg>"),
    )


FORMATS: Mapping[str, PromptFormat] = {
    "chat": PromptFormat("the model's own chat template, or raw text as it is"),
    "few-shot-svg": PromptFormat(
        "four worked examples, then the request; the answer is begun with an <svg> of 512 x 512 and a white background",
        before=(
            ("system", "You draw pictures as SVG code."),
            *_example(
                "One navy rectangle and one maroon arrow",
                '<rect x="60" y="60" width="200" height="100" fill="navy"/>\n'
                '<polygon points="280,360 380,360 380,320 460,390 380,460 380,420 280,420" fill="maroon"/>\n',
            ),
            *_example(
                "Three olive squares",
                '<rect x="40" y="60" width="90" height="90" fill="olive"/>\n'
                '<rect x="210" y="60" width="90" height="90" fill="olive"/>\n'
                '<rect x="380" y="60" width="90" height="90" fill="olive"/>\n',
            ),
            *_example(
                "One gold triangle",
                '<polygon points="256,120 130,380 380,380" fill="gold"/>\n',
            ),
            *_example(
                "Two teal circles and one cyan ellipse",
                '<circle cx="140" cy="150" r="80" fill="teal"/>\n<circle cx="370" cy="150" r="80" fill="teal"/>\n'
                '<ellipse cx="256" cy="380" rx="110" ry="60" fill="cyan"/>\n',
            ),
        ),
        prefill=_BEGINNING,
        stop=("</svg>",),
        raw_text=False,
    ),
}
