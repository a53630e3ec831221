"""Retrieval in blocks: native code computes the join of the SQL strategy for a few thousand documents at a time.

Documents stream through the workers. Each worker holds all queries and keeps the best documents of each query. Spark
then collects these candidates by query, and a worker merges them. Scores are sums of integers, which do not depend on
how the documents are divided, so the rows equal those of the SQL strategy.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import StorageLevel
from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.scoring import BLOCK_DOCUMENTS, SCORE_UNITS, DocIds, Expected, Queries, expected_bounds
from spladelake.scoring.shortlist import places_for
from spladelake.spark.retrieve.candidates import CANDIDATES_DDL, Kept, MergeCandidates, ranked_columns
from spladelake.spark.retrieve.worker import Pass, ScoreBlocks, ScoreVectors, Wanted
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.totals import DriverTotals, Here, Totals
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.vectors import SparseVectors

log = logging.getLogger(__name__)

# Bytes that a task holds for one place of a ranking: units, rests and row, and the units that its process remembers.
PLACE_BYTES = 28
# Bytes of the units of one candidate in a row of CANDIDATES.
UNIT_BYTES = 8
# Bytes of candidates that one merging task should get.
MERGE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class QueryBatch:
    """The ids and vectors of a retrieval's queries, in the same order."""

    ids: list[str]
    vectors: SparseVectors
    vocabulary_size: int

    def take(self, rows: NDArray[np.int64]) -> QueryBatch:
        """Return the queries of these rows."""
        return replace(self, ids=[self.ids[row] for row in rows.tolist()], vectors=self.vectors.take(rows))


@dataclass(frozen=True)
class Corpus:
    """The documents of a retrieval.

    - rows: (id, indices, values, groups), or the rows of a persisted index if `is_index`.
    - is_index: whether the rows are those of an index.
    - place: the table of document vectors, for messages.
    """

    rows: DataFrame
    is_index: bool
    place: str


@dataclass(frozen=True)
class Asked:
    """One run to make.

    - kept: the rules that choose the final rows from the candidates.
    - group: the bit that marks, in the column `groups`, the documents that this run ranks.
    """

    kept: Kept
    group: int = 1


