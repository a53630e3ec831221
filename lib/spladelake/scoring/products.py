"""The number of products of a retrieval, computed before it starts."""

from __future__ import annotations

from operator import mul

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.inversion import count_terms
from spladelake.vectors import SparseVectors


def term_counts(vectors: SparseVectors, *, vocabulary_size: int) -> NDArray[np.int32]:
    """Return the number of vectors with each term: int32 (vocabulary). Term ids must be checked before."""
    counts = np.zeros(vocabulary_size, dtype=np.int32)
    count_terms(vectors.indices[vectors.indptr[0] : vectors.indptr[-1]], counts)
    return counts


def count_products(doc_term_counts: NDArray[np.integer], query_term_counts: NDArray[np.integer]) -> int:
    """Return the products in a join of documents and queries: the sum over terms of documents × queries with it.

    Both arrays have the shape (vocabulary). The sum is exact at any size: Python integers do not overflow.
    """
    return sum(map(mul, doc_term_counts.tolist(), query_term_counts.tolist()))
