"""Exact top k of vectors too many for brute force: float64 products name the candidates, integers rank them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from math import ldexp
from operator import itemgetter

import numpy as np
from scipy.sparse import csr_array

from spladelake.scoring import Ranked
from spladelake.vectors import SparseVectors

# (query, doc_id, score in 2^-76), best first.
Rows = list[tuple[int, str, int]]

# Every float32 is a whole number of 2^-149; scores are counted in 2^-76, and what a product has below that is cut.
SMALLEST, CUT = 149, 76
# What a float64 dot product of thousands of terms may lose, relative, with room to spare.
LOSS = 1e-11


def exact_top_k(
    queries: SparseVectors, documents: SparseVectors, doc_ids: Sequence[str], *, k: int, vocabulary_size: int
) -> Rows:
    """The k best documents of each query among those that share a term, ties by the bytes of the id.

    For weights of usual size: no product may be 0 in float64.
    """
    shape = (len(documents), vocabulary_size)
    matrix = csr_array((documents.values.astype(np.float64), documents.indices, documents.indptr), shape=shape)
    rows: Rows = []
    for q in range(len(queries)):
        terms, weights = queries.row(q)
        dense = np.zeros(vocabulary_size)
        dense[terms] = weights
        scores = matrix @ dense
        candidates = np.flatnonzero(scores)
        if len(candidates) > k:
            worst = np.partition(scores[candidates], -k)[-k]
            candidates = candidates[scores[candidates] >= worst * (1 - LOSS)]
        query = {int(t): whole(w) for t, w in zip(terms, weights, strict=True)}
        exact = ((exact_score(query, *documents.row(d)), doc_ids[d].encode()) for d in candidates)
        ranking = sorted((-score, doc_id) for score, doc_id in exact)[:k]
        rows += [(q, doc_id.decode(), -minus_score) for minus_score, doc_id in ranking]
    return rows


def exact_score(query: dict[int, int], terms: np.ndarray, weights: np.ndarray) -> int:
    """Dot product in 2^-76. query: weights in 2^-149."""
    shared = ((query[t], w) for t, w in zip(terms.tolist(), weights.tolist(), strict=True) if t in query)
    return sum(weight * whole(w) >> 2 * SMALLEST - CUT for weight, w in shared)


def whole(weight: float) -> int:
    """A float32 in units of 2^-149, exactly: doubles are scaled by a power of two without loss."""
    scaled = ldexp(float(weight), SMALLEST)
    assert scaled.is_integer()
    return int(scaled)


def rows_of(ranked: Ranked) -> Rows:
    """A result in the form of the oracle's."""
    assert ((ranked.rests >= 0) & (ranked.rests < 2**46)).all()
    scores = [(units << 46) + rests for units, rests in zip(ranked.units.tolist(), ranked.rests.tolist(), strict=True)]
    return list(zip(ranked.queries.tolist(), ranked.doc_ids.to_strings(), scores, strict=True))


def first_of_each(rows: Rows, k: int) -> Rows:
    """The first k rows of each query: the order is total."""
    return [row for _, of_query in groupby(rows, key=itemgetter(0)) for row in islice(of_query, k)]
