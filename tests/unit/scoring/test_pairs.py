"""The dot product of a pair is exact: that of whole numbers, whatever the order of the products."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from spladelake.errors import DataError
from spladelake.scoring.pairs import dot_pairs
from spladelake.vectors import SparseVectors


def drawn(rng: np.random.Generator, rows: int) -> SparseVectors:
    """Vectors of 0 to 30 of 40 terms, with weights of usual size."""
    pairs = []
    for _ in range(rows):
        terms = np.sort(rng.choice(40, size=rng.integers(0, 31), replace=False))
        pairs.append((terms.tolist(), (rng.gamma(2.0, size=len(terms)) + 0.01).astype(np.float32).tolist()))
    return SparseVectors.from_rows(pairs)


def test_a_dot_product_is_that_of_exact_fractions() -> None:
    rng = np.random.default_rng(3)
    first, second = drawn(rng, 50), drawn(rng, 50)
    wanted = []
    for row in range(50):
        (terms1, weights1), (terms2, weights2) = first.row(row), second.row(row)
        weight = dict(zip(terms2.tolist(), weights2.tolist(), strict=True))
        shared = zip(terms1.tolist(), weights1.tolist(), strict=True)
        wanted.append(float(sum((Fraction(w) * Fraction(weight[t]) for t, w in shared if t in weight), Fraction(0))))
    assert dot_pairs(first, second).tolist() == wanted
    assert dot_pairs(second, first).tolist() == wanted
    assert len(dot_pairs(first.take(np.arange(0)), second.take(np.arange(0)))) == 0


def test_a_product_that_integers_cannot_hold_is_refused_with_its_row() -> None:
    huge = SparseVectors.from_rows([([1], [1.0]), ([1], [1e30])])
    with pytest.raises(
        DataError,
        match=r"dot: a dot product may exceed 4,294,967,296; .* Order the rows by array_max\(vector\.values\)",
    ):
        dot_pairs(huge, huge)
