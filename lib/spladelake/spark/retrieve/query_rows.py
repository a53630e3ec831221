"""The queries of a retrieval: checked, packed into one row that comes to each task with its first document, read there.

Spark joins the row to the first document of each partition. So tasks need no broadcast variable, which Spark Connect
does not have, and no query has to be in the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.scoring.checks import repeated_id
from spladelake.spark.retrieve.vector_rows import VECTOR_COLUMNS, vectors_of
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.vectors import SparseVectors

_PACKED = "row long, queries binary, refusal array<string>"
_TEXTS = pa.list_(pa.string())
# The low bits of monotonically_increasing_id: the number of the row in its partition.
_ROW_BITS = 2**33 - 1


@dataclass(frozen=True)
class QueryBatch:
    """The ids and vectors of a retrieval's queries, in the same order."""

    ids: list[str]
    vectors: SparseVectors
    vocabulary_size: int

    def take(self, rows: NDArray[np.int64]) -> QueryBatch:
        """Return the queries of these rows."""
        return replace(self, ids=[self.ids[row] for row in rows.tolist()], vectors=self.vectors.take(rows))


def query_batch(table: pa.Table, place: str, vocabulary_size: int) -> QueryBatch:
    """Return the queries of a local table of (id, indices, values), sorted by id."""
    batches = table.select(VECTOR_COLUMNS.names).sort_by("id").combine_chunks().to_batches()
    batch = batches[0].cast(VECTOR_COLUMNS) if batches else pa.RecordBatch.from_pylist([], schema=VECTOR_COLUMNS)
    vectors, ids = vectors_of(batch, place=place, vocabulary_size=vocabulary_size)
    return QueryBatch(ids.to_strings(), vectors, vocabulary_size)


def collected_queries(rows: DataFrame, place: str, vocabulary_size: int) -> QueryBatch:
    """Collect the queries of (id, indices, values) rows into the driver, sorted by id."""
    return query_batch(rows.select(*VECTOR_COLUMNS.names).toArrow(), place, vocabulary_size)


def packed_rows(queries: DataFrame, *, vocabulary_size: int) -> DataFrame:
    """Return all queries of (id, indices, values, model) rows in one row. No queries give no row.

    - vocabulary_size: dimensions of the vectors.
    """
    return map_arrow(queries.repartition(1), PackQueries(vocabulary_size), _PACKED)


def packed_batch(session: SparkSession, queries: QueryBatch) -> DataFrame:
    """Return queries of the driver in one row."""
    table = pa.Table.from_arrays([pa.array(queries.ids, pa.string()), *queries.vectors.list_columns()],
                                 schema=VECTOR_COLUMNS)  # fmt: skip
    return session.createDataFrame(pa.Table.from_batches([_row(_bytes(table), None)]), _PACKED)


def with_queries(documents: DataFrame, packed: DataFrame) -> DataFrame:
    """Add the columns `queries` and `refusal`: the row of `packed` with each partition's first document, else nulls."""
    row = F.monotonically_increasing_id().bitwiseAND(F.lit(_ROW_BITS))
    # Rows in the driver, as of pandas or Arrow, would be numbered while Spark plans, before they have partitions: then
    # only one partition would get the queries. A sample of all rows keeps the numbers in the tasks.
    numbered = documents.sample(fraction=1.0, seed=0).select("*", F.when(row == 0, row).alias("row"))
    return numbered.join(F.broadcast(packed), "row", "left").drop("row")


@dataclass(frozen=True)
class PackQueries:
    """The function for mapInArrow: turns all queries into one row, an Arrow stream. No queries give no row.

    An error becomes the row, and ranking tasks raise it: of an error in a broadcast, Spark shows the Java side.
    """

    vocabulary_size: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [batch for batch in batches if batch.num_rows]
        if not rows:
            return
        packed, refusal = None, None
        try:
            packed = self._packed(pa.Table.from_batches(rows))
        except DataError as error:
            refusal = [error.place, error.found, error.wanted, error.fix]
        yield _row(packed, refusal)

    def _packed(self, table: pa.Table) -> bytes:
        query_batch(table, "queries", self.vocabulary_size)  # refuses bad vectors
        counts = pc.value_counts(table.column("id").combine_chunks())
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            raise repeated_id("queries", twice[0]["values"].as_py())
        return _bytes(table)


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _row(packed: bytes | None, refusal: list[str] | None) -> pa.RecordBatch:
    columns = [pa.array([0], pa.int64()), pa.array([packed], pa.binary()), pa.array([refusal], _TEXTS)]
    return pa.RecordBatch.from_arrays(columns, ["row", "queries", "refusal"])


@dataclass(frozen=True)
class Arrived:
    """The queries that came to a task.

    - queries: sorted by id.
    - models: the distinct values of their column `model`; None if they have none.
    """

    queries: QueryBatch
    models: pa.Array | None

    def check_model(self, documents: pa.RecordBatch) -> None:
        """Raise DataError if a document's `model` is none of the queries'."""
        if self.models is None or "model" not in documents.schema.names:
            return
        other = pc.is_in(documents.column("model"), self.models).index(False).as_py()
        if other >= 0:
            raise DataError(
                f"documents, id {documents.column('id')[other].as_py()!r}",
                "the vector has another model_id than the vectors of the queries",
                "wanted one model_id for documents and queries",
                "Encode documents and queries with the same model and settings.",
            )


def arrived(first: pa.RecordBatch, *, vocabulary_size: int) -> Arrived | None:
    """Return the queries that came with the first document of a partition; None if there are no queries.

    Raises the DataError that PackQueries put into the row.
    """
    if len(refusal := first.column("refusal").drop_null()):
        raise DataError(*refusal[0].as_py())
    packed = first.column("queries").drop_null()
    if not len(packed):
        return None
    table = pa.ipc.open_stream(packed[0].as_buffer()).read_all()
    models = pc.unique(table.column("model").combine_chunks()) if "model" in table.column_names else None
    return Arrived(query_batch(table, "queries", vocabulary_size), models)
