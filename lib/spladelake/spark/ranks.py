"""Rank of every judged document of a run, found by counting what stands above it: nothing is sorted or shuffled.

A measure needs the ranks of the judged documents only, one or two of the thousand that a query of MS MARCO returns.
Those are few enough to send to wherever the run's rows are, and each of them compares every row of its query.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def answers(run: DataFrame, *, rows: int, keys: tuple[str, ...] = ("query_id",)) -> DataFrame:
    """(query, results, unusable, repeated) of every query of a run: its rows, and those that would falsify measures.

    rows: about how many there are, for the number of tasks. keys: what tells queries apart; `query` is their values
    together. unusable: without an id or a number as score. repeated: beyond the first with their query and doc_id, by a
    hash of 64 bits: at 55 million rows the chance of two that only look alike is 1 in 10,000.
    One pass over the run, which moves the query and 8 bytes a row.
    """
    present = [F.col(name).isNotNull() for name in (*keys, "doc_id", "score")]
    usable = reduce(and_, [*present, ~F.isnan("score")])
    query = F.concat_ws(" ", *keys) if len(keys) > 1 else F.col(keys[0])
    pairs = run.select(query.alias("query"), F.when(usable, F.xxhash64(*keys, "doc_id")).alias("pair"))
    spread = pairs.repartition(max(1, rows // ROWS_PER_CHECK), "query")
    return spread.mapInArrow(count_pairs, "query string, results long, unusable long, repeated long")


def count_pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """(query, pair) rows, a pair null where unusable, to rows of `answers`; a task has all rows of its queries."""
    whole = [batch for batch in batches if batch.num_rows]
    if not whole:
        return
    table = pa.Table.from_batches(whole).combine_chunks()
    queries = table.column("query").chunk(0).dictionary_encode(null_encoding="encode")
    number, pair = queries.indices.to_numpy(), table.column("pair").chunk(0)
    usable = pair.is_valid().to_numpy(zero_copy_only=False)
    known, owner = pair.drop_null().to_numpy(), number[usable]
    order = np.argsort(known)
    known, owner = known[order], owner[order]
    repeated = owner[1:][known[1:] == known[:-1]]
    size = len(queries.dictionary)
    counts = [np.bincount(rows, minlength=size) for rows in (number, number[~usable], repeated)]
    names = ["query", "results", "unusable", "repeated"]
    yield pa.RecordBatch.from_arrays([queries.dictionary, *map(pa.array, counts)], names=names)


def first_repeated(run: DataFrame) -> tuple[str, str, int] | None:
    """(query_id, doc_id, times) of a document that a query lists more than once; None if there is none."""
    several = run.groupBy("query_id", "doc_id").count().where("count > 1")
    row = several.orderBy("query_id", "doc_id").first()
    return (row["query_id"], row["doc_id"], row["count"]) if row else None
