"""How a judge's reply becomes a score, by each of the two rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpbench.metrics.judge_reading import SCALE, read_last_line, read_paper


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("The cube is red.\nSCORE: 100", 100),
        ("SCORE: 0", 0),
        ("Reasons.\n\n**SCORE: 50**\n", 50),
        ("Reasons.\n**SCORE:** 30\n\n```\n", 30),
        ("Reasons.\n`score: 30`", 30),
        ("Reasons.\nSCORE: [100].", 100),
        ("Reasons.\nSCORE: 50/100", 50),
        ("SCORE: 100\nOn second thoughts:\nSCORE: 30", 30),
        ("Reasons.\r\nSCORE: 100\r\n", 100),
    ],
)
def test_the_last_line_is_the_score_whatever_decorates_it(reply: str, score: int) -> None:
    assert read_last_line(reply) == score


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "\n \n",
        "SCORE: 100\nI hope this helps.",
        "The drawing says SCORE: 100",
        "SCORE: 1000",
        "SCORE: 80",
        "SCORE: 100 or 50",
        "SCORE: 100 (not 50)",
        "SCORE: １００",
        "SCORE: -50",
        "SCORE: 0.5",
        "SCORE:",
        "100",
        "SCORE: 50/10",
    ],
)
def test_anything_else_on_the_last_line_is_no_score(reply: str) -> None:
    assert read_last_line(reply) is None


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("REASONING: fine\nSCORE: 50", 50),
        ("SCORE:100", 100),
        ("SCORE: 50 and SCORE: 100", 50),
        ("SCORE: 100SCORE: 50", 100),
        ("SCORE: SCORE: 30", 30),
        ("SCORE: 100. There are 30 of 50", 50),
        ("**SCORE: 50**", 50),
        ("SCORE: 100/100", 100),
        ("[SCORE: 100]", 100),
        ("SCORE: 80, not 100", 100),
        ("score: 30", 30),
        ("3 things, 30 points", 30),
        ("I give 0.5", 0),
        ("about -50", 50),
        ("x100y", 100),
        ("SCORE:\n\n30\nor 100", 30),
    ],
)
def test_the_released_rule_reads_a_score(reply: str, score: int) -> None:
    assert read_paper(reply) == score


@pytest.mark.parametrize("reply", ["", "SCORE:", "SCORE: 80", "1000", "1050", "٣100", "１００", "no number", "5²"])
def test_the_released_rule_finds_none(reply: str) -> None:
    assert read_paper(reply) is None


def straight_paper_reading(reply: str) -> int | None:
    """PROTOCOL.md's sentence, character by character: no regular expression, no split."""
    allowed = ["100", "50", "30", "0"]
    start = reply.find("SCORE:")
    if start >= 0:
        word = ""
        position = start + len("SCORE:")
        while position < len(reply) and not reply.startswith("SCORE:", position):
            if reply[position].isspace() and word:
                break
            word += "" if reply[position].isspace() else reply[position]
            position += 1
        if word in allowed:
            return int(word)
    found, run = None, ""
    for character in reply + " ":
        if character.isdecimal():
            run += character
            continue
        found = int(run) if run in allowed else found
        run = ""
    return found


PIECES = st.sampled_from(
    [
        "SCORE:",
        "score:",
        " ",
        "\n",
        "\u2003",
        "100",
        "50",
        "30",
        "0",
        "1000",
        "7",
        "٣",
        "**",
        ".",
        "/",
        "[",
        "a",
        ":",
        "-",
    ]
)


@given(st.lists(PIECES, max_size=9).map("".join))
def test_the_released_rule_equals_a_straight_reading_of_its_sentence(reply: str) -> None:
    assert read_paper(reply) == straight_paper_reading(reply)


@given(st.text())
def test_a_score_is_on_the_scale_or_there_is_none(reply: str) -> None:
    assert read_last_line(reply) in {*SCALE, None}
    assert read_paper(reply) in {*SCALE, None}


@given(st.text(), st.sampled_from(SCALE))
def test_no_words_before_it_change_a_last_line(reasons: str, score: int) -> None:
    assert read_last_line(f"{reasons}\nSCORE: {score}") == score
