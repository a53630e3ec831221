"""A batch of sparse vectors in compressed sparse row form, and the invariants every vector keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """Sparse vectors of one vocabulary, row i being the slice `indptr[i]:indptr[i + 1]` of the other two.

    indptr: int64 (rows + 1), from 0, never decreasing. indices: int32 term ids, ascending and unique in a row.
    values: float32 weights, finite and > 0. A text without terms is a row of length 0.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Term ids and weights of row i, as views."""
        start, end = self.indptr[i], self.indptr[i + 1]
        return self.indices[start:end], self.values[start:end]

    @property
    def active_dims(self) -> NDArray[np.int64]:
        """Number of terms in each row: int64 (rows)."""
        return np.diff(self.indptr)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[Sequence[int], Sequence[float]]]) -> SparseVectors:
        """Batch of (term ids, weights) pairs; each pair must already keep the invariants."""
        pairs = [(np.asarray(i, dtype=np.int32), np.asarray(v, dtype=np.float32)) for i, v in rows]
        indptr = np.zeros(len(pairs) + 1, dtype=np.int64)
        np.cumsum([len(i) for i, _ in pairs], out=indptr[1:])
        indices = np.concatenate([i for i, _ in pairs]) if pairs else np.empty(0, dtype=np.int32)
        values = np.concatenate([v for _, v in pairs]) if pairs else np.empty(0, dtype=np.float32)
        return cls(indptr, indices, values)

    def take(self, order: NDArray[np.int64]) -> SparseVectors:
        """Rows in the given order: row i of the result is row `order[i]` of this batch."""
        lengths = self.active_dims[order]
        indptr = np.zeros(len(order) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        # Position of every element: the row's old start, repeated, plus the offset within the row.
        source = np.repeat(self.indptr[:-1][order] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return SparseVectors(indptr, self.indices[source], self.values[source])

    def first_violation(self, vocabulary_size: int) -> tuple[int, str] | None:
        """The first row that breaks an invariant and how, or None when all keep them."""
        if len(self.indices) != len(self.values):
            return 0, f"{len(self.indices)} indices but {len(self.values)} values"
        row_of = np.repeat(np.arange(len(self)), self.active_dims)
        same_row = row_of[1:] == row_of[:-1]
        checks = (
            (~np.isfinite(self.values), "a weight is not finite"),
            (self.values <= 0, "a weight is not positive"),
            ((self.indices < 0) | (self.indices >= vocabulary_size), f"a term id is outside 0..{vocabulary_size - 1}"),
            (np.r_[False, same_row & (np.diff(self.indices) <= 0)][: len(row_of)], "term ids do not ascend"),
        )
        found = [(int(row_of[np.argmax(broken)]), why) for broken, why in checks if broken.any()]
        return min(found) if found else None
