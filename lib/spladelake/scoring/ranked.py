"""Ranked documents of queries, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.scoring.doc_ids import DocIds
from spladelake.scoring.units import REST_UNITS, SCORE_UNITS


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows of (query, doc_id, units, rests), by query and then by rank; a query without hits has no row.

    - queries: int32, numbers of the queries in the whole run.
    - units, rests: int64; the score is units / 2^30 + rests / 2^76, with rests below 2^46.
    """

    queries: NDArray[np.int32]
    doc_ids: DocIds
    units: NDArray[np.int64]
    rests: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores, by the same divisions and sum as in SQL, so that the doubles are equal."""
        return self.units / SCORE_UNITS + self.rests / REST_UNITS

    @property
    def ranks(self) -> NDArray[np.int32]:
        """The rank of each row within its query, from 1."""
        if not len(self):
            return np.empty(0, dtype=np.int32)
        is_first = np.r_[True, np.diff(self.queries) != 0]
        rows = np.arange(len(self))
        return (rows - np.maximum.accumulate(np.where(is_first, rows, 0)) + 1).astype(np.int32)
