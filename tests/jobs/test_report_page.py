"""A real browser, where there is one, shows the report's page on a phone as on a desk."""

from __future__ import annotations

from pathlib import Path

import pytest

from spladelake.report.page import render
from support.browser import chromium, probe, screenshot
from support.report_data import EVIL, report_data


@pytest.fixture(autouse=True)
def browser() -> str:
    """The browser's program: without one nothing is drawn either."""
    return chromium()


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
