"""An estimate of each query's k-th score from a sample: likely a lower bound, but not guaranteed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.queries import Queries
from spladelake.scoring.top_k import TopK
from spladelake.vectors import SparseVectors

# The bound is taken at the sample's expected share of the k best, plus this many standard deviations and a few more: in
# a random sample one bound in ten million is then too high.
DEVIATIONS, SPARE = 5.0, 3
# Largest share of the documents above a bound that may come from one part of the sample.
MOST_OF_A_PART = 1 / 4


@dataclass(frozen=True)
class Expected:
    """Estimated bounds of queries.

    - bounds: int64 (queries), units that at least k documents of the corpus should reach; 0 if nothing is known.
    - density: float32 (queries), expected share of the documents that reach the bound.
    """

    bounds: NDArray[np.int64]
    density: NDArray[np.float32]

    def take(self, first: int, end: int) -> Expected:
        """Return the estimates of queries `first` to `end`."""
        return Expected(self.bounds[first:end], self.density[first:end])


def expected_bounds(
    queries: Queries, parts: Sequence[tuple[SparseVectors, DocIds]], *, k: int, documents: int
) -> Expected:
    """Estimate the units that the k best of all documents reach, from parts of the corpus.

    A random sample of m of N documents holds k·m/N of the k best on average, with a Poisson distribution; DEVIATIONS
    and SPARE cover its spread. But documents of a part are neighbours in the corpus, and all may match a query. So no
    part may supply more than MOST_OF_A_PART of the documents above a bound.

    - parts: the vectors and ids of each part of the sample.
    - k: number of documents per query.
    - documents: number of documents in the corpus.
    """
    sampled = sum(len(vectors) for vectors, _ in parts)
    mean = k * sampled / max(1, documents)
    rank = math.ceil(mean + DEVIATIONS * math.sqrt(mean) + SPARE)
    most = math.ceil(rank * MOST_OF_A_PART)
    units = np.zeros((len(queries), len(parts) * most), dtype=np.int64)
    for number, (vectors, ids) in enumerate(parts):
        top = TopK(queries, k=most)
        top.add_vectors(vectors, ids)
        ranked = top.result()
        units[ranked.queries - queries.first, number * most + ranked.ranks - 1] = ranked.units
    if rank > units.shape[1]:
        return Expected(np.zeros(len(queries), dtype=np.int64), np.ones(len(queries), dtype=np.float32))
    bounds = np.partition(units, -rank, axis=1)[:, -rank]
    return Expected(bounds, np.where(bounds > 0, rank / sampled, 1).astype(np.float32))
