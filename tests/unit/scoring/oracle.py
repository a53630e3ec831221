"""Top k by brute force, and vectors to try it on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spladelake.scoring import Ranked
from spladelake.vectors import SparseVectors

Rows = list[tuple[int, str, int]]


def brute_force(
    queries: SparseVectors, documents: SparseVectors, doc_ids: Sequence[str], *, k: int, vocabulary_size: int
) -> Rows:
    """(query, doc_id, units), best first: every product in float64, every sum in int64, every comparison in Python."""
    of_documents = dense(documents, vocabulary_size)
    rows: Rows = []
    for q, weights in enumerate(dense(queries, vocabulary_size)):
        products = np.rint(weights * of_documents * 2.0**40).astype(np.int64)
        units, shares_a_term = products.sum(axis=1), ((weights > 0) & (of_documents > 0)).any(axis=1)
        ranking = sorted((-int(units[d]), doc_ids[d]) for d in np.flatnonzero(shares_a_term))[:k]
        rows += [(q, doc_id, -minus_units) for minus_units, doc_id in ranking]
    return rows


def dense(vectors: SparseVectors, vocabulary_size: int) -> np.ndarray:
    """float64 (rows, vocabulary)."""
    out = np.zeros((len(vectors), vocabulary_size))
    for i in range(len(vectors)):
        indices, values = vectors.row(i)
        out[i, indices] = values
    return out


def rows_of(ranked: Ranked) -> Rows:
    """A result in the form of the oracle's."""
    return list(zip(ranked.queries.tolist(), ranked.doc_ids.to_strings(), ranked.units.tolist(), strict=True))


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
