"""Vectors in Arrow batches: (id, indices, values) rows, checked as they are read in a worker or in the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spladelake.errors import DataError
from spladelake.scoring import DocIds, check_vectors
from spladelake.vectors import SparseVectors

# The columns that `vectors_of` reads.
VECTOR_COLUMNS = pa.schema([("id", pa.string()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float32()))])


def vectors_of(batch: pa.RecordBatch, *, place: str, vocabulary_size: int) -> tuple[SparseVectors, DocIds]:
    """Return the vectors and ids of an Arrow batch with VECTOR_COLUMNS, without a copy.

    - batch: the rows.
    - place: the table of the rows, for messages.
    - vocabulary_size: dimensions of the vectors.

    Raises DataError that names the first bad row.
    """
    ids, indices, values = (batch.column(name) for name in ("id", "indices", "values"))
    names = _Ids(ids)
    _refuse_nulls(names, {"id": ids, "indices": indices, "values": values}, place)
    indptr, value_indptr = _offsets(indices), _offsets(values)
    vectors = SparseVectors(
        indptr,
        indices.flatten().to_numpy(zero_copy_only=False),
        values.flatten().to_numpy(zero_copy_only=False),
    )
    check_vectors(vectors, vocabulary_size=vocabulary_size, place=place, ids=names, value_indptr=value_indptr)
    return vectors, doc_ids_of(ids)


def check_table(table: pa.Table, *, place: str, vocabulary_size: int) -> None:
    """Raise DataError that names the first bad row of a table with VECTOR_COLUMNS."""
    for batch in table.select(VECTOR_COLUMNS.names).cast(VECTOR_COLUMNS).combine_chunks().to_batches():
        vectors_of(batch, place=place, vocabulary_size=vocabulary_size)


def _refuse_nulls(names: Sequence[str], columns: Mapping[str, pa.Array], place: str) -> None:
    """Raise DataError if an id, an array, or an element of an array is null."""
    for name, column in columns.items():
        if not column.null_count and (name == "id" or not column.flatten().null_count):
            continue
        if column.null_count:
            found, row = f"{name} is null", column.is_null().index(True).as_py()
        else:
            element = column.flatten().is_null().index(True).as_py()
            found, row = f"{name} holds a null", int(np.searchsorted(_offsets(column), element, side="right")) - 1
        fix = "Correct this row, or encode its text again."
        wanted = "wanted an id" if name == "id" else f"wanted {name} without nulls"
        raise DataError(f"{place}, id {names[row]!r}", found, wanted, fix)


class _Ids(Sequence[str]):
    """The ids of a column by row. An id becomes a Python string only if an error names it."""

    def __init__(self, column: pa.StringArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: Any) -> Any:
        return self._column[row].as_py()


def _offsets(column: pa.ListArray) -> NDArray[np.int64]:
    offsets = column.offsets.to_numpy().astype(np.int64)
    return np.asarray(offsets - offsets[0], dtype=np.int64)


def doc_ids_of(column: pa.StringArray) -> DocIds:
    """Return the ids of an Arrow string column, without a copy of their bytes."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    first, last = (starts[0], starts[-1]) if len(column) else (0, 0)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return DocIds(starts - first if len(column) else np.zeros(1, dtype=np.int64), raw[first:last])
