"""The page shows what the data says, escaped, without scripts or network, on a phone as on a desk."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from spladelake.measures.significance import holm
from spladelake.report.data import Cost, DifferingQuery, Hit, Listing, ReportData, System, VectorStatistics
from spladelake.report.highlight import in_text, marked
from spladelake.report.page import paired_p, render, table
from support.browser import probe, screenshot

EVIL = "<script>alert('x')</script>"
EVIL_MATH = "$\\frac{1}{2}$ & <b>"


def report_data(*, names: tuple[str, ...] = ("bm25", "splade-tiny", "rrf-bm25-splade-tiny")) -> ReportData:
    rng = np.random.default_rng(2)
    base = rng.beta(2, 2, size=60)
    systems = []
    for place, name in enumerate(names):
        values = np.clip(base + 0.12 * place + rng.normal(0, 0.1, size=60), 0, 1)
        by_query = {f"q{n}": float(value) for n, value in enumerate(values)}
        cost = Cost(9.0, 40.0 + 90 * place, 0.4 + place, 10**6) if place < 2 else None
        systems.append(
            System(name, {"ndcg_cut_10": float(values.mean())}, {"ndcg_cut_10": by_query}, cost, name if cost else None)
        )
    text = "The river carries water from its source. " * 12 + EVIL
    hit = Hit(EVIL, 1, 12.5, "Rivers " + EVIL, text, 2, (("river", 4.25), ("##flow", 1.5), ("ocean", 0.75)))
    other = Hit("d" * 90, 1, 0.5, "", "", None)
    differing = DifferingQuery(
        "q<1>", "where do rivers flow? " + EVIL, Listing(names[1], 0.9, (hit,), has_terms=True),
        Listing(names[0], 0.0, (other,), has_terms=False),
    )  # fmt: skip
    statistics = VectorStatistics(names[1], {0: 1, 30: 10, 90: 40, 200: 5}, {1: 900, 10: 80, 400: 2})
    return ReportData("/data/" + EVIL, "ndcg_cut_10", ("ndcg_cut_10",), tuple(systems), 60, (statistics,), (differing,))


def test_texts_and_ids_are_escaped_everywhere() -> None:
    page = render(report_data(names=("base" + EVIL, "other" + EVIL_MATH, "third")))
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    assert "mathdefault" not in page  # numbers of an axis that were meant to be set as formulas
    # A name is no formula: its dollar signs and backslashes stand in the legend as they are.
    assert "$\\frac{1}{2}$ &amp; &lt;b&gt;" in page


def test_the_page_names_no_address_to_fetch_from() -> None:
    page = render(report_data())
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
    assert "Queries that differ most" not in page


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_errors_and_nothing_sticks_out(tmp_path: Path, width: int) -> None:
    page = render(report_data(names=("a-run-with-a-long-name-" * 4, "splade-tiny", EVIL)))
    found = probe(page, tmp_path, width=width)
    assert found["console"] == []
    assert (found["scripts"], found["images"], found["fetched"]) == (0, 0, 0)
    assert found["plots"] == 5
    assert found["scroll"] <= found["client"]
    assert found["wide"] == []


def test_a_screenshot_can_be_taken_at_the_width_of_a_phone(tmp_path: Path) -> None:
    picture = screenshot(render(report_data()), tmp_path, width=390, height=2400)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000  # an empty page is smaller
