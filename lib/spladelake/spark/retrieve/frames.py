"""Retrieval as a plan over DataFrames: nothing is read before an action, and nothing is kept in the driver.

The queries become one row, which Spark broadcasts and joins to the first document of each partition. So each ranking
task gets all queries with its first batch. Ranking and merging are those of retrieval in blocks. The plan has only
operators that Spark Connect has too.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import DataError, MachineError
from spladelake.scoring import BLOCK_DOCUMENTS
from spladelake.spark.retrieve.blocks import Asked, QueryBatch, passes_of
from spladelake.spark.retrieve.candidates import CANDIDATES_DDL, Kept, MergeCandidates
from spladelake.spark.retrieve.request import query_batch
from spladelake.spark.retrieve.worker import VECTOR_COLUMNS, Pass, ScoreVectors
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.totals import DriverTotals, Here

# Documents of a larger batch are scored in blocks. Arrow batches have 10,000 rows by default.
MOST_IN_BLOCK = 2 * BLOCK_DOCUMENTS

_CANDIDATES = f"{CANDIDATES_DDL}, query_id string"
_PACKED = "row long, queries binary, refusal array<string>"
_RANKED = "query_id string, doc_id string, rank int, score double"
_TEXTS = pa.list_(pa.string())
# The low bits of monotonically_increasing_id: the number of the row in its partition.
_ROW_BITS = 2**33 - 1


@dataclass(frozen=True)
class Limits:
    """The settings of a retrieval that do not change its rows.

    - vocabulary_size: term ids are below this number.
    - task_bytes: memory of a task for its rankings.
    - passes: number of passes over the documents, each for its share of the queries.
    """

    vocabulary_size: int
    task_bytes: int
    passes: int


def ranked(documents: DataFrame, queries: DataFrame, kept: Kept, limits: Limits) -> DataFrame:
    """Return (query_id, doc_id, rank, score): the ranking of every query.

    - documents, queries: (id string, indices, values, model long). `model` is equal for vectors of one model.
    - kept: the rules of the ranking.
    - limits: see Limits.

    A task raises DataError for bad vectors and repeated ids, MachineError if the rankings do not fit into task_bytes.
    """
    parts = []
    for number in range(limits.passes):
        of_pass = queries
        if limits.passes > 1:
            of_pass = queries.where(F.pmod(F.xxhash64("id"), F.lit(limits.passes)) == number)
        parts.append(_candidates(documents, of_pass, kept, limits))
    candidates = reduce(DataFrame.unionAll, parts)
    return map_arrow(candidates.repartition("query_id"), MergeNamed(kept), _RANKED)


def _candidates(documents: DataFrame, queries: DataFrame, kept: Kept, limits: Limits) -> DataFrame:
    packed = map_arrow(queries.repartition(1), PackQueries(limits.vocabulary_size), _PACKED)
    row = F.monotonically_increasing_id().bitwiseAND(F.lit(_ROW_BITS))
    numbered = documents.select("*", F.when(row == 0, row).alias("row"))
    joined = numbered.join(F.broadcast(packed), "row", "left").drop("row")
    return map_arrow(joined, ScoreArriving(uuid.uuid4().hex, kept, limits), _CANDIDATES)


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
        columns = [pa.array([0], pa.int64()), pa.array([packed], pa.binary()), pa.array([refusal], _TEXTS)]
        yield pa.RecordBatch.from_arrays(columns, ["row", "queries", "refusal"])

    def _packed(self, table: pa.Table) -> bytes:
        query_batch(table, "queries", self.vocabulary_size)  # refuses bad vectors
        counts = pc.value_counts(table.column("id").combine_chunks())
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            raise _repeated("queries", twice[0]["values"].as_py())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return bytes(sink.getvalue())


def _repeated(place: str, one: str) -> DataError:
    wanted = "wanted one row for each id"
    return DataError(place, f"the id {one!r} is in more than one row", wanted, "Remove the repeated rows.")


@dataclass(frozen=True)
class ScoreArriving:
    """The function for mapInArrow: ranks the documents of a partition for the queries that come with its first row.

    Turns (id, indices, values, model, queries, refusal) rows into CANDIDATES rows with the id of the query.

    - token: identifies the plan.
    """

    token: str
    kept: Kept
    limits: Limits

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next((batch for batch in batches if batch.num_rows), None)
        if first is None:
            return
        if len(refusal := first.column("refusal").drop_null()):
            raise DataError(*refusal[0].as_py())
        packed = first.column("queries").drop_null()
        if not len(packed):
            return
        table = pa.ipc.open_stream(packed[0].as_buffer()).read_all()
        queries = query_batch(table, "queries", self.limits.vocabulary_size)
        score = ScoreVectors(Here(self._pass(queries)), DriverTotals())
        ids = pa.array(queries.ids, pa.string())
        models = pc.unique(table.column("model").combine_chunks())
        for found in score(_documents(chain([first], batches), models)):
            yield found.append_column("query_id", ids.take(found.column("query")))

    def _pass(self, queries: QueryBatch) -> Pass:
        """Return the pass of all queries. Its token is another one in each execution: documents may have changed."""
        asked = [Asked(self.kept)]
        planned = list(passes_of(queries, asked, None, place="documents", task_bytes=self.limits.task_bytes))
        if len(planned) > 1:
            raise MachineError(
                "retrieve",
                f"the rankings of {len(queries.ids):,} queries need more than "
                f"{self.limits.task_bytes // 2**20:,} MB in each task",
                "wanted rankings that fit into this memory",
                f"Set passes={self.limits.passes * len(planned)}, or raise task_memory_mb.",
            )
        context = TaskContext.get()
        stage = context.stageId() if context is not None else -1
        return replace(planned[0], token=f"{self.token}-{stage}")


def _documents(batches: Iterator[pa.RecordBatch], models: pa.Array) -> Iterator[pa.RecordBatch]:
    """Yield the documents of one model in blocks, as (id, indices, values, groups) rows."""
    for whole in batches:
        other = pc.is_in(whole.column("model"), models).index(False).as_py()
        if other >= 0:
            raise DataError(
                f"documents, id {whole.column('id')[other].as_py()!r}",
                "the vector has another model_id than the vectors of the queries",
                "wanted one model_id for documents and queries",
                "Encode documents and queries with the same model and settings.",
            )
        size = MOST_IN_BLOCK if whole.num_rows <= MOST_IN_BLOCK else BLOCK_DOCUMENTS
        for start in range(0, whole.num_rows, size):
            batch = whole.slice(start, size).select(VECTOR_COLUMNS.names)
            yield batch.append_column("groups", pa.array(np.ones(batch.num_rows, dtype=np.int32)))


@dataclass(frozen=True)
class MergeNamed:
    """The function for mapInArrow: merges CANDIDATES rows with the ids of queries into the rows of a ranking.

    All rows of a query must be in one task.
    """

    kept: Kept

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = [batch for batch in batches if batch.num_rows]
        # With several passes, queries of different passes have the same number.
        ids = pc.unique(pa.chunked_array([batch.column("query_id") for batch in found], pa.string()))
        numbered = (_numbered(batch, ids) for batch in found)
        for rows in MergeCandidates(Here(ids.to_pylist()), (self.kept,))(numbered):
            pairs = pa.Table.from_batches([rows.select(["query_id", "doc_id"])])
            if pairs.group_by(["query_id", "doc_id"]).aggregate([]).num_rows < rows.num_rows:
                raise _repeated("documents", _first_repeated(pairs))
            yield rows.select(["query_id", "doc_id", "rank", "score"])


def _numbered(batch: pa.RecordBatch, ids: pa.Array) -> pa.RecordBatch:
    """Return CANDIDATES rows in which the number of a query is the place of its id."""
    place = batch.schema.get_field_index("query")
    return batch.set_column(place, "query", pc.index_in(batch.column("query_id"), ids))


def _first_repeated(pairs: pa.Table) -> str:
    counts = pairs.group_by(["query_id", "doc_id"]).aggregate([([], "count_all")])
    return str(counts.filter(pc.greater(counts.column("count_all"), 1)).column("doc_id")[0].as_py())
