"""The plan of a retrieval: workers score blocks of documents in native code, and others merge their candidates.

Documents stream through the workers. The queries come to each worker with its first document; it keeps the best
documents of each query. Spark then collects these candidates by query, and a worker merges them. Scores are sums of
integers, which do not depend on how the documents are divided, so the rows equal those of the SQL strategy.

`ranked_lazily` and `ranked_in_blocks` make the same plan. The first takes queries of any DataFrame, and uses only
operators that Spark Connect has too. The second takes queries that the driver has read, and can use estimates for them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.scoring import BLOCK_DOCUMENTS, DocIds, Expected, Queries, expected_bounds
from spladelake.spark.retrieve.candidates import CANDIDATES_DDL, LISTED, Kept, MergeCandidates, ranked_columns
from spladelake.spark.retrieve.passes import Asked, Pass, Wanted, least_units, passes
from spladelake.spark.retrieve.query_rows import Arrived, QueryBatch, packed_batch, packed_rows, with_queries
from spladelake.spark.retrieve.worker import ScoreBlocks, ScoreVectors
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.connect import is_connect
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.settings import set_setting
from spladelake.spark.session.totals import DriverTotals
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.vectors import SparseVectors

log = logging.getLogger(__name__)

# Bytes of the units of one candidate in a row of CANDIDATES.
UNIT_BYTES = 8
# Bytes of candidates that one merging task should get.
MERGE_BYTES = 64 * 2**20

Sums = Accumulator[dict[str, float]] | DriverTotals


@dataclass(frozen=True)
class Corpus:
    """The documents of a retrieval.

    - rows: (id, indices, values, groups) and perhaps `model`, or the rows of a persisted index if `is_index`.
    - is_index: whether the rows are those of an index.
    - place: the table of document vectors, for messages.
    """

    rows: DataFrame
    is_index: bool
    place: str


@dataclass(frozen=True)
class Limits:
    """The settings of a plan that do not change its rows.

    - vocabulary_size: term ids are below this number.
    - task_bytes: memory of a task for its rankings.
    - passes: number of passes over the documents, each for its share of the queries.
    """

    vocabulary_size: int
    task_bytes: int
    passes: int


def ranked_lazily(corpus: Corpus, queries: DataFrame, kept: Kept, limits: Limits) -> DataFrame:
    """Return (query_id, doc_id, rank, score): the ranking of every query. Nothing is read before an action.

    Of vectors of passages, a column `passage` has the number of each document's best passage.

    - corpus, queries: (id string, indices, values, model long). `model` is equal for vectors of one model. The corpus
      also has `groups`, as ScoreVectors takes it.
    - kept: the rules of the ranking.
    - limits: see Limits.

    A task raises DataError for bad vectors and repeated ids, MachineError if the rankings do not fit into task_bytes.
    """
    parts, wanted, count = list[tuple[DataFrame, Pass]](), (Wanted(0, Asked(kept)),), limits.passes
    for number in range(count):
        share = F.pmod(F.xxhash64("id"), F.lit(count)) == number
        packed = packed_rows(queries.where(share) if count > 1 else queries, vocabulary_size=limits.vocabulary_size)
        one = Pass(wanted, corpus.place, limits.vocabulary_size, limits.task_bytes, number, count)
        parts.append((packed, one))
    candidates = reduce(DataFrame.unionAll, _candidates(corpus, parts, DriverTotals()))
    return _merged(candidates, [Asked(kept)], place=corpus.place).drop("run")


def ranked_in_blocks(
    session: SparkSession,
    queries: QueryBatch,
    corpus: Corpus,
    asked: Sequence[Asked],
    *,
    totals: Sums,
    task_bytes: int,
) -> DataFrame:
    """Return (run, query_id, doc_id, rank, score): the ranking of every query in each run.

    - queries, corpus, asked: the queries, the documents and the runs.
    - totals: counts from the workers.
    - task_bytes: memory of a task for its rankings.
    """
    candidates = _candidates_of(session, queries, corpus, asked, None, totals=totals, task_bytes=task_bytes)
    return _merged(candidates, asked, place=corpus.place, tasks=_merge_tasks(session, queries, asked))


class Batched(Protocol):
    """Rows that come in Arrow batches, such as those of a table in memory."""

    def to_batches(self, max_chunksize: int, /) -> Iterable[pa.RecordBatch]:
        """Return the rows in batches of at most this many."""
        ...


def ranked_in_driver(
    queries: QueryBatch,
    documents: Batched,
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
    for of_pass, one in passes_of(queries, asked, None, place=place, task_bytes=task_bytes):
        score = ScoreVectors(one, totals)
        candidates += score.candidates(Arrived(of_pass, None), iter(documents.to_batches(BLOCK_DOCUMENTS)))
    merged = MergeCandidates(tuple(run.kept for run in asked), place)(iter(candidates))
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
    totals: Sums,
    task_bytes: int,
) -> Iterator[DataFrame]:
    """Give the rows of `ranked_in_blocks` with far fewer candidates. They can be read until the context ends.

    A sample of the documents gives an estimate of each query's k-th best score. Tasks skip documents below the
    estimate. If at least k documents reach it, the best k are among them. Queries with fewer are ranked again without
    the estimate, so the sample never changes a result.

    - queries: sorted by id.
    - sample: vectors and ids of parts of the documents.
    - documents: number of all documents.
    """
    of_all = Queries.of(queries.vectors, vocabulary_size=queries.vocabulary_size)
    expected = [expected_bounds(of_all, sample, k=run.kept.depth, documents=documents) for run in asked]
    tasks = _merge_tasks(session, queries, asked)
    with ExitStack() as kept:
        found = _candidates_of(session, queries, corpus, asked, expected, totals=totals, task_bytes=task_bytes)
        candidates = kept_on_disk(found, kept)
        short = _short_queries(candidates, queries, asked, expected)
        if not len(short):
            yield _merged(candidates, asked, place=corpus.place, tasks=tasks)
            return
        log.info(
            "%s of %s queries are ranked a second time, because the estimate from a sample left out too many documents",
            f"{len(short):,}",
            f"{len(queries.ids):,}",
        )
        again = queries.take(short)
        enough = candidates.where((F.col("run") == LISTED) | ~F.col("query_id").isin(again.ids))
        # The second ranking of a query is not counted.
        rows = ranked_in_blocks(session, again, corpus, asked, totals=DriverTotals(), task_bytes=task_bytes)
        yield _merged(enough, asked, place=corpus.place, tasks=tasks).unionAll(rows)


def _short_queries(
    candidates: DataFrame, queries: QueryBatch, asked: Sequence[Asked], expected: Sequence[Expected]
) -> NDArray[np.int64]:
    """Return the numbers of the queries that have too few documents above the estimate in some run."""
    count = F.sum(F.length("units") / UNIT_BYTES).cast("long").alias("count")
    rows = candidates.groupBy("run", "query_id").agg(count).collect()
    number_of = {query_id: number for number, query_id in enumerate(queries.ids)}
    short = np.zeros(len(number_of), dtype=np.bool_)
    for number, (run, of_run) in enumerate(zip(asked, expected, strict=True)):
        found = np.zeros(len(short), dtype=np.int64)
        of_this = [(number_of[row["query_id"]], row["count"]) for row in rows if row["run"] == number]
        if of_this:
            found[[query for query, _ in of_this]] = [count for _, count in of_this]
        short |= (of_run.bounds > least_units(run.kept, len(short))) & (found < run.kept.depth)
    return np.flatnonzero(short)


def _merged(candidates: DataFrame, asked: Sequence[Asked], *, place: str, tasks: int | None = None) -> DataFrame:
    """Merge candidates to RANKED rows.

    - tasks: number of merging tasks; None leaves it to Spark.
    """
    keys = ("run", "query_id")
    by_query = candidates.repartition(*keys) if tasks is None else candidates.repartition(tasks, *keys)
    merge = MergeCandidates(tuple(run.kept for run in asked), place)
    return map_arrow(by_query, merge, ranked_columns(merge.kept)[1])


def _merge_tasks(session: SparkSession, queries: QueryBatch, asked: Sequence[Asked]) -> int | None:
    """Return the number of merging tasks; None on Spark Connect, which does not tell the number of slots.

    Each slot's tasks hand over candidates of a few times the final rows.
    """
    if is_connect(session):
        return None
    slots = session.sparkContext.defaultParallelism
    rows = sum(len(queries.ids) * run.kept.depth for run in asked)
    # 40 bytes a row: score and id. Later tasks of a slot hand over ever fewer candidates.
    return max(slots, math.ceil(rows * 40 * 3 * slots / MERGE_BYTES)) if rows > 100_000 else 1


def _candidates_of(
    session: SparkSession,
    queries: QueryBatch,
    corpus: Corpus,
    asked: Sequence[Asked],
    expected: Sequence[Expected] | None,
    *,
    totals: Sums,
    task_bytes: int,
) -> DataFrame:
    """Return the CANDIDATES rows of all passes that queries in the driver need."""
    planned = passes_of(queries, asked, expected, place=corpus.place, task_bytes=task_bytes)
    parts = [(packed_batch(session, of_pass), one) for of_pass, one in planned]
    frames = _candidates(corpus, parts, totals)
    return reduce(DataFrame.unionAll, frames) if frames else frame_of(session, [], CANDIDATES_DDL)


def _candidates(corpus: Corpus, parts: Sequence[tuple[DataFrame, Pass]], totals: Sums) -> list[DataFrame]:
    """Return the CANDIDATES rows of each pass.

    - parts: the packed queries of each pass, and the pass.
    """
    function = ScoreBlocks if corpus.is_index else ScoreVectors
    return [
        map_arrow(with_queries(corpus.rows, packed), function(one, totals), CANDIDATES_DDL) for packed, one in parts
    ]


def passes_of(
    queries: QueryBatch, asked: Sequence[Asked], expected: Sequence[Expected] | None, *, place: str, task_bytes: int
) -> Iterator[tuple[QueryBatch, Pass]]:
    """Yield the passes over the documents that queries in the driver need, each with its queries."""
    planned = passes(asked, len(queries.ids), task_bytes=task_bytes)
    if len(planned) > 1:
        said = "the rankings of %s queries do not fit into memory together, so the job reads the documents %d times"
        log.info(said, f"{len(queries.ids):,}", len(planned))
    # Runs that rank the same range of queries share one pass and its arrays.
    ranges = [(part, *both) for part in planned for both in sorted({(first, end) for _, first, end in part})]
    for number, (part, first, end) in enumerate(ranges):
        wanted = tuple(
            Wanted(run, asked[run], None if expected is None else expected[run].take(first, end))
            for run, a, b in part
            if (a, b) == (first, end)
        )
        of_range = queries.take(np.arange(first, end))
        yield of_range, Pass(wanted, place, queries.vocabulary_size, task_bytes, number, len(ranges))


def set_batch_size(session: SparkSession) -> None:
    """Make Spark send one block of documents in each Arrow batch."""
    set_setting(session, "spark.sql.execution.arrow.maxRecordsPerBatch", str(BLOCK_DOCUMENTS))
