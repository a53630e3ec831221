"""Passages are proposed for texts that a model does not read whole, with their number and time."""

from __future__ import annotations

import pytest

from spladelake.survey.passages import LongTexts, advice

LONG = 9_000  # characters: 2,000 tokens, which windows of 256 every 128 cover with 15


@pytest.mark.parametrize(("long", "proposed"), [(0, False), (5, False), (6, True), (100, True)])
def test_passages_are_proposed_if_more_than_a_twentieth_of_the_texts_is_long(long: int, proposed: bool) -> None:
    found = LongTexts.of([LONG] * long + [400] * (100 - long))
    assert bool(advice(found, rows=1_000, model="splade-tiny")) == proposed
    assert advice(found, rows=1_000, model="bm25") == []


def test_the_number_of_passages_is_that_of_windows_over_all_texts() -> None:
    found = LongTexts.of([LONG, 400])
    assert found == LongTexts(0.5, 8.0)
    share, count, time = advice(found, rows=1_000, model="rasyosef/splade-mini")
    assert share.startswith("50% of the texts are longer than 512 tokens")
    assert "8,000 vectors instead of 1,000" in count
    assert "minutes (forecast)" in time
    assert len(advice(found, rows=1_000, model="of-my-own")) == 2, "no measurement covers the model"
    assert LongTexts.of([]) is None