def passes(asked: Sequence[Asked], queries: int, *, task_bytes: int) -> list[list[tuple[int, int, int]]]:
    """Plan the passes over the documents: a list of (run, first query, end of queries) for each pass.

    The plan has as few passes as the memory allows, usually one.

    - asked: the runs.
    - queries: number of queries.
    - task_bytes: memory of a task for its rankings.
    """
    planned: list[list[tuple[int, int, int]]] = [[]]
    left = task_bytes
    for number, run in enumerate(asked):
        row_bytes = places_for(run.kept.depth) * PLACE_BYTES
        first = 0
        while first < queries:
            count = min(queries - first, left // row_bytes)
            if count < 1 and planned[-1]:
                planned.append([])
                left = task_bytes
                continue
            count = max(1, count)
            planned[-1].append((number, first, first + count))
            left -= count * row_bytes
            first += count
    return [part for part in planned if part]


def ranked_in_blocks(
    session: SparkSession,
    queries: QueryBatch,
    corpus: Corpus,
    asked: Sequence[Asked],
    *,
    totals: Accumulator[dict[str, float]],
    task_bytes: int,
) -> DataFrame:
    """Return (run, query_id, doc_id, rank, score): the ranking of every query in each run.

    - queries, corpus, asked: the queries, the documents and the runs.
    - totals: counts from the workers.
    - task_bytes: memory of a task for its rankings.
    """
    candidates = _candidates(session, queries, corpus, asked, None, totals=totals, task_bytes=task_bytes)
    return _merged(session, queries, candidates, asked)


def ranked_in_driver(
    queries: QueryBatch,
    documents: pa.Table,
    asked: Sequence[Asked],
    *,
    place: str,
    totals: DriverTotals,
    task_bytes: int,
) -> pa.Table:
    """Return the rows of `ranked_in_blocks`, computed by the same functions in this process.

    - documents: (id, indices, values, groups).
    - place: the table of document vectors, for messages.
    """
    candidates: list[pa.RecordBatch] = []
    for one in passes_of(queries, asked, None, place=place, task_bytes=task_bytes):
        score = ScoreVectors(Here(one), totals)
        candidates += score(iter(documents.to_batches(max_chunksize=BLOCK_DOCUMENTS)))
    merged = MergeCandidates(Here(queries.ids), tuple(run.kept for run in asked))(iter(candidates))
    return pa.Table.from_batches(merged, schema=ranked_columns(run.kept for run in asked)[0])


@contextmanager
def ranked_with_sample(
    session: SparkSession,
    queries: QueryBatch,
    corpus: Corpus,
    asked: Sequence[Asked],
    sample: Sequence[tuple[SparseVectors, DocIds]],
    *,
    documents: int,
    totals: Accumulator[dict[str, float]],
    task_bytes: int,
) -> Iterator[DataFrame]:
    """Give the rows of `ranked_in_blocks` with far fewer candidates. They can be read until the context ends.

    A sample of the documents gives an estimate of each query's k-th best score. Tasks skip documents below the
    estimate. If at least k documents reach it, the best k are among them. Queries with fewer are ranked again without
    the estimate, so the sample never changes a result.

    - sample: vectors and ids of parts of the documents.
    - documents: number of all documents.
    """
    of_all = Queries.of(queries.vectors, vocabulary_size=queries.vocabulary_size)
    expected = [expected_bounds(of_all, sample, k=run.kept.depth, documents=documents) for run in asked]
    candidates = _candidates(session, queries, corpus, asked, expected, totals=totals, task_bytes=task_bytes)
    candidates = candidates.persist(StorageLevel.DISK_ONLY)
    try:
        short = _short_queries(candidates, asked, expected)
        if not len(short):
            yield _merged(session, queries, candidates, asked)
            return
        log.info(
            "%s of %s queries are ranked a second time, because the estimate from a sample left out too many documents",
            f"{len(short):,}",
            f"{len(queries.ids):,}",
        )
        enough = candidates.where(~F.col("query").isin(short.tolist()))
        again = queries.take(short)
        # The second ranking of a query is not counted.
        uncounted = session.sparkContext.accumulator({}, Totals())
        rows = ranked_in_blocks(session, again, corpus, asked, totals=uncounted, task_bytes=task_bytes)
        yield _merged(session, queries, enough, asked).unionAll(rows)
    finally:
        candidates.unpersist()


def _short_queries(candidates: DataFrame, asked: Sequence[Asked], expected: Sequence[Expected]) -> NDArray[np.int64]:
    """Return the numbers of the queries that have too few documents above the estimate in some run."""
    count = F.sum(F.length("units") / UNIT_BYTES).cast("long").alias("count")
    rows = candidates.groupBy("run", "query").agg(count).collect()
    short = np.zeros(len(expected[0].bounds), dtype=np.bool_)
    for number, (run, of_run) in enumerate(zip(asked, expected, strict=True)):
        found = np.zeros(len(short), dtype=np.int64)
        of_this = [(row["query"], row["count"]) for row in rows if row["run"] == number]
        if of_this:
            found[[query for query, _ in of_this]] = [count for _, count in of_this]
        short |= (of_run.bounds > _least(run.kept, len(short))) & (found < run.kept.depth)
    return np.flatnonzero(short)


def _merged(session: SparkSession, queries: QueryBatch, candidates: DataFrame, asked: Sequence[Asked]) -> DataFrame:
    merge = MergeCandidates(session.sparkContext.broadcast(queries.ids), tuple(run.kept for run in asked))
    tasks = _merge_tasks(session, queries, asked)
    return map_arrow(candidates.repartition(tasks, "run", "query"), merge, ranked_columns(merge.kept)[1])


def _merge_tasks(session: SparkSession, queries: QueryBatch, asked: Sequence[Asked]) -> int:
    """Return the number of merging tasks. Each slot's tasks hand over candidates of a few times the final rows."""
    slots = session.sparkContext.defaultParallelism
    rows = sum(len(queries.ids) * run.kept.depth for run in asked)
    # 40 bytes a row: score and id. Later tasks of a slot hand over ever fewer candidates.
    return max(slots, math.ceil(rows * 40 * 3 * slots / MERGE_BYTES)) if rows > 100_000 else 1


def _candidates(
    session: SparkSession,
    queries: QueryBatch,
    corpus: Corpus,
    asked: Sequence[Asked],
    expected: Sequence[Expected] | None,
    *,
    totals: Accumulator[dict[str, float]],
    task_bytes: int,
) -> DataFrame:
    """Return the CANDIDATES rows of all passes."""
    function = ScoreBlocks if corpus.is_index else ScoreVectors
    frames = []
    for one in passes_of(queries, asked, expected, place=corpus.place, task_bytes=task_bytes):
        score = function(session.sparkContext.broadcast(one), totals)
        frames.append(map_arrow(corpus.rows, score, CANDIDATES_DDL))
    return reduce(DataFrame.unionAll, frames) if frames else frame_of(session, [], CANDIDATES_DDL)


def passes_of(
    queries: QueryBatch, asked: Sequence[Asked], expected: Sequence[Expected] | None, *, place: str, task_bytes: int
) -> Iterator[Pass]:
    """Yield the passes over the documents, with the queries and runs of each."""
    planned = passes(asked, len(queries.ids), task_bytes=task_bytes)
    if len(planned) > 1:
        said = "the rankings of %s queries do not fit into memory together, so the job reads the documents %d times"
        log.info(said, f"{len(queries.ids):,}", len(planned))
    for part in planned:
        # Runs that rank the same range of queries share one pass and its arrays.
        for first, end in sorted({(first, end) for _, first, end in part}):
            wanted = tuple(
                _wanted(number, asked[number], first, end, None if expected is None else expected[number])
                for number, a, b in part
                if (a, b) == (first, end)
            )
            of_range = Queries.of(
                queries.vectors.take(np.arange(first, end)), vocabulary_size=queries.vocabulary_size, first=first
            )
            yield Pass(uuid.uuid4().hex, of_range, wanted, place)


def _wanted(number: int, run: Asked, first: int, end: int, expected: Expected | None) -> Wanted:
    bounds, density = _least(run.kept, end - first), None
    if expected is not None:
        of_range = expected.take(first, end)
        bounds, density = np.maximum(bounds, of_range.bounds), of_range.density
    return Wanted(number, run.kept.depth, run.group, bounds, density, run.kept)


def _least(kept: Kept, queries: int) -> NDArray[np.int64]:
    """Return the lowest units that a listed document can have: the minimum score in units, rounded down."""
    return np.full(queries, math.floor(min(kept.minimum_score, 2.0**31) * SCORE_UNITS), dtype=np.int64)


def set_batch_size(session: SparkSession) -> None:
    """Make Spark send one block of documents in each Arrow batch."""
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(BLOCK_DOCUMENTS))
