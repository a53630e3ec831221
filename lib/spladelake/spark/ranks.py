"""Rank of every judged document of a run, found by counting what stands above it: nothing is sorted or shuffled.

A measure needs the ranks of the judged documents only, one or two of the thousand that a query of MS MARCO returns.
Those are few enough to send to wherever the run's rows are, and each of them compares every row of its query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Literal

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

TrecScores = Literal["float32", "float64"]

# Judged documents that every task may hold: 500,000 are about 100 MB. More are joined by a shuffle.
BROADCAST_HITS = 500_000
# Rows of a run in one task of the check: 250,000 hashes sort in 20 ms and take 2 MB.
ROWS_PER_CHECK = 250_000

# Strings compare by their UTF-8 bytes, which is the order of code points, as Python's and trec_eval's strcmp is.
RANKS_SQL = """
SELECT hits.query_id, hits.relevance, hits.rank AS stated_rank,
    COUNT_IF(run.score > hits.score) AS above,
    COUNT_IF(run.score = hits.score) AS level,
    1 + COUNT_IF(run.score > hits.score OR (run.score = hits.score AND run.doc_id < hits.doc_id)) AS ascending_rank,
    1 + COUNT_IF(
        CAST(run.score AS {trec}) > CAST(hits.score AS {trec})
        OR (CAST(run.score AS {trec}) = CAST(hits.score AS {trec}) AND run.doc_id > hits.doc_id)
    ) AS descending_rank
FROM {{run}} AS run JOIN {{hits}} AS hits ON run.query_id = hits.query_id
GROUP BY hits.query_id, hits.doc_id, hits.relevance, hits.rank
"""


def judged_hits(run: DataFrame, judgements: DataFrame) -> DataFrame:
    """(query_id, doc_id, rank, score, relevance): the documents of a run that are judged."""
    return run.join(judgements, ["query_id", "doc_id"]).select("query_id", "doc_id", "rank", "score", "relevance")


def judged_ranks(
    session: SparkSession, run: DataFrame, hits: DataFrame, *, hit_count: int, trec_scores: TrecScores
) -> DataFrame:
    """Where the judged documents of a run stand, by its scores alone; the ranks it states are not used.

    run: (query_id, doc_id, score), no score null or NaN, each document once a query. hits: of `judged_hits`, and their
    number. Returns (query_id, relevance, stated_rank, above, level, ascending_rank, descending_rank): how many
    documents have a higher score and how many the same (itself included), and the rank from 1 where equal scores go by
    ascending id, as in sentence-transformers, or by descending id, as in trec_eval. trec_scores: what the latter takes
    for equal; trec_eval up to 9.0.8, and pytrec_eval with it, holds scores as float32.
    """
    small = F.broadcast(hits) if hit_count <= BROADCAST_HITS else hits
    query = RANKS_SQL.format(trec="FLOAT" if trec_scores == "float32" else "DOUBLE")
    return session.sql(query, run=run.select("query_id", "doc_id", "score"), hits=small)


@dataclass(frozen=True)
class RunCheck:
    """What a run holds: rows, those without ids or a number as score, and documents listed more than once."""

    rows: int
    unusable: int
    repeated: int


def check_rows(run: DataFrame, *, rows: int, keys: tuple[str, ...] = ("query_id", "doc_id")) -> RunCheck:
    """Look for rows that would make measures silently wrong, in one pass that moves 8 bytes a row.

    rows: about how many there are, for the number of tasks. repeated: rows beyond the first with their keys, by a
    hash of 64 bits: at 55 million rows the chance of two that only look alike is 1 in 10,000.
    """
    present = [F.col(name).isNotNull() for name in (*keys, "score")]
    usable = reduce(and_, [*present, ~F.isnan("score")])
    hashes = run.select(F.when(usable, F.xxhash64(*keys)).alias("pair"))
    tasks = max(1, rows // ROWS_PER_CHECK)
    found = hashes.repartition(tasks, "pair").mapInArrow(_count_pairs, "rows long, unusable long, repeated long")
    totals = found.agg(*(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in found.columns)).first()
    assert totals is not None
    return RunCheck(totals["rows"], totals["unusable"], totals["repeated"])


def _count_pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    columns = [batch.column(0) for batch in batches]
    pairs = pa.chunked_array(columns, pa.int64())
    known = np.sort(pairs.drop_null().to_numpy())
    repeated = int(np.count_nonzero(known[1:] == known[:-1]))
    counts = {"rows": len(pairs), "unusable": pairs.null_count, "repeated": repeated}
    yield pa.RecordBatch.from_pydict({name: pa.array([count], pa.int64()) for name, count in counts.items()})


def first_repeated(run: DataFrame) -> tuple[str, str, int] | None:
    """(query_id, doc_id, times) of a document that a query lists more than once; None if there is none."""
    several = run.groupBy("query_id", "doc_id").count().where("count > 1")
    row = several.orderBy("query_id", "doc_id").first()
    return (row["query_id"], row["doc_id"], row["count"]) if row else None
