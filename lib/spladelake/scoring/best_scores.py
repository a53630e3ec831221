"""The best scores of each query, without their documents, for a process that sees the corpus part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.scoring.compiled import array, native, view
from spladelake.scoring.ranked import Ranked


class BestScores:
    """The k best scores of each query among the documents added so far; 8 bytes per score.

    Each document must be added only once: a document that counts twice could raise a bound above the true k-th score.
    """

    def __init__(self, queries: int, *, k: int) -> None:
        self._units = np.full((queries, k), -1, dtype=np.int64)

    def add(self, ranked: Ranked, *, first: int) -> None:
        """Add a ranking of further documents. first: number of query 0 in the whole run."""
        rows = np.searchsorted(ranked.queries, np.arange(first, first + len(self._units) + 1)).astype(np.int64)
        take_in(self._units, rows, ranked.units)

    def bounds(self) -> NDArray[np.int64]:
        """Return the units of each query's k-th score, 0 for a query with fewer scores: int64 (queries)."""
        return np.maximum(self._units[:, -1], 0)


@native(array(types.int64, 2), view(types.int64), view(types.int64))
def take_in(best: Any, starts: Any, units: Any) -> None:
    """Merge new scores into the best scores, all descending.

    - best: (queries, k), overwritten.
    - units: the new scores; query q has `units[starts[q]:starts[q + 1]]`.
    """
    k = best.shape[1]
    merged = np.empty(k, np.int64)
    for q in range(best.shape[0]):
        i, j, end = 0, starts[q], starts[q + 1]
        if j == end or units[j] <= best[q, k - 1]:
            continue
        for place in range(k):
            if j < end and units[j] > best[q, i]:
                merged[place] = units[j]
                j += 1
            else:
                merged[place] = best[q, i]
                i += 1
        best[q] = merged
