"""The number of products is that of the join."""

from __future__ import annotations

import numpy as np

from spladelake.scoring import count_products, term_counts
from unit.scoring.oracle import dense, random_vectors


def test_products_are_counted_as_a_join_makes_them() -> None:
    rng = np.random.default_rng(0)
    documents = random_vectors(rng, 50, vocabulary_size=30, most_terms=9)
    queries = random_vectors(rng, 20, vocabulary_size=30, most_terms=5)
    joined = (dense(queries, 30) > 0).astype(int) @ (dense(documents, 30) > 0).astype(int).T
    counts = [term_counts(vectors, vocabulary_size=30) for vectors in (documents, queries)]
    assert count_products(*counts) == joined.sum()


def test_products_beyond_64_bits_are_counted_exactly() -> None:
    counts = np.array([2**40, 3], dtype=np.int64)
    assert count_products(counts, counts) == 2**80 + 9
