"""Top k by brute force, and vectors to try it on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from spladelake.vectors import SparseVectors
from support.exact import CUT, SMALLEST, Rows, rows_of

__all__ = ["brute_force", "dense", "random_vectors", "rows_of", "shuffled_ids"]


def brute_force(
    queries: SparseVectors, documents: SparseVectors, doc_ids: Sequence[str], *, k: int, vocabulary_size: int
) -> Rows:
    """(query, doc_id, score in 2^-76), best first: every product, sum and comparison on Python's integers.

    Nothing is cut off while weights multiply to 2^-29 or more: the score is then the exact dot product.
    """
    assert documents.indices.min(initial=0) >= 0
    assert documents.indices.max(initial=0) < vocabulary_size
    # Arrays of Python's integers: numpy runs the loops, the arithmetic is theirs.
    of_posting = np.repeat(np.arange(len(documents)), documents.active_dims)
    weights = all_whole(documents.values)
    by_term = np.argsort(documents.indices, kind="stable")
    ends = np.searchsorted(documents.indices[by_term], np.arange(vocabulary_size + 1))
    postings = [by_term[first:last] for first, last in pairwise(ends)]
    encoded = [doc_id.encode() for doc_id in doc_ids]
    rows: Rows = []
    for q in range(len(queries)):
        terms, values = queries.row(q)
        scores, shares = np.zeros(len(documents), dtype=object), np.zeros(len(documents), dtype=bool)
        for term, query_weight in zip(terms, all_whole(values), strict=True):
            d = of_posting[postings[term]]
            scores[d] += query_weight * weights[postings[term]] >> 2 * SMALLEST - CUT
            shares[d] = True
        found = np.flatnonzero(shares)
        ranking = sorted((-score, encoded[d]) for d, score in zip(found, scores[found].tolist(), strict=True))[:k]
        rows += [(q, doc_id.decode(), -minus_score) for minus_score, doc_id in ranking]
    return rows


def all_whole(weights: np.ndarray) -> np.ndarray:
    """float32 weights in units of 2^-149, exactly, as Python's integers."""
    scaled = np.ldexp(weights.astype(np.float64), SMALLEST)  # by a power of two, without loss
    assert (scaled == np.floor(scaled)).all()
    return np.array([int(weight) for weight in scaled.tolist()], dtype=object)


def dense(vectors: SparseVectors, vocabulary_size: int) -> np.ndarray:
    """float64 (rows, vocabulary)."""
    out = np.zeros((len(vectors), vocabulary_size))
    for i in range(len(vectors)):
        indices, values = vectors.row(i)
        out[i, indices] = values
    return out


def random_vectors(
    rng: np.random.Generator, rows: int, *, vocabulary_size: int, most_terms: int, levels: int | None = None
) -> SparseVectors:
    """Vectors of 0 to most_terms terms, low term ids far more often than high ones, so that some are frequent.

    levels: weights are one of that many multiples of 1/8, so that scores tie; without, they are arbitrary float32.
    """
    counts = rng.integers(0, most_terms + 1, rows)
    drawn = (vocabulary_size * rng.random(counts.sum()) ** 3).astype(np.int64)
    # A term that a row has drawn twice is one term; sorted by row and, in it, by term.
    cells = np.unique(np.repeat(np.arange(rows), counts) * vocabulary_size + drawn)
    indptr = np.searchsorted(cells, np.arange(rows + 1) * vocabulary_size)
    if levels is None:
        values = rng.gamma(2.0, 0.5, len(cells)).astype(np.float32) + np.float32(1e-6)
    else:
        values = rng.integers(1, levels + 1, len(cells)).astype(np.float32) / np.float32(8)
    return SparseVectors(indptr, (cells % vocabulary_size).astype(np.int32), values)


def shuffled_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Different ids in no order, some the beginning of others, some beyond ASCII and beyond 16 bits."""
    endings = ("", "0", "ü", "zz", "\U0001f600", "\uffff")
    return [f"d{number}{endings[number % len(endings)]}" for number in rng.permutation(count)]
