"""Rank of every judged document of a run, found by counting what stands above it: nothing is sorted or shuffled.

A measure needs the ranks of the judged documents only, one or two of the thousand that a query of MS MARCO returns.
Those are few enough to send to wherever the run's rows are, and each of them compares every row of its query.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.measures.judged import TrecScores

# Judged documents that every task may hold: 500,000 are about 100 MB. More are joined by a shuffle.
BROADCAST_HITS = 500_000

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
