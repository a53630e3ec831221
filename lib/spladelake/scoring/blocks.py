"""Inverted blocks of documents: for each term, the documents that have it and its weight in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spladelake.errors import DataError, UsageError
from spladelake.scoring.inversion import count_terms, heaviest_of_terms, scatter_postings
from spladelake.vectors import SparseVectors

# Documents of a block. Their scores, of two bytes each, fit in a 32 KB first-level cache together with one column.
# Measured by tests/bench/bench_retrieve.py --block-size: 4,096 and 16,384 are up to 10 % slower.
BLOCK_DOCUMENTS = 8_192
# Document ordinals are uint16.
MOST_DOCUMENTS = 65_536


@dataclass(frozen=True, eq=False)
class Block:
    """Postings of up to 65,536 documents; document i of the block is the i-th row of its vectors.

    - term_ids: int32 (terms), the terms that occur, ascending.
    - starts: int32 (terms + 1); the postings of the t-th term are `starts[t]:starts[t + 1]`.
    - peaks: float32 (terms), the largest weight of each term.
    - ordinals: uint16 (postings), the document of each posting, ascending within a term.
    - weights: float32 (postings), finite and > 0.
    """

    documents: int
    vocabulary_size: int
    term_ids: NDArray[np.int32]
    starts: NDArray[np.int32]
    peaks: NDArray[np.float32]
    ordinals: NDArray[np.uint16]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return self.documents

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays: 6 per posting and 12 per term."""
        arrays = (self.term_ids, self.starts, self.peaks, self.ordinals, self.weights)
        return sum(a.nbytes for a in arrays)


def invert(vectors: SparseVectors, *, vocabulary_size: int) -> Block:
    """Return the block of these documents; row i becomes document i.

    - vectors: at most 65,536 rows that keep the invariants of SparseVectors (see `check_vectors`).
    - vocabulary_size: number of dimensions.

    Raises DataError if a term id is not below vocabulary_size.
    """
    _refuse_too_many(len(vectors))
    first, last = vectors.indptr[0], vectors.indptr[-1]
    indices, values = vectors.indices[first:last], vectors.values[first:last]
    if len(indices) and not 0 <= indices.min() <= indices.max() < vocabulary_size:
        found, wanted = (
            f"the term ids go from {indices.min()} to {indices.max()}",
            f"wanted term ids from 0 to {vocabulary_size - 1}",
        )
        raise DataError("vectors", found, wanted, "Set vocabulary_size to the size of the vectors' vocabulary.")
    counts = np.zeros(vocabulary_size, dtype=np.int32)
    count_terms(indices, counts)
    term_ids = np.flatnonzero(counts).astype(np.int32)
    starts = np.zeros(len(term_ids) + 1, dtype=np.int32)
    np.cumsum(counts[term_ids], out=starts[1:])
    counts[term_ids] = starts[:-1]
    ordinals, weights = np.empty(len(indices), dtype=np.uint16), np.empty(len(indices), dtype=np.float32)
    scatter_postings(vectors.indptr - first, indices, values, counts, ordinals, weights)
    peaks = np.empty(len(term_ids), dtype=np.float32)
    heaviest_of_terms(starts, weights.view(np.uint32), peaks.view(np.uint32))
    return Block(len(vectors), vocabulary_size, term_ids, starts, peaks, ordinals, weights)


def blocks_of(
    vectors: SparseVectors, *, vocabulary_size: int, block_size: int = BLOCK_DOCUMENTS
) -> Iterator[tuple[int, Block]]:
    """Yield (first, block) for every `block_size` rows: document i of the block is row `first + i`."""
    if not 1 <= block_size <= MOST_DOCUMENTS:
        raise UsageError(
            "block_size", f"the value is {block_size}", f"wanted 1 to {MOST_DOCUMENTS}", "Leave out block_size."
        )
    for first in range(0, len(vectors), block_size):
        rows = SparseVectors(vectors.indptr[first : first + block_size + 1], vectors.indices, vectors.values)
        yield first, invert(rows, vocabulary_size=vocabulary_size)


def _refuse_too_many(documents: int) -> None:
    if documents > MOST_DOCUMENTS:
        raise UsageError(
            "block",
            f"the block has {documents} documents",
            f"wanted at most {MOST_DOCUMENTS}",
            "Split the documents with blocks_of.",
        )
