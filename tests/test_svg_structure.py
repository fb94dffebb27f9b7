"""Measures of a program's structure."""

from __future__ import annotations

import pytest
from svg_support import svg

from sgpbench.svg.clean import clean, drawn_text, parse
from sgpbench.svg.structure import MEASURES, code_length, measure


def measured(program: str) -> dict[str, float]:
    root = parse(program, "none").root
    clean(root)
    return measure(root, program, drawn_text(root))


def test_every_measure_is_there_and_described() -> None:
    values = measured(svg("<g/>"))
    assert list(values) == list(MEASURES)
    assert all(isinstance(value, float) and value >= 0 for value in values.values())
    assert all(text.endswith(".") for text in MEASURES.values())


def test_counts_are_exact() -> None:
    body = """<!-- a comment -->
    <defs><linearGradient id="a" gradientTransform="rotate(3)"><stop stop-color="RED"/></linearGradient></defs>
    <radialGradient id="b"/>
    <g transform="scale(2)" fill="#f00" stroke="none"><path d="M0 0L1 1C1e3 2 3 4 5 6z m1,1h3"/><path d=""/></g>
    <rect style="fill: rgb(255,0,0); stroke:blue" fill="url(#a)"/>
    <style>.x{fill:#0000ff;stroke:var(--c)} .y{color:lime}</style>
    <text fill="currentColor">two  words<tspan>!</tspan></text><polygon/><polygon/><stop/>"""
    values = measured(svg(body))
    expected = {
        "elements": 15, "elements.svg": 1, "elements.defs": 1, "elements.linearGradient": 1,
        "elements.radialGradient": 1, "elements.g": 1, "elements.path": 2, "elements.rect": 1, "elements.style": 1,
        "elements.text": 1, "elements.polygon": 2, "elements.other": 3, "elements.circle": 0, "depth": 4,
        "transforms": 2, "path_commands": 6, "gradients": 2, "text_characters": 10, "colors": 3,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected
    assert sum(value for name, value in values.items() if name.startswith("elements.")) == values["elements"]


@pytest.mark.parametrize(
    ("program", "length"),
    [
        ("<svg/>", 6),
        ("<svg >\n\t</svg >", 11),
        ("<svg><!-- comment --></svg>", 11),
        ("<!-- a --><svg/><!-- b", 6 + 5),
        ("<style>/* a */b/*</style>", 7 + 1 + 2 + 8),
        ("", 0),
    ],
)
def test_code_length_leaves_out_comments_and_white_space(program: str, length: int) -> None:
    assert code_length(program) == length


def test_a_name_and_a_number_of_one_color_are_one_color() -> None:
    same = (
        '<g fill="red"/><g fill="#F00"/><g fill="#ff0000"/><g style="fill:rgb(255, 0, 0)"/><g fill="hsl(0,100%,50%)"/>'
    )
    assert measured(svg(same))["colors"] == 1
    assert measured(svg('<g fill="none" stroke="transparent"/><g fill="rgba(1,2,3,0)"/>'))["colors"] == 0
    assert measured(svg('<g fill="notacolor"/>'))["colors"] == 1
