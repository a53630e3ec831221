"""Passes over the documents: each fits into a task's memory, and together they rank every query of every run once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from spladelake.scoring.shortlist import places_for
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.retrieve.passes import PLACE_BYTES, Asked, passes

Plan = list[list[tuple[int, int, int]]]

runs = st.lists(st.builds(Kept, st.integers(1, 2000), st.booleans(), st.just(0.0)).map(Asked), min_size=1, max_size=5)
# From less than one query of the smallest run takes to more than all queries of the largest.
memory = st.integers(1, 2000 * 200 * PLACE_BYTES)


def query_bytes(run: Asked) -> int:
    """Memory that the ranking of one query takes in a task."""
    return places_for(run.kept.depth) * PLACE_BYTES


def bytes_of(part: list[tuple[int, int, int]], asked: list[Asked]) -> int:
    return sum((end - first) * query_bytes(asked[run]) for run, first, end in part)


@given(runs, st.integers(0, 200), memory)
def test_every_query_of_every_run_is_in_exactly_one_pass(asked: list[Asked], queries: int, task_bytes: int) -> None:
    planned: Plan = passes(asked, queries, task_bytes=task_bytes)
    ranked = Counter((run, query) for part in planned for run, first, end in part for query in range(first, end))
    assert ranked == Counter((run, query) for run in range(len(asked)) for query in range(queries))
    assert all(part for part in planned)
    assert all(first < end for part in planned for _, first, end in part)


@given(runs, st.integers(0, 200), memory)
def test_every_pass_fits_into_the_memory_unless_it_is_a_single_query(
    asked: list[Asked], queries: int, task_bytes: int
) -> None:
    for part in passes(asked, queries, task_bytes=task_bytes):
        alone = len(part) == 1 and part[0][2] - part[0][1] == 1
        assert bytes_of(part, asked) <= task_bytes or alone


@given(runs, st.integers(0, 200), memory)
def test_no_pass_has_room_for_what_the_next_begins_with(asked: list[Asked], queries: int, task_bytes: int) -> None:
    planned = passes(asked, queries, task_bytes=task_bytes)
    for part, following in pairwise(planned):
        assert bytes_of(part, asked) + query_bytes(asked[following[0][0]]) > task_bytes


def test_a_run_that_does_not_fit_is_cut_into_passes_of_as_many_queries_as_do() -> None:
    asked = [Asked(Kept(10, False, 0.0))]
    room = 3 * query_bytes(asked[0])
    for task_bytes in (room, room + query_bytes(asked[0]) - 1):
        assert passes(asked, 8, task_bytes=task_bytes) == [[(0, 0, 3)], [(0, 3, 6)], [(0, 6, 8)]]
    assert passes(asked, 8, task_bytes=1) == [[(0, query, query + 1)] for query in range(8)]
