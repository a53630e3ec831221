"""Delta tables of vectors, written without Spark: by the `deltalake` package, which streams Arrow batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake

from spladelake.spark.tables.properties import LAYOUT_VERSION
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import VECTORS, VOCABULARY
from spladelake.vectors import SparseVectors

_TYPES = {
    "string": pa.string(), "int": pa.int32(), "boolean": pa.bool_(),
    "array<int>": pa.list_(pa.int32()), "array<float>": pa.list_(pa.float32()),
}  # fmt: skip
# Files of about a minute of Spark's reading, as many as a small cluster has tasks.
FILE_BYTES = 128 * 2**20
# Rows that the writer takes at a time: it holds a batch of each row group in memory.
BATCH_ROWS = 10_000
WRITER = WriterProperties(compression="SNAPPY", max_row_group_size=100_000)


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """The columns with their comments, as Delta keeps them."""
    return pa.schema([pa.field(c.name, _TYPES[c.type], metadata={"comment": c.comment}) for c in schema.columns])


def vector_batch(ids: list[str], vectors: SparseVectors, *, model_id: str) -> pa.RecordBatch:
    """Rows of a vectors table; what the encoder says of a text is said of none."""
    rows = len(vectors)
    offsets = pa.array((vectors.indptr - vectors.indptr[0]).astype(np.int32))
    elements = slice(vectors.indptr[0], vectors.indptr[-1])
    columns = [
        pa.array(ids), pa.ListArray.from_arrays(offsets, pa.array(vectors.indices[elements])),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.values[elements])),
        pa.array(vectors.active_dims.astype(np.int32)), pa.repeat(pa.scalar(False), rows),
        pa.nulls(rows, pa.string()), pa.repeat(pa.scalar("ok"), rows), pa.repeat(pa.scalar(model_id), rows),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=arrow_schema(VECTORS))


def write_vectors(
    folder: Path, parts: Iterable[tuple[list[str], SparseVectors]], *, model_id: str, properties: dict[str, str]
) -> int:
    """Write a vectors table, a part at a time; returns its postings.

    It has the columns and properties that encode_texts gives it, but no constraints: what is made here keeps them.
    """
    postings = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal postings
        for ids, vectors in parts:
            postings += len(vectors.indices)
            for first in range(0, len(ids), BATCH_ROWS):
                last = min(first + BATCH_ROWS, len(ids))
                rows = SparseVectors(vectors.indptr[first : last + 1], vectors.indices, vectors.values)
                yield vector_batch(ids[first:last], rows, model_id=model_id)

    _write(folder, VECTORS, pa.RecordBatchReader.from_batches(arrow_schema(VECTORS), batches()), properties)
    return postings


def write_vocabulary(folder: Path, size: int, properties: dict[str, str]) -> None:
    """Write a vocabulary table whose tokens are numbers."""
    schema = arrow_schema(VOCABULARY)
    tokens = pa.table([pa.array(range(size), pa.int32()), pa.array([f"t{t}" for t in range(size)])], schema=schema)
    _write(folder, VOCABULARY, tokens, properties)


def _write(
    folder: Path, schema: TableSchema, rows: pa.Table | pa.RecordBatchReader, properties: dict[str, str]
) -> None:
    write_deltalake(
        folder, rows, mode="overwrite", description=schema.comment, target_file_size=FILE_BYTES,
        writer_properties=WRITER,
    )  # fmt: skip
    named = {f"spladelake.{key}": value for key, value in properties.items()}
    named |= {"spladelake.layout": LAYOUT_VERSION, "spladelake.table": schema.name}
    # Given to write_deltalake, names that Delta does not know are refused.
    DeltaTable(folder).alter.set_table_properties(named, raise_if_not_exists=False)
