"""Exact dot products of pairs of sparse vectors: row i of one batch with row i of another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.scoring.compiled import array, native, view
from spladelake.scoring.exact import add_product, carry
from spladelake.scoring.units import CARRY_TERMS, MOST_UNITS, REST_UNITS, SCORE_UNITS
from spladelake.vectors import SparseVectors


def dot_pairs(first: SparseVectors, second: SparseVectors) -> NDArray[np.float64]:
    """Return the dot product of every row of `first` with the same row of `second`: float64 (rows).

    The numbers equal the scores of retrieval to the last bit.

    - first, second: vectors that keep the invariants of SparseVectors (see `check_vectors`), equally many.

    Raises DataError if a product exceeds 2^32.
    """
    units, rests = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.int64)
    sides = (part for v in (first, second) for part in (v.indptr, v.indices, v.values))
    too_large = add_pairs(*map(np.ascontiguousarray, sides), units, rests)
    if too_large >= 0:
        raise DataError(
            "dot",
            f"a dot product may exceed {MOST_UNITS / SCORE_UNITS:,.0f}",
            "wanted smaller dot products, because larger ones are not exact",
            "Order the rows by array_max(vector.values), and correct or scale down the largest weights.",
        )
    return units / SCORE_UNITS + rests / REST_UNITS


@native(
    view(types.int64), view(types.int32), view(types.float32),
    view(types.int64), view(types.int32), view(types.float32),
    array(types.int64), array(types.int64), returns=types.int64,
)  # fmt: skip
def add_pairs(
    starts1: Any, terms1: Any, weights1: Any, starts2: Any, terms2: Any, weights2: Any, units: Any, rests: Any
) -> int:
    """Add the products of each pair of rows to its units and rests; return the first row that is too large, or -1."""
    for row in range(units.size):
        i, j, shared = starts1[row], starts2[row], 0
        while i < starts1[row + 1] and j < starts2[row + 1]:
            if terms1[i] < terms2[j]:
                i += 1
            elif terms1[i] > terms2[j]:
                j += 1
            else:
                scaled = np.float64(weights1[i]) * SCORE_UNITS
                if units[row] + np.float64(weights2[j]) * scaled > MOST_UNITS:
                    return row
                add_product(units, rests, row, weights2[j], scaled)
                i, j, shared = i + 1, j + 1, shared + 1
                if shared % CARRY_TERMS == 0:
                    carry(units[row : row + 1], rests[row : row + 1])
    carry(units, rests)
    return -1
