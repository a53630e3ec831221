"""A batch of sparse vectors keeps its rows through every rearrangement and names the first row that is broken."""

from __future__ import annotations

import numpy as np
import pytest
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
    assert batch.first_violation(100) is None


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


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (([1, 2], [1.0, 0.0]), "not positive"),
        (([1, 2], [1.0, -1.0]), "not positive"),
        (([1], [float("nan")]), "not finite"),
        (([1], [float("inf")]), "not finite"),
        (([2, 1], [1.0, 1.0]), "do not ascend"),
        (([1, 1], [1.0, 1.0]), "do not ascend"),
        (([10], [1.0]), "outside 0..9"),
        (([-1], [1.0]), "outside 0..9"),
    ],
)
def test_the_first_broken_row_is_named_with_its_fault(bad: Row, why: str) -> None:
    batch = SparseVectors.from_rows([([7], [1.0]), ([3, 4], [1.0, 1.0]), bad, ([11], [-1.0])])
    found = batch.first_violation(10)
    assert found is not None
    assert found[0] == 2
    assert why in found[1]
