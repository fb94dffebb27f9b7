"""Taking the program out of a reply: the order of outcomes, the rules of both protocols, and their laws."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpbench.protocol import Extraction
from sgpbench.records import FinishReason, Outcome
from sgpbench.svg.extract import extract

A = '<svg viewBox="0 0 9 9"><rect width="4" height="4"/></svg>'
B = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="3"/></svg>'
STOP = FinishReason.STOP
RULES: tuple[Extraction, ...] = ("last-complete", "paper-first", "paper-answer")


def last(text: str, finish_reason: FinishReason = STOP) -> tuple[str, str | None]:
    found = extract(text, finish_reason, "last-complete")
    return found.outcome.value, found.program


@pytest.mark.parametrize(
    ("text", "program"),
    [
        pytest.param(A, A, id="bare"),
        pytest.param(f"Here you are:\n```svg\n{A}\n```\nEnjoy!", A, id="code fence and prose"),
        pytest.param(f'<?xml version="1.0"?>\n<!DOCTYPE svg>\n{B}', B, id="XML declaration"),
        pytest.param(f"{A}\nBetter:\n{B}", B, id="the last of several"),
        pytest.param(f"<think>{A}</think>{B}", B, id="after the thoughts"),
        pytest.param(f"<think>a</think><think>{A}</think> {B} trailing", B, id="after the last thoughts"),
        pytest.param(f"{A} then <svg width='4'><rect", A, id="complete one before an unfinished one"),
        pytest.param("<svg/>", "<svg/>", id="self-closed"),
        pytest.param("<svg width='4' />", "<svg width='4' />", id="self-closed with attributes"),
        pytest.param("<svg><svg/><svg><g/></svg></svg>", "<svg><svg/><svg><g/></svg></svg>", id="nested"),
        pytest.param(f"The <svg> element:\n{A}", A, id="an element mentioned before"),
        pytest.param(f"I'll write <svg and don't stop.\n{A}", A, id="a bare mention before"),
        pytest.param(f"Use </svg> to close.\n{A}", A, id="a stray end before"),
        pytest.param(
            "<svg><!-- the <svg> root; not </svg> --><g/></svg>",
            "<svg><!-- the <svg> root; not </svg> --><g/></svg>",
            id="tags in a comment",
        ),
        pytest.param(
            "<svg><style><![CDATA[ /* </svg> */ ]]></style></svg>",
            "<svg><style><![CDATA[ /* </svg> */ ]]></style></svg>",
            id="tags in CDATA",
        ),
        pytest.param("<svg><!-- <g/></svg>", "<svg><!-- <g/></svg>", id="a comment without end"),
        pytest.param('<svg aria-label="a > b"><g/></svg>', '<svg aria-label="a > b"><g/></svg>', id="> in a value"),
        pytest.param("<svg aria-label='a > b/>'></svg>", "<svg aria-label='a > b/>'></svg>", id="/> in a value"),
        pytest.param("<svg title='it><g/></svg>", "<svg title='it><g/></svg>", id="a quote without end"),
        pytest.param("<svg><g/></svg\n >", "<svg><g/></svg\n >", id="white space in the end tag"),
        pytest.param("<SVG><g/></SVG>", "<SVG><g/></SVG>", id="capitals are left to the parser"),
    ],
)
def test_v1_takes_the_last_complete_svg(text: str, program: str) -> None:
    assert last(text) == ("ok", program)


@pytest.mark.parametrize(
    ("text", "finish_reason", "outcome"),
    [
        (A, FinishReason.REFUSAL, "refused"),
        ("", FinishReason.REFUSAL, "refused"),
        (f"{A} and then", FinishReason.LENGTH, "ok"),
        ("<svg><rect", FinishReason.LENGTH, "truncated"),
        ("Let me think about the", FinishReason.LENGTH, "truncated"),
        ("<svg><rect", STOP, "malformed"),
        ("so: <svg", STOP, "malformed"),
        ("<svg width='3' <g/></svg>", STOP, "malformed"),
        ("", STOP, "no_svg"),
        ("I'm sorry, but I can't help with that.", STOP, "no_svg"),
        ("<svgfoo></svgfoo> and </svg>", STOP, "no_svg"),
        ("&lt;svg&gt;&lt;/svg&gt;", STOP, "no_svg"),
        (f"<think>{A}</think>I would rather not.", STOP, "no_svg"),
        (f"<think>{A}</think>", FinishReason.LENGTH, "truncated"),
        ("no drawing", FinishReason.OTHER, "no_svg"),
    ],
)
def test_v1_names_what_holds_no_program_in_the_fixed_order(
    text: str, finish_reason: FinishReason, outcome: str
) -> None:
    found = last(text, finish_reason)
    assert found[0] == outcome
    assert (found[1] is None) == (outcome != "ok")


def test_paper_first_goes_from_the_first_start_to_the_first_end() -> None:
    def first(text: str) -> str | None:
        return extract(text, STOP, "paper-first").program

    assert first(f"x {A} {B}") == A
    assert first("<svg><svg/></svg></svg>") == "<svg><svg/></svg>"
    assert first(f"</svg> {A}") == "", "an end that comes first leaves an empty program, which counts as an answer"
    assert first("<svgfoo></svg>") == "<svgfoo></svg>"
    assert first("<svg><g/>") is None
    assert extract("<svg><g/>", FinishReason.LENGTH, "paper-first").outcome is Outcome.TRUNCATED
    assert extract(A, FinishReason.REFUSAL, "paper-first").program == A


def test_paper_answer_reads_the_answer_of_a_well_formed_reply_alone() -> None:
    def answer(text: str) -> str | None:
        return extract(text, STOP, "paper-answer").program

    assert answer(f"draft {A}</think> <answer>{B}</answer>") == B
    assert answer(f"draft {A}</think> <answer>nothing</answer>") is None
    assert answer(f"draft {A}</think><answer>nothing</answer>") == A, "without the space it is not well formed"
    assert answer(f"draft {A}</think> <answer>nothing</answer> bye") == A, "it must end with the answer"
    assert answer(f"draft {A}</think> <answer>nothing</answer>\n") == A, "nothing may follow, not even a line break"
    labelled = "<svg ><text>x</text></svg>"
    assert answer(f"draft {labelled}</think> <answer>nothing</answer>") == labelled, "text elements break the form"
    assert answer("</think> <answer><svg ><g/></answer>") == "<svg ><g/>", "an unclosed program goes to the end"


def test_paper_answer_takes_the_last_stretch_and_needs_a_space() -> None:
    def answer(text: str) -> str | None:
        return extract(text, STOP, "paper-answer").program

    assert answer(f"{A} {B}") == B
    assert answer("<svg a><svg b></svg></svg>") == "<svg a><svg b></svg>"
    assert answer(f"{A}<svg><g/></svg>") == A
    assert answer("<svg><g/></svg> done ") == "<svg><g/></svg> done"
    assert answer(f"{A} then <svg cut") == A
    assert answer("nothing") is None


PIECES = (
    *(A, B, "<svg", "<svg>", "</svg>", "<svg/>", " ", ">", "<!--", "-->", "<![CDATA[", "]]>", '"', "'", "<g/>", "x"),
    *("</think>", "<think>", "<answer>", "</answer>", "</think> <answer>", "</text>", "İ", "\n"),
)
pieces = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@given(pieces, st.sampled_from(list(FinishReason)), st.sampled_from(RULES))
def test_a_program_is_a_piece_of_the_reply_and_there_exactly_if_the_outcome_is_ok(
    text: str, finish_reason: FinishReason, rule: Extraction
) -> None:
    found = extract(text, finish_reason, rule)
    assert (found.outcome is Outcome.OK) == (found.program is not None)
    if found.program is not None and rule == "last-complete":
        assert found.program in text
        assert found.program.lower().startswith("<svg")
        assert found.program.endswith(">")
        assert extract(found.program, STOP, rule).program == found.program, "extracting again changes nothing"


@given(pieces)
def test_a_complete_program_at_the_end_is_always_found(before: str) -> None:
    # A comment or quote left open before it may swallow it only if it began inside another program.
    text = f"{before}</think>{A}"
    assert extract(text, STOP, "last-complete").program == A


@given(st.sampled_from([A, B]), st.text(alphabet=st.characters(exclude_characters="<"), max_size=40))
def test_prose_around_a_program_changes_nothing(program: str, prose: str) -> None:
    for rule in RULES:
        assert extract(prose + program + prose, STOP, rule).program == program


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "unit", ["<svg ", "<svg>", "</svg>", "<!--", "<svg><!--", "<![CDATA[", '<svg a="', 'a="" ', "<svg a='>", "<svg/>"]
)
def test_hostile_texts_take_linear_time(unit: str, rule: Extraction) -> None:
    small, large = ("<svg " + unit * (size // len(unit)) for size in (200_000, 2_000_000))
    started = time.perf_counter()
    extract(small, STOP, rule)
    between = time.perf_counter()
    extract(large, STOP, rule)
    assert time.perf_counter() - between < 40 * (between - started) + 0.5
