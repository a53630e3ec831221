"""Native code that turns rows of (term ids, weights) into postings by term."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from spladelake.scoring.compiled import array, native, view


@native(view(types.int32), array(types.int32))
def count_terms(indices: Any, counts: Any) -> None:
    """Add the occurrences of each term to its count. indices: int32, below the size of counts."""
    for i in range(indices.size):
        counts[np.uint32(indices[i])] += 1


@native(
    view(types.int64), view(types.int32), view(types.float32), array(types.int32),
    array(types.uint16), array(types.float32),
)  # fmt: skip
def scatter_postings(indptr: Any, indices: Any, values: Any, next_place: Any, ordinals: Any, weights: Any) -> None:
    """Write each posting to the next place of its term; documents ascend within a term.

    - next_place: int32 (vocabulary), the start of each term's postings; changed.
    """
    for document in range(indptr.size - 1):
        ordinal = np.uint16(document)
        for i in range(indptr[document], indptr[document + 1]):
            term = np.uint32(indices[i])
            place = np.uint32(next_place[term])
            next_place[term] = place + 1
            ordinals[place] = ordinal
            weights[place] = values[i]


@native(view(types.int32), view(types.uint32), array(types.uint32))
def heaviest_of_terms(starts: Any, weights: Any, peaks: Any) -> None:
    """Write the largest weight of each term to `peaks`.

    Weights are the bits of positive floats: as integers they have the same order.
    """
    for term in range(peaks.size):
        peak = np.uint32(0)
        for i in range(starts[term], starts[term + 1]):
            peak = max(peak, weights[i])
        peaks[term] = peak
