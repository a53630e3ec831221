"""Restrict a retrieval to the documents that meet a condition."""

from __future__ import annotations

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import UsageError
from spladelake.names import listed
from spladelake.spark.session.read_only import refusal_of_rows


def selected(vectors: DataFrame, texts: DataFrame | None, conditions: list[str | None]) -> DataFrame:
    """Return (id, indices, values, groups). Bit i of groups says whether the document meets conditions[i].

    - texts: the `documents` table; None only if no condition is given.
    - conditions: SQL conditions on `texts`; every document meets None.

    Raises UsageError if Spark cannot resolve a condition on these columns, or if it does more than read.
    """
    of = "doc_id" if "doc_id" in vectors.columns else "id"
    columns = vectors.select("id", "indices", "values", F.col(of).alias("of_document"))
    always = sum(1 << i for i, condition in enumerate(conditions) if condition is None)
    asked = [(1 << i, condition) for i, condition in enumerate(conditions) if condition is not None]
    if not asked:
        return columns.drop("of_document").withColumn("groups", F.lit(always))
    assert texts is not None
    groups = F.lit(0)
    for bit, condition in asked:
        groups = groups + F.when(_boolean(texts, condition), F.lit(bit)).otherwise(F.lit(0))
    met = texts.select(F.col("doc_id").alias("of_document"), groups.alias("met")).where("met > 0")
    how = "left" if always else "inner"
    joined = columns.join(met, "of_document", how)
    return joined.select(
        "id", "indices", "values", (F.coalesce(F.col("met"), F.lit(0)) + F.lit(always)).alias("groups")
    )


def _boolean(texts: DataFrame, condition: str):  # type: ignore[no-untyped-def]
    """Return a condition as a column, after Spark has resolved it."""
    try:
        expression = F.expr(condition)
        refused = refusal_of_rows(texts.where(expression))
    except (AnalysisException, ParseException) as error:
        reason = " ".join(str(error).split("SQLSTATE")[0].split())[:300].rstrip(" .;")
        raise UsageError(
            f"--where {condition!r}",
            reason,
            f"wanted a condition on {listed(texts.columns)}",
            "Correct the condition, and put strings in single quotes.",
        ) from None
    if refused is not None:
        found, fix = f"the condition {refused}", "Remove this part of the condition."
        raise UsageError(f"--where {condition!r}", found, "wanted a condition that only reads", fix)
    return expression
