"""Ranked documents of queries, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.units import REST_UNITS, SCORE_UNITS


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows of (query, doc_id, units, rests), by query and then from rank 1 on; a query without any hit has no row.

    queries: int32, numbers of the queries in the whole run. units, rests: int64, the score being units / 2^30 +
    rests / 2^76, with rests below 2^46.
    """

    queries: NDArray[np.int32]
    doc_ids: DocIds
    units: NDArray[np.int64]
    rests: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores, by the divisions and the sum that SQL does too: the same doubles."""
        return self.units / SCORE_UNITS + self.rests / REST_UNITS

    @property
    def ranks(self) -> NDArray[np.int32]:
        """Rank of each row among those of its query, from 1."""
        if not len(self):
            return np.empty(0, dtype=np.int32)
        is_first = np.r_[True, np.diff(self.queries) != 0]
        rows = np.arange(len(self))
        return (rows - np.maximum.accumulate(np.where(is_first, rows, 0)) + 1).astype(np.int32)
