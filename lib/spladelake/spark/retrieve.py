"""The retrieval job: exact top-k by dot product as a join of query terms with document terms."""

from __future__ import annotations

import logging
import time
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import RetrieveRun
from spladelake.errors import DataError
from spladelake.names import short_name
from spladelake.spark.schemas import RUNS, VECTORS
from spladelake.spark.tables import Lake, Lineage, TableRef, is_current, replace_rows, require, sql_string

log = logging.getLogger(__name__)

# A score is the exact dot product of the float32 weights, so that neither partitioning nor retries nor the order of a
# sum can change a ranking, and documents tie only where their dot products are equal. A product of two float32 is
# exact in a double; it is split into whole units of 2^-30 and a rest in units of 2^-76, and each part is summed as an
# integer. Exact while weights multiply to 2^-29 or more (below that the rest is cut at 2^-76); a sum that does not
# fit fails.
TOP_K_SQL = """
WITH query_terms AS (
    SELECT id AS query_id, term.indices AS term_id, CAST(term.`values` AS DOUBLE) * POWER(2D, 30) AS weight
    FROM {queries} LATERAL VIEW explode(arrays_zip(indices, `values`)) AS term
),
document_terms AS (
    SELECT id AS doc_id, term.indices AS term_id, CAST(term.`values` AS DOUBLE) AS weight
    FROM {documents} LATERAL VIEW explode(arrays_zip(indices, `values`)) AS term
),
products AS (
    SELECT /*+ BROADCAST(query_terms) */ query_id, doc_id, query_terms.weight * document_terms.weight AS product
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
ranked AS (
    SELECT query_id, doc_id, units, rests,
        ROW_NUMBER() OVER (PARTITION BY query_id ORDER BY units DESC, rests DESC, doc_id ASC) AS rank
    FROM scores
)
SELECT query_id, doc_id, rank, units / POWER(2D, 30) + rests / POWER(2D, 76) AS score
FROM ranked WHERE rank <= {k}
"""


def top_k(session: SparkSession, queries: DataFrame, documents: DataFrame, *, k: int) -> DataFrame:
    """The k documents of highest dot product for every query: (query_id, doc_id, rank from 1, score).

    queries, documents: (id, indices, values). A document that shares no term with a query is not listed.
    Order is total: exact score descending, then doc_id ascending. score is the double nearest to the exact one (from
    2^23 on possibly its neighbour).
    """
    ranked = session.sql(TOP_K_SQL, queries=queries, documents=documents, k=k)
    return ranked.select("query_id", "doc_id", F.col("rank").cast("int").alias("rank"), "score")


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


def retrieve_run(session: SparkSession, options: RetrieveRun) -> dict[str, Any]:
    """Rank the documents of the lake for each of its queries, as one run in `runs`."""
    lake, model = Lake(options.lake), short_name(options.vectors or options.model)
    run_id = options.run_id or model
    documents, queries, target = lake.vectors(model, "documents"), lake.vectors(model, "queries"), lake.table("runs")
    made_by = f"spladelake encode_texts --lake {lake.root} --model {options.model}"
    for ref in (documents, queries):
        require(session, ref, VECTORS, made_by=made_by)
    document_version, query_version = documents.version(session), queries.version(session)
    inputs = {"documents": [str(documents), document_version], "queries": [str(queries), query_version]}
    lineage = Lineage("retrieve_run", inputs, {"k": options.k}, scope=run_id)
    result: dict[str, Any] = {"run_id": run_id, "table": str(target), "k": options.k}
    if not options.force and is_current(session, target, lineage):
        log.info("%s: run %s skipped, it is current", target, run_id)
        return {**result, "status": "skipped"}
    document_rows = documents.read(session, version=document_version)
    query_rows = queries.read(session, version=query_version)
    _check_same_model(documents, document_rows, queries, query_rows)
    started = time.monotonic()
    # Spark pushes a top-k into each task only up to this threshold.
    session.conf.set("spark.sql.optimizer.windowGroupLimitThreshold", str(max(1000, options.k)))
    ranked = top_k(session, query_rows, document_rows, k=options.k).withColumn("run_id", F.lit(run_id))
    session.sparkContext.setJobDescription(f"retrieve {run_id}")
    where = f"run_id = {sql_string(run_id)}"
    replace_rows(session, target, RUNS, ranked.orderBy("query_id", "rank"), lineage=lineage, where=where)
    session.sparkContext.setJobDescription("")
    counts = target.read(session).where(F.col("run_id") == run_id)
    row = counts.agg(F.count("*").alias("rows"), F.count_distinct("query_id").alias("queries")).first()
    assert row is not None
    asked = query_rows.count()
    return {
        **result,
        "status": "written",
        "rows": row["rows"],
        "queries": asked,
        "queries_without_hit": asked - row["queries"],
        "seconds": round(time.monotonic() - started, 2),
    }


def _check_same_model(documents: TableRef, document_rows: DataFrame, queries: TableRef, query_rows: DataFrame) -> None:
    """Refuse vectors of different models: their dimensions or weights do not mean the same."""
    found = {
        str(ref): sorted(row["model_id"] for row in rows.select("model_id").distinct().collect())
        for ref, rows in ((documents, document_rows), (queries, query_rows))
    }
    models = sorted({model_id for ids in found.values() for model_id in ids})
    if len(models) > 1:
        said = "; ".join(f"{table} has {', '.join(m[:12] for m in ids)}" for table, ids in found.items())
        raise DataError(
            str(documents),
            f"the vectors are of {len(models)} models ({said})",
            "wanted one model_id on both sides",
            "Encode both sides again with the same model and settings.",
        )
