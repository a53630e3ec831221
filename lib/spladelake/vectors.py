"""A batch of sparse vectors in compressed sparse row form, and the invariants of every vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """Sparse vectors of one vocabulary. Row i is the slice `indptr[i]:indptr[i + 1]` of `indices` and `values`.

    - indptr: int64 (rows + 1), starts at 0, never decreases.
    - indices: int32 term ids, ascending and unique within a row.
    - values: float32 weights, finite and > 0.

    A text without terms is a row of length 0. `scoring.check_vectors` refuses vectors that break an invariant.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return term ids and weights of row i, as views."""
        start, end = self.indptr[i], self.indptr[i + 1]
        return self.indices[start:end], self.values[start:end]

    @property
    def active_dims(self) -> NDArray[np.int64]:
        """Number of terms in each row: int64 (rows)."""
        return np.diff(self.indptr)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[Sequence[int], Sequence[float]]]) -> SparseVectors:
        """Return a batch of (term ids, weights) pairs. Each pair must already meet the invariants."""
        pairs = [(np.asarray(i, dtype=np.int32), np.asarray(v, dtype=np.float32)) for i, v in rows]
        indptr = np.zeros(len(pairs) + 1, dtype=np.int64)
        np.cumsum([len(i) for i, _ in pairs], out=indptr[1:])
        indices = np.concatenate([i for i, _ in pairs]) if pairs else np.empty(0, dtype=np.int32)
        values = np.concatenate([v for _, v in pairs]) if pairs else np.empty(0, dtype=np.float32)
        return cls(indptr, indices, values)

    def take(self, order: NDArray[np.int64]) -> SparseVectors:
        """Return the rows in the given order: row i of the result is row `order[i]` of this batch."""
        lengths = self.active_dims[order]
        indptr = np.zeros(len(order) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        # Position of every element: the row's old start, repeated, plus the offset within the row.
        source = np.repeat(self.indptr[:-1][order] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return SparseVectors(indptr, self.indices[source], self.values[source])

    def list_columns(self) -> list[pa.ListArray]:
        """Return term ids and weights as list columns over the same elements."""
        offsets = pa.array(self.indptr.astype(np.int32))
        return [
            pa.ListArray.from_arrays(offsets, pa.array(self.indices, pa.int32())),
            pa.ListArray.from_arrays(offsets, pa.array(self.values, pa.float32())),
        ]
