"""What a sample leads to expect of a query's k-th score: a bound that is worth a try, not one that must hold."""

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

# Standard deviations by which more of the sample is taken than its share of the k best, and a few on top: of a random
# sample, one bound in ten million is then too high.
DEVIATIONS, SPARE = 5.0, 3
# Parts of a sample that must agree: none counts for more than this part of what is taken.
MOST_OF_A_PART = 1 / 4


@dataclass(frozen=True)
class Expected:
    """bounds: int64 (queries), units that k documents of the corpus are expected to have, 0 where nothing is known.
    density: float32 (queries), share of the documents that are expected to reach them."""

    bounds: NDArray[np.int64]
    density: NDArray[np.float32]

    def take(self, first: int, end: int) -> Expected:
        """That of some of the queries."""
        return Expected(self.bounds[first:end], self.density[first:end])


def expected_bounds(
    queries: Queries, parts: Sequence[tuple[SparseVectors, DocIds]], *, k: int, documents: int
) -> Expected:
    """Units that about the k best of all documents have, or some more, from parts of the corpus.

    Among m of N documents chosen at random there are k·m/N of the k best on average, and the chance of so many more as
    are taken here is that of Poisson's distribution. Parts are neighbours in the corpus, though, and those of one may
    all be about what a query asks: so the documents that set the bound must come from several.
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
