"""How large vectors are, and what scoring them costs, as sentence-transformers' evaluator counts it."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef

# Side of the lake, and what sentence-transformers calls it.
NAMES = {"queries": "query", "documents": "corpus"}


def vocabulary_size(session: SparkSession, ref: TableRef) -> int:
    """Number of dimensions of the vectors of a table."""
    size = table_properties(session, ref).get("spladelake.vocabulary_size")
    if size is None:
        raise DataError(
            str(ref),
            "its table properties lack the number of dimensions",
            "wanted spladelake.vocabulary_size",
            "Run encode_texts again: it repairs the table properties.",
        )
    return int(size)


def sparsity(vectors: Mapping[str, DataFrame], sizes: Mapping[str, int], counted: DataFrame) -> DataFrame:
    """(measure, value): active dimensions and sparsity ratio of each side, and avg_flops where both are there.

    vectors: (id, indices) by side. sizes: dimensions by side. counted: (query_id) of the queries that count; every
    document does. avg_flops: products in one dot product of a query and a document, both drawn at random: the sum over
    terms of the share of queries times the share of documents that have it.
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
    """(term_id, share of the vectors that have the term)."""
    counts = rows.select(F.explode("indices").alias("term_id")).groupBy("term_id").count()
    total = rows.agg(F.count("*").alias("total"))
    return counts.crossJoin(F.broadcast(total)).select("term_id", (F.col("count") / F.col("total")).alias(name))


def _row(measure: str, value: Column) -> Column:
    return F.struct(F.lit(measure).alias("measure"), value.alias("value"))
