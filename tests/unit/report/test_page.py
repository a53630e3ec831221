"""The page shows what the data says, escaped, without scripts or network, on a phone as on a desk."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from scipy import stats

from spladelake.measures.significance import holm
from spladelake.report.data import ReportData, System
from spladelake.report.highlight import in_text, marked
from spladelake.report.page import paired_p, render, table
from support.report_data import EVIL, EVIL_MATH, report_data


@pytest.fixture(scope="module")
def page() -> str:
    """A page of which every text and id, the names of systems among them, is hostile; read it only."""
    return render(report_data(names=("base" + EVIL, "other" + EVIL_MATH, "third")))


def test_texts_and_ids_are_escaped_everywhere(page: str) -> None:
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    assert "mathdefault" not in page  # numbers of an axis that were meant to be set as formulas
    # A name is no formula: its dollar signs and backslashes stand in the legend as they are.
    assert "$\\frac{1}{2}$ &amp; &lt;b&gt;" in page


def test_the_page_names_no_address_to_fetch_from(page: str) -> None:
    # Names of SVG's own vocabularies, which no browser fetches.
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"'\s<>]+", page)) == namespaces
    assert not re.findall(r"<(script|link rel=\"stylesheet|img|iframe|object)", page)
    assert not re.findall(r"url\((?!#)", page)


def test_a_mark_stands_where_the_paired_test_says_so() -> None:
    data = report_data()
    rows = table(data)
    values = [list(system.values["ndcg_cut_10"].values()) for system in data.systems]
    found = [stats.ttest_rel(values[place], values[0]).pvalue for place in (1, 2)]
    # Holm by hand: the smaller of two p-values is doubled, the larger is kept, unless it would then be the smaller.
    low, high = sorted(found)
    corrected = {low: 2 * low, high: max(2 * low, high)}
    for (_, (cell,), _), p in zip(rows[1:], found, strict=True):
        assert cell.p == pytest.approx(corrected[p])
        assert cell.mark == "▲"
    assert [cell.best for _, (cell,), _ in rows] == [False, False, True]
    assert rows[0][1][0].mark == ""
    assert holm([0.04, None, 0.01]) == [0.04, None, 0.02]
    assert paired_p({"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 0.5}) is None


def test_words_that_terms_stand_for_are_marked_in_a_passage_around_them() -> None:
    pieces = marked("Rivers flow; a river delta.", ["river", "##low"])
    assert pieces == [("Rivers", True), (" flow; a ", False), ("river", True), (" delta.", False)]
    long = "word " * 300 + "zeppelin end"
    assert ("zeppelin", True) in marked(long, ["zeppelin"])
    assert marked(long, ["zeppelin"])[0] == ("… ", False)
    assert "".join(piece for piece, _ in marked("a <b> c", [])) == "a <b> c"
    assert in_text("run", "they run")
    assert not in_text("run", "they runaway")  # three letters are no stem


def test_one_system_without_vectors_is_a_page_too() -> None:
    data = report_data(names=("only", "x"))
    bare = ReportData("lake", "ndcg_cut_10", ("ndcg_cut_10",), (System("only", data.systems[0].means,
                      data.systems[0].values),), 60)  # fmt: skip
    page = render(bare)
    assert page.count("<svg") == 1
    assert "Queries with the largest differences" not in page


def test_a_word_with_combining_marks_is_marked_whole_in_the_form_of_the_text() -> None:
    assert marked("a हिन्दी word", ["हिन्दी"]) == [("a ", False), ("हिन्दी", True), (" word", False)]
    assert marked("cafe\u0301 x", ["café"]) == [("cafe\u0301", True), (" x", False)]
    assert in_text("हिन्दी", "यह हिन्दी है")
