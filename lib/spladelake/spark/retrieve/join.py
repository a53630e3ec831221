"""Retrieval as plain SQL: the join that defines a run, and the query that explains its scores."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession

from spladelake.passages.aggregate import Aggregate
from spladelake.spark.retrieve.candidates import Kept
from spladelake.spark.session.settings import set_setting

# A score is the exact dot product of the float32 weights. So partitions, retries and the order of a sum cannot change a
# ranking, and documents tie only if their dot products are equal. The product of two float32 is exact in a double. The
# query splits it into whole units of 2^-30 and a rest in units of 2^-76, and sums both parts as integers. This is exact
# if every product is 2^-29 or more; the rest of a smaller product is cut at 2^-76. A sum that overflows fails.
# The query looks up a document's weight by position after the join: few of a document's terms are in a query, and
# arrays_zip would create an object for each term.
_SCORES = """
WITH query_terms AS (
    SELECT id AS query_id, term.indices AS term_id, CAST(term.`values` AS DOUBLE) * POWER(2D, 30) AS weight
    FROM {queries} LATERAL VIEW explode(arrays_zip(indices, `values`)) AS term
),
document_terms AS (
    SELECT id AS doc_id, term_id, place, `values` FROM {documents} LATERAL VIEW posexplode(indices) AS place, term_id
),
products AS (
    SELECT /*+ BROADCAST(query_terms) */ query_id, doc_id,
        query_terms.weight * CAST(get(document_terms.`values`, place) AS DOUBLE) AS product
    FROM document_terms JOIN query_terms USING (term_id)
),
sums AS (
    SELECT query_id, doc_id,
        SUM(CAST(product AS BIGINT)) AS units,
        SUM(CAST((product - CAST(product AS BIGINT)) * POWER(2D, 46) AS BIGINT)) AS rests
    FROM products
    GROUP BY query_id, doc_id
),
scores AS (
    SELECT query_id, doc_id, units + SHIFTRIGHT(rests, 46) AS units, rests & 70368744177663 AS rests
    FROM sums
),
"""
# Score of a document from the scores of its passages, whose ids end in # and six digits. A passage without a term of
# the query has the score 0, so it adds nothing to a sum but counts in a mean. The division rounds down to 2^-76.
_OF_PASSAGES = """
passages AS (
    SELECT query_id, units, rests, left(doc_id, char_length(doc_id) - 7) AS doc_id,
        CAST(right(doc_id, 6) AS INT) AS passage
    FROM scores
),
placed AS (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY query_id, doc_id ORDER BY units DESC, rests DESC, passage) AS place
    FROM passages
),
added AS (
    SELECT query_id, doc_id, SUM(units) AS units, SUM(rests) AS rests, MIN_BY(passage, place) AS passage
    FROM placed WHERE place <= {best} GROUP BY query_id, doc_id
),
sizes AS (
    SELECT left(id, char_length(id) - 7) AS doc_id, CAST(LEAST({best}, COUNT(*)) AS BIGINT) AS parts
    FROM {documents} GROUP BY 1
),
carried AS (
    SELECT query_id, doc_id, passage, units + SHIFTRIGHT(rests, 46) AS units, rests & 70368744177663 AS rests,
        CASE WHEN {mean} THEN parts ELSE 1L END AS parts
    FROM added JOIN sizes USING (doc_id)
),
of_documents AS (
    SELECT query_id, doc_id, passage, units DIV parts AS units,
        ((units % parts) * 70368744177664 + rests) DIV parts AS rests
    FROM carried
),
"""
_RANKED = """
counted AS (
    SELECT *, units / POWER(2D, 30) + rests / POWER(2D, 76) AS score
    FROM {ranks}
),
ranked AS (
    SELECT query_id, doc_id, {passage} score,
        ROW_NUMBER() OVER (PARTITION BY query_id ORDER BY units DESC, rests DESC, doc_id ASC) AS rank
    FROM counted
    WHERE score >= CAST({minimum_score} AS DOUBLE) AND NOT ({exclude_self} AND query_id = doc_id)
)
SELECT query_id, doc_id, CAST(rank AS INT) AS rank, score {with_passage}
FROM ranked WHERE rank <= {k}
"""


def top_k(session: SparkSession, queries: DataFrame, documents: DataFrame, kept: Kept) -> DataFrame:
    """Return (query_id, doc_id, rank from 1, score): the k documents of highest dot product for every query.

    Documents are ordered by exact score descending, then doc_id ascending. `score` is the double nearest to the exact
    score; from 2^23 on it can be the neighbouring double. A document that shares no term with a query is not listed.
    If the vectors are of passages, the rows have the number of the best `passage` too.

    - queries, documents: (id, indices, values).
    - kept: the rules of the run.
    """
    # Spark computes a top k inside each task only up to this threshold.
    set_setting(session, "spark.sql.optimizer.windowGroupLimitThreshold", str(max(1000, kept.k)))
    values: dict[str, Any] = {"k": kept.k, "minimum_score": repr(float(kept.minimum_score))}
    if kept.aggregate is not None and kept.aggregate.ranks_documents:
        values |= {"best": kept.aggregate.best, "mean": kept.aggregate.kind == "mean"}
    return session.sql(
        top_k_statement(kept.aggregate), queries=queries, documents=documents, exclude_self=kept.exclude_self, **values
    )


def top_k_statement(aggregate: Aggregate | None) -> str:
    """Return the query that defines a run. aggregate: as of Kept."""
    if aggregate is None:
        passage, middle, ranks = "", "", "scores"
    elif aggregate.ranks_documents:
        passage, middle, ranks = "passage", _OF_PASSAGES, "of_documents"
    else:
        passage, middle, ranks = "CAST(right(doc_id, 6) AS INT) AS passage", "", "scores"
    said = f"{passage}," if passage else ""
    ranked = _RANKED.replace("{ranks}", ranks).replace("{passage}", said)
    return _SCORES + middle + ranked.replace("{with_passage}", ", passage" if passage else "")


PRODUCTS_SQL = """
WITH query_terms AS (
    SELECT term_id, COUNT(*) AS uses FROM {queries} LATERAL VIEW explode(indices) AS term_id GROUP BY term_id
)
SELECT /*+ BROADCAST(query_terms) */ COALESCE(SUM(uses), 0) AS products
FROM (SELECT explode(indices) AS term_id FROM {documents}) JOIN query_terms USING (term_id)
"""


def joined_products(session: SparkSession, queries: DataFrame, documents: DataFrame) -> int:
    """Return the number of products of weights in the join: the sum over terms of documents times queries with it."""
    row = session.sql(PRODUCTS_SQL, queries=queries, documents=documents).first()
    assert row is not None
    return int(row["products"])


MATCHED_TERMS_SQL = """
WITH query_terms AS (
    SELECT ranked.*, term.indices AS term_id, term.`values` AS query_weight
    FROM {ranked} AS ranked JOIN {queries} AS q ON q.id = ranked.query_id
    LATERAL VIEW explode(arrays_zip(q.indices, q.`values`)) AS term
),
document_terms AS (
    SELECT id AS doc_id, term.indices AS term_id, term.`values` AS doc_weight
    FROM {documents} LEFT SEMI JOIN {ranked} AS ranked ON id = ranked.doc_id
    LATERAL VIEW explode(arrays_zip(indices, `values`)) AS term
),
contributions AS (
    SELECT query_terms.*, CAST(query_weight AS DOUBLE) * doc_weight AS contribution
    FROM query_terms JOIN document_terms USING (doc_id, term_id)
)
SELECT query_id, doc_id, rank, score,
    slice(sort_array(collect_list(struct(contribution, token)), false), 1, {limit}) AS terms
FROM contributions JOIN {vocabulary} USING (term_id)
GROUP BY query_id, doc_id, rank, score
"""


def matched_terms(
    session: SparkSession,
    queries: DataFrame,
    documents: DataFrame,
    ranked: DataFrame,
    vocabulary: DataFrame,
    *,
    limit: int,
) -> DataFrame:
    """Return the ranked rows with `terms` array<struct<contribution, token>>, largest contribution first.

    A contribution is the product of a term's weights in query and document. All contributions add up to the score.

    - queries, documents: (id, indices, values).
    - ranked: (query_id, doc_id, rank, score).
    - vocabulary: (term_id, token).
    - limit: most terms of a row.
    """
    return session.sql(
        MATCHED_TERMS_SQL, queries=queries, documents=documents, ranked=ranked, vocabulary=vocabulary, limit=limit
    )
