"""Restrict a retrieval to the documents that meet a condition."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.spark.encode.text_tables import TextTable
from spladelake.spark.session.expressions import condition_on


def selected(
    vectors: DataFrame, texts: tuple[TextTable, DataFrame] | None, conditions: Sequence[str | None]
) -> DataFrame:
    """Return (id, indices, values, groups). Bit i of groups says whether the document meets conditions[i].

    - texts: the table of the documents' texts, and its rows; None only if no condition is given.
    - conditions: SQL conditions on columns of this table; every document meets None.

    Raises UsageError if Spark cannot resolve a condition on these columns, or if it does more than read.
    """
    of = "doc_id" if "doc_id" in vectors.columns else "id"
    columns = vectors.select("id", "indices", "values", F.col(of).alias("of_document"))
    always = sum(1 << i for i, condition in enumerate(conditions) if condition is None)
    asked = [(1 << i, condition) for i, condition in enumerate(conditions) if condition is not None]
    if not asked:
        return columns.drop("of_document").withColumn("groups", F.lit(always))
    assert texts is not None
    table, rows = texts
    groups = F.lit(0)
    for bit, condition in asked:
        groups = groups + F.when(condition_on(rows, condition, option="--where"), F.lit(bit)).otherwise(F.lit(0))
    met = rows.select(table.ids(rows).alias("of_document"), groups.alias("met")).where("met > 0")
    how = "left" if always else "inner"
    joined = columns.join(met, "of_document", how)
    return joined.select(
        "id", "indices", "values", (F.coalesce(F.col("met"), F.lit(0)) + F.lit(always)).alias("groups")
    )
