"""Retrieval as plain SQL: the join that says what a run is, and the explanation of its scores."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

# A score is the exact dot product of the float32 weights, so that neither partitioning nor retries nor the order of a
# sum can change a ranking, and documents tie only where their dot products are equal. A product of two float32 is
# exact in a double; it is split into whole units of 2^-30 and a rest in units of 2^-76, and each part is summed as an
# integer. Exact while weights multiply to 2^-29 or more (below that the rest is cut at 2^-76); a sum that does not
# fit fails. A document's weight is looked up by its place after the join: few of its terms are in a query, and a zip of
# the arrays would make an object of each.
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
    """The k documents of highest dot product for every query: (query_id, doc_id, rank from 1, score).

    queries, documents: (id, indices, values). A document that shares no term with a query is not listed, nor one that
    scores less than minimum_score or, with exclude_self, has the query's id.
    Order is total: exact score descending, then doc_id ascending. score is the double nearest to the exact one (from
    2^23 on possibly its neighbour).
    """
    # Spark pushes a top-k into each task only up to this threshold.
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


def count_products(session: SparkSession, queries: DataFrame, documents: DataFrame) -> int:
    """Products of weights that the join makes: sum over terms of the documents and the queries that have it."""
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
    """Ranked rows with `terms` array<struct<contribution, token>>: what made each score, largest share first.

    A contribution is the product of the term's weights in query and document; all of them add up to the score.
    """
    return session.sql(
        MATCHED_TERMS_SQL, queries=queries, documents=documents, ranked=ranked, vocabulary=vocabulary, limit=limit
    )
