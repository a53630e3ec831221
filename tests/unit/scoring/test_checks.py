"""Vectors that would be scored wrongly are refused, with the row that has the fault."""

from __future__ import annotations

import numpy as np
import pytest

from spladelake.errors import DataError
from spladelake.scoring import check_vectors
from spladelake.vectors import SparseVectors

GOOD = ([1, 4], [0.5, 1.0])


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (([2], [float("nan")]), "the term 2 has the weight nan; wanted finite weights above 0"),
        (([2], [float("inf")]), "the term 2 has the weight inf"),
        (([2], [-0.5]), "the term 2 has the weight -0.5"),
        (([2], [0.0]), "the term 2 has the weight 0.0"),
        (([3, 2], [1.0, 1.0]), "the term 2 comes after the term 3; wanted ascending term ids"),
        (([0, 3, 3], [1.0, 1.0, 1.0]), "the row has the term 3 twice"),
        (([3, 9], [1.0, 1.0]), "the row has the term 9; wanted term ids from 0 to 8"),
        (([-2, 3], [1.0, 1.0]), "the row has the term -2; wanted term ids from 0 to 8"),
    ],
)
def test_a_broken_row_is_refused_by_its_id(row: tuple[list[int], list[float]], found: str) -> None:
    vectors = SparseVectors.from_rows([GOOD, ([], []), row, ([8], [-1.0])])
    with pytest.raises(DataError) as error:
        check_vectors(vectors, vocabulary_size=9, place="vectors of x", ids=["a", "b", "c", "d"])
    assert str(error.value).startswith(f"vectors of x, id 'c': {found}")
    with pytest.raises(DataError, match="vectors of x, row 2: "):
        check_vectors(vectors, vocabulary_size=9, place="vectors of x")


def test_arrays_of_different_lengths_are_refused_by_row() -> None:
    vectors = SparseVectors(
        np.array([0, 2, 5]), np.array([1, 2, 0, 1, 2], dtype=np.int32), np.ones(5, dtype=np.float32)
    )
    with pytest.raises(
        DataError, match="t, id 'q2': the row has 3 indices but 2 values; wanted as many indices as values"
    ):
        check_vectors(vectors, vocabulary_size=9, place="t", ids=["q1", "q2"], value_indptr=np.array([0, 2, 4]))
    short = SparseVectors(vectors.indptr, vectors.indices, vectors.values[:4])
    with pytest.raises(DataError, match="t: the rows have 5 elements together, but 5 indices and 4 values"):
        check_vectors(short, vocabulary_size=9, place="t")


def test_vectors_that_keep_the_invariants_pass() -> None:
    smallest, largest = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    check_vectors(
        SparseVectors.from_rows([([], []), GOOD, ([0, 8], [smallest, largest])]), vocabulary_size=9, place="t",
        value_indptr=np.array([0, 0, 2, 4]),
    )  # fmt: skip
    check_vectors(SparseVectors.from_rows([]), vocabulary_size=9, place="t")
