"""Queries as flat arrays: small, picklable, and shared by all blocks of documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import UsageError
from spladelake.scoring.shortlist import places_for
from spladelake.vectors import SparseVectors

# Bytes of a place in a shortlist: units, rests and row.
PLACE_BYTES = 20
# Default memory of the shortlists of one pass, in bytes: 6,980 queries at k = 1,000 take 210 MB.
PASS_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class Queries:
    """The queries of one pass over the documents; its query i is query `first + i` of the whole run.

    - indptr: int64 (queries + 1), the start of each query's postings.
    - slots: int32 (postings), places in `terms`.
    - weights: float32 (postings).
    - terms: int32, the distinct term ids, ascending.
    - uses: int32 (terms), the number of queries with each term.
    """

    first: int
    vocabulary_size: int
    indptr: NDArray[np.int64]
    slots: NDArray[np.int32]
    weights: NDArray[np.float32]
    terms: NDArray[np.int32]
    uses: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, vectors: SparseVectors, *, vocabulary_size: int, first: int = 0) -> Queries:
        """Return the queries of vectors that keep the invariants of SparseVectors (see `check_vectors`)."""
        start, end = vectors.indptr[0], vectors.indptr[-1]
        if len(vectors) == 1:
            # The terms of a row are ascending and distinct.
            count = int(end - start)
            return cls(
                first, vocabulary_size, vectors.indptr - start, np.arange(count, dtype=np.int32),
                np.ascontiguousarray(vectors.values[start:end]),
                np.ascontiguousarray(vectors.indices[start:end], dtype=np.int32), np.ones(count, dtype=np.int32),
            )  # fmt: skip
        terms, slots, uses = np.unique(vectors.indices[start:end], return_inverse=True, return_counts=True)
        return cls(
            first, vocabulary_size, vectors.indptr - start, slots.astype(np.int32),
            np.ascontiguousarray(vectors.values[start:end]), terms, uses.astype(np.int32),
        )  # fmt: skip


def query_passes(
    vectors: SparseVectors, *, vocabulary_size: int, k: int, most_bytes: int = PASS_BYTES
) -> Iterator[Queries]:
    """Split queries into passes whose shortlists take at most `most_bytes` in each task; usually there is one pass.

    Passes only limit memory and never change a result. Each further pass reads and inverts the documents again.
    """
    if k < 1:
        raise UsageError(
            "k", f"the value is {k}", "wanted 1 or more", "Set k to how many documents you want for each query."
        )
    size = max(1, most_bytes // (places_for(k) * PLACE_BYTES))
    for first in range(0, len(vectors), size):
        rows = SparseVectors(vectors.indptr[first : first + size + 1], vectors.indices, vectors.values)
        yield Queries.of(rows, vocabulary_size=vocabulary_size, first=first)
