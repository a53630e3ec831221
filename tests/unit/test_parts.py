"""Five runs, each with the next part, run every long test once, and take about as long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.parts import UNKNOWN_SECONDS, parts_of


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(1, 600)), st.sets(st.text("abcd", min_size=1)))
def test_every_test_is_in_one_part_and_no_part_is_longer_than_another_by_more_than_one_test(
    seconds: dict[str, float], tests: set[str]
) -> None:
    parts = parts_of(tests, 5, seconds)
    assert sorted(test for part in parts for test in part) == sorted(tests)
    taken = [sum(seconds.get(test, UNKNOWN_SECONDS) for test in part) for part in parts]
    assert max(taken) - min(taken) <= max((seconds.get(test, UNKNOWN_SECONDS) for test in tests), default=0) + 1e-6
