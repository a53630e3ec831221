"""Top k by brute force, and vectors to try it on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spladelake.vectors import SparseVectors
from support.exact import CUT, SMALLEST, Rows, rows_of, whole

__all__ = ["brute_force", "dense", "random_vectors", "rows_of", "shuffled_ids"]


def brute_force(
    queries: SparseVectors, documents: SparseVectors, doc_ids: Sequence[str], *, k: int, vocabulary_size: int
) -> Rows:
    """(query, doc_id, score in 2^-76), best first: every product, sum and comparison on Python's integers.

    Nothing is cut off while weights multiply to 2^-29 or more: the score is then the exact dot product.
    """
    postings: dict[int, list[tuple[int, int]]] = {}
    for d in range(len(documents)):
        for term, weight in zip(*documents.row(d), strict=True):
            postings.setdefault(int(term), []).append((d, whole(weight)))
    rows: Rows = []
    for q in range(len(queries)):
        scores: dict[int, int] = {}
        for term, weight in zip(*queries.row(q), strict=True):
            query_weight = whole(weight)
            for d, document_weight in postings.get(int(term), ()):
                product = query_weight * document_weight >> 2 * SMALLEST - CUT
                scores[d] = scores.get(d, 0) + product
        ranking = sorted((-score, doc_ids[d].encode()) for d, score in scores.items())[:k]
        rows += [(q, doc_id.decode(), -minus_score) for minus_score, doc_id in ranking]
    assert all(0 <= term < vocabulary_size for term in postings)
    return rows


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
    pairs = []
    for _ in range(rows):
        drawn = vocabulary_size * rng.random(rng.integers(0, most_terms + 1)) ** 3
        indices = np.unique(drawn.astype(np.int32))
        if levels is None:
            values = rng.gamma(2.0, 0.5, len(indices)).astype(np.float32) + np.float32(1e-6)
        else:
            values = rng.integers(1, levels + 1, len(indices)).astype(np.float32) / 8
        pairs.append((indices, values))
    return SparseVectors.from_rows(pairs)


def shuffled_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Different ids in no order, some the beginning of others, some beyond ASCII and beyond 16 bits."""
    endings = ("", "0", "ü", "zz", "\U0001f600", "\uffff")
    return [f"d{number}{endings[number % len(endings)]}" for number in rng.permutation(count)]
