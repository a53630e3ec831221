"""A batch of sparse vectors keeps its rows through every rearrangement."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spladelake.vectors import SparseVectors

Row = tuple[list[int], list[float]]


def rows_of(batch: SparseVectors) -> list[Row]:
    return [(batch.row(i)[0].tolist(), batch.row(i)[1].tolist()) for i in range(len(batch))]


row = st.sets(st.integers(0, 99), max_size=6).flatmap(
    lambda terms: st.tuples(
        st.just(sorted(terms)),
        st.lists(st.sampled_from([0.25, 0.5, 3.0]), min_size=len(terms), max_size=len(terms)),
    )
)


@given(st.lists(row, max_size=8))
def test_rows_come_back_as_they_went_in(rows: list[Row]) -> None:
    batch = SparseVectors.from_rows(rows)
    assert rows_of(batch) == rows
    assert batch.active_dims.tolist() == [len(terms) for terms, _ in rows]


@given(
    st.lists(row, min_size=1, max_size=8).flatmap(
        lambda rows: st.tuples(st.just(rows), st.permutations(range(len(rows))))
    )
)
def test_taking_rows_in_an_order_gives_those_rows_in_that_order(given: tuple[list[Row], list[int]]) -> None:
    rows, order = given
    taken = SparseVectors.from_rows(rows).take(np.array(order, dtype=np.int64))
    assert rows_of(taken) == [rows[i] for i in order]


def test_a_row_may_be_taken_twice_or_not_at_all() -> None:
    batch = SparseVectors.from_rows([([1], [1.0]), ([], []), ([2, 5], [2.0, 3.0])])
    assert rows_of(batch.take(np.array([2, 1, 2]))) == [([2, 5], [2.0, 3.0]), ([], []), ([2, 5], [2.0, 3.0])]
