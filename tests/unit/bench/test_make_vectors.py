"""Vectors made for benchmarks keep the invariants and look like those they are made from."""

from __future__ import annotations

import numpy as np
import pytest

from bench.make_vectors import Maker
from spladelake.scoring import check_vectors
from unit.scoring.oracle import random_vectors

SIZE = 3000


@pytest.fixture(scope="module")
def maker() -> Maker:
    pool = random_vectors(np.random.default_rng(0), 300, vocabulary_size=SIZE, most_terms=250)
    return Maker.of(pool, terms=120, seed=5)


def test_a_row_is_the_same_however_the_rows_are_cut_into_parts(maker: Maker) -> None:
    whole = maker.rows(0, 900)
    for first, last in ((0, 1), (17, 400), (400, 900)):
        part = maker.rows(first, last)
        cut = slice(whole.indptr[first], whole.indptr[last])
        assert part.indices.tolist() == whole.indices[cut].tolist()
        assert part.values.tolist() == whole.values[cut].tolist()
    other = Maker(maker.pool, maker.shares, seed=6).rows(0, 900)
    assert len(other.indices) != len(whole.indices) or other.indices.tolist() != whole.indices.tolist()


def test_made_rows_are_vectors_of_the_length_and_terms_asked_for(maker: Maker) -> None:
    made = maker.rows(0, 5000)
    check_vectors(made, vocabulary_size=SIZE, place="found")
    assert made.active_dims.mean() == pytest.approx(120, rel=0.03)
    # Share of the postings that each term has, as in the pool: half the sum of differences is 0 for the same, 1 for
    # none in common; 300 rows that each are a parent of 33 leave a few hundredths.
    shares = [np.bincount(v.indices, minlength=SIZE) / len(v.indices) for v in (maker.pool, made)]
    assert abs(shares[0] - shares[1]).sum() / 2 < 0.1
    assert len({made.row(i)[0].tobytes() for i in range(5000)}) > 4900
    assert made.values.mean() == pytest.approx(maker.pool.values.mean(), rel=0.03)
