"""Retrieval as plain SQL: the join that defines a run, and the query that explains its scores."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

# A score is the exact dot product of the float32 weights. So partitions, retries and the order of a sum cannot change a
# ranking, and documents tie only if their dot products are equal. The product of two float32 is exact in a double. The
# query splits it into whole units of 2^-30 and a rest in units of 2^-76, and sums both parts as integers. This is exact
# if every product is 2^-29 or more; the rest of a smaller product is cut at 2^-76. A sum that overflows fails.
# The query looks up a document's weight by position after the join: few of a document's terms are in a query, and
# arrays_zip would create an object for each term.
TOP_K_SQL = """
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
counted AS (
    SELECT *, units / POWER(2D, 30) + rests / POWER(2D, 76) AS score
    FROM scores
),
ranked AS (
    SELECT query_id, doc_id, score,
        ROW_NUMBER() OVER (PARTITION BY query_id ORDER BY units DESC, rests DESC, doc_id ASC) AS rank
    FROM counted
    WHERE score >= CAST({minimum_score} AS DOUBLE) AND NOT ({exclude_self} AND query_id = doc_id)
)
SELECT query_id, doc_id, CAST(rank AS INT) AS rank, score
FROM ranked WHERE rank <= {k}
"""


def top_k(
    session: SparkSession,
    queries: DataFrame,
    documents: DataFrame,
    *,
    k: int,
    minimum_score: float = 0.0,
    exclude_self: bool = False,
) -> DataFrame:
    """Return (query_id, doc_id, rank from 1, score): the k documents of highest dot product for every query.

    Documents are ordered by exact score descending, then doc_id ascending. `score` is the double nearest to the exact
    score; from 2^23 on it can be the neighbouring double. A document that shares no term with a query is not listed.

    - queries, documents: (id, indices, values).
    - k: most documents of a query.
    - minimum_score: lowest score to list.
    - exclude_self: whether to leave out a document with the query's id.
    """
    # Spark computes a top k inside each task only up to this threshold.
    session.conf.set("spark.sql.optimizer.windowGroupLimitThreshold", str(max(1000, k)))
    return session.sql(
        TOP_K_SQL,
        queries=queries,
        documents=documents,
        k=k,
        minimum_score=repr(float(minimum_score)),
        exclude_self=exclude_self,
    )


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
