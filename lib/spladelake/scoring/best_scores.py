"""The best scores of each query, without their documents: what a process knows of a corpus it sees part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.scoring.compiled import array, native, view
from spladelake.scoring.ranked import Ranked


class BestScores:
    """The k best scores of each query among the documents added so far; 8 bytes a score.

    Each document must be added once: one that counted twice would raise a bound above scores that belong to the k best.
    """

    def __init__(self, queries: int, *, k: int) -> None:
        self._units = np.full((queries, k), -1, dtype=np.int64)

    def add(self, ranked: Ranked, *, first: int) -> None:
        """Take in a ranking of other documents. first: number of query 0 in the whole run."""
        rows = np.searchsorted(ranked.queries, np.arange(first, first + len(self._units) + 1)).astype(np.int64)
        take_in(self._units, rows, ranked.units)

    def bounds(self) -> NDArray[np.int64]:
        """Units of each query's k-th score, 0 where it has fewer: int64 (queries)."""
        return np.maximum(self._units[:, -1], 0)


@native(array(types.int64, 2), view(types.int64), view(types.int64))
def take_in(best: Any, starts: Any, units: Any) -> None:
    """Merge sorted scores into the best: (queries, k), descending. units of query q: `starts[q]:starts[q + 1]`."""
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
