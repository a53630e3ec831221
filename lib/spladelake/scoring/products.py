"""The work of a retrieval, known before it starts."""

from __future__ import annotations

from operator import mul

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.inversion import count_terms
from spladelake.vectors import SparseVectors


def term_counts(vectors: SparseVectors, *, vocabulary_size: int) -> NDArray[np.int32]:
    """How many of the vectors have each term: int32 (vocabulary). Term ids must be checked."""
    counts = np.zeros(vocabulary_size, dtype=np.int32)
    count_terms(vectors.indices[vectors.indptr[0] : vectors.indptr[-1]], counts)
    return counts


def count_products(doc_term_counts: NDArray[np.integer], query_term_counts: NDArray[np.integer]) -> int:
    """Products of weights that a join of documents and queries makes: Σ over terms of documents × queries with it.

    Both: (vocabulary). Exact at any size: Python integers do not overflow.
    """
    return sum(map(mul, doc_term_counts.tolist(), query_term_counts.tolist()))
