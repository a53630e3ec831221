"""Rank of every judged document of a run, found by counting the rows above it, without a sort or shuffle of the run.

A measure needs the ranks of judged documents only: one or two of the 1,000 results of an MS MARCO query. These rows
are few enough to broadcast; each is compared with every row of its query.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.measures.judged import TrecScores

# Judged documents that are broadcast to every task: 500,000 take about 100 MB. More are joined with a shuffle.
BROADCAST_HITS = 500_000

# Spark compares strings by their UTF-8 bytes. That is the order of code points, as in Python and trec_eval (strcmp).
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
    """Return (query_id, doc_id, rank, score, relevance) of the judged documents of a run."""
    return run.join(judgements, ["query_id", "doc_id"]).select("query_id", "doc_id", "rank", "score", "relevance")


def ranks_of_hits(
    session: SparkSession, run: DataFrame, hits: DataFrame, *, hit_count: int, trec_scores: TrecScores
) -> DataFrame:
    """Return the ranks of the judged documents of a run, by its scores alone; its stated ranks are not used.

    - run: (query_id, doc_id, score), no score null or NaN, each document once per query.
    - hits: the rows of `judged_hits`; hit_count: their number.
    - trec_scores: the precision in which trec_eval compares scores. trec_eval up to 9.0.8, and with it pytrec_eval,
      holds scores as float32.

    Returns (query_id, relevance, stated_rank, above, level, ascending_rank, descending_rank), one row per document:

    - above, level: how many documents of its query have a higher score, and how many the same (itself included).
    - ascending_rank: rank from 1 if equal scores go by ascending id, as in sentence-transformers.
    - descending_rank: rank from 1 if equal scores go by descending id, as in trec_eval.
    """
    small = F.broadcast(hits) if hit_count <= BROADCAST_HITS else hits
    query = RANKS_SQL.format(trec="FLOAT" if trec_scores == "float32" else "DOUBLE")
    return session.sql(query, run=run.select("query_id", "doc_id", "score"), hits=small)
