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
    If rankings may share documents, as those of passages do, the bound is the best k-th score of a single ranking.
    """

    def __init__(self, queries: int, *, k: int, shared: bool = False) -> None:
        """Start without scores. shared: whether rankings may share documents."""
        self._units = np.full((queries, 1 if shared else k), -1, dtype=np.int64)
        self._k, self._shared = k, shared

    def add(self, ranked: Ranked, *, first: int) -> None:
        """Add a ranking of further documents. first: number of query 0 in the whole run."""
        rows = np.searchsorted(ranked.queries, np.arange(first, first + len(self._units) + 1)).astype(np.int64)
        if self._shared:
            full = np.flatnonzero(np.diff(rows) >= self._k)
            last = ranked.units[rows[full] + self._k - 1]
            self._units[full, 0] = np.maximum(self._units[full, 0], last)
            return
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
