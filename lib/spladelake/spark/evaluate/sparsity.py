"""Sizes of vectors and the cost of scoring them, as sentence-transformers' evaluator defines them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Side of the lake, and sentence-transformers' name of it.
NAMES = {"queries": "query", "documents": "corpus"}


def sparsity(vectors: Mapping[str, DataFrame], sizes: Mapping[str, int], counted: DataFrame) -> DataFrame:
    """Return (measure, value): active dimensions and sparsity ratio of each side, and avg_flops if both sides exist.

    avg_flops is the expected number of products in the dot product of a random query and a random document: the sum
    over terms of (share of queries with the term) * (share of documents with the term).

    - vectors: (id, indices) by side.
    - sizes: number of dimensions by side.
    - counted: (query_id) of the queries that count; all documents count.

    Source: sentence-transformers' SparseInformationRetrievalEvaluator; Paria et al. 2020, arXiv 2004.05665.
    """
    used = dict(vectors)
    if "queries" in used:
        used["queries"] = used["queries"].join(counted, F.col("id") == F.col("query_id"), "left_semi")
    parts = [_active_dims(rows, side, sizes[side]) for side, rows in used.items()]
    if len(used) == len(NAMES):
        parts.append(_flops(used["queries"], used["documents"]))
    found = parts[0]
    for part in parts[1:]:
        found = found.unionByName(part)
    return found.where("value IS NOT NULL")


def _active_dims(rows: DataFrame, side: str, size: int) -> DataFrame:
    active = F.avg(F.size("indices"))
    return rows.agg(active.alias("active")).select(
        F.inline(
            F.array(
                _row(f"{NAMES[side]}_active_dims", F.col("active")),
                _row(f"{NAMES[side]}_sparsity_ratio", 1 - F.col("active") / size),
            )
        )
    )


def _flops(queries: DataFrame, documents: DataFrame) -> DataFrame:
    asked, stored = _shares(queries, "asked"), _shares(documents, "stored")
    products = asked.join(stored, "term_id").agg(F.sum(F.col("asked") * F.col("stored")).alias("flops"))
    return products.select(F.inline(F.array(_row("avg_flops", F.col("flops")))))


def _shares(rows: DataFrame, name: str) -> DataFrame:
    """Return (term_id, share of the vectors that have the term)."""
    counts = rows.select(F.explode("indices").alias("term_id")).groupBy("term_id").count()
    total = rows.agg(F.count("*").alias("total"))
    return counts.crossJoin(F.broadcast(total)).select("term_id", (F.col("count") / F.col("total")).alias(name))


def _row(measure: str, value: Column) -> Column:
    return F.struct(F.lit(measure).alias("measure"), value.alias("value"))
