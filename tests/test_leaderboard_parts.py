"""Laws of the site's parts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpbench.leaderboard.downloads import _csv_cell
from sgpbench.leaderboard.figures import dollars, percent, size, whisker
from sgpbench.leaderboard.gallery import script_json
from sgpbench.leaderboard.naming import plain, safe_link, shortened, slug
from sgpbench.leaderboard.plots import pareto_front
from sgpbench.results.schema import Number


@given(st.text())
def test_slugs_are_safe_file_names(text: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", slug(text))
    assert len(slug(text)) <= 60


@given(st.text(), st.text())
def test_different_texts_have_different_slugs(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@given(st.text(alphabet=st.sampled_from("a\u202e\u2066\u200f\x00\x1b\n\té")))
def test_plain_text_hides_nothing_and_keeps_its_length(text: str) -> None:
    assert len(plain(text)) == len(text)
    assert not set(plain(text)) & set("\u202e\u2066\u200f\x00\x1b")
    assert plain(plain(text)) == plain(text)


@given(st.text(), st.integers(1, 50))
def test_shortened_texts_are_short(text: str, most: int) -> None:
    assert len(shortened(text, most)) <= most


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "http://example.org", "https://example.org/\"onclick='", "//example.org",
     " https://example.org", "https://example.org/a b", "https://user@example.org/", "https://ex\u202eample.org", 7, None],
)  # fmt: skip
def test_only_plain_https_becomes_a_link(address: object) -> None:
    assert safe_link(address) is None


def test_https_becomes_a_link() -> None:
    assert safe_link("https://example.org:8080/a?b=c#d") == "https://example.org:8080/a?b=c#d"


@given(
    st.recursive(
        st.text() | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_scripts_reads_back_and_cannot_end_the_script(value: object) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1)), min_size=1, max_size=30), st.booleans())
def test_no_point_beats_one_on_the_front(points: list[tuple[float, float]], higher: bool) -> None:
    front = pareto_front(points, higher_is_better=higher)
    sign = 1 if higher else -1
    for cost, value in points:
        for index in front:
            at_most, better = cost <= points[index][0], sign * value > sign * points[index][1]
            assert not (at_most and better)
    assert any(points[i][1] == (max if higher else min)(v for _, v in points) for i in front)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.9999, "99.9 %"), (0.005, "0.5 %"), (0.0001, "<0.1 %"), (0.5, "50 %")],
)
def test_shares_are_never_rounded_to_all_or_none(share: float, text: str) -> None:
    assert percent(share) == text


def test_money_and_sizes_read_well() -> None:
    assert [dollars(v) for v in (0, 0.004, 0.5, 12.345, 1234.5)] == ["$0", "<$0.01", "$0.50", "$12.35", "$1,234"]
    assert [size(v) for v in (0.135, 7.6, 671, 1000)] == ["135M", "7.6B", "671B", "1T"]


def test_whiskers_stay_inside_their_box() -> None:
    drawn = whisker(Number(mean=2.0, ci95=[-5.0, 50.0], n=3, clusters=3), 0.0, 1.0)
    places = [float(x) for x in re.findall(r"[MH]([\d.]+)", drawn)]
    assert len(places) == 3
    assert all(4 <= place <= 96 for place in places)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_spreadsheets_take_no_name_for_a_formula(text: str) -> None:
    assert _csv_cell(text) == f"'{text}"
