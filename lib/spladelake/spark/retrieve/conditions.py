"""The selection of documents by a SQL condition (--where)."""

from __future__ import annotations

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.errors import UsageError
from spladelake.spark.session.read_only import refusal_of_rows


def selected(vectors: DataFrame, texts: DataFrame | None, conditions: list[str | None]) -> DataFrame:
    """Return (id, indices, values, groups). Bit i of `groups` is set if the document meets conditions[i].

    - vectors: rows with id, indices and values.
    - texts: the `documents` table; needed unless all conditions are None.
    - conditions: SQL conditions on the columns of `texts`. Every document meets None.

    Raises UsageError if a condition is not valid on these columns or does more than read.
    """
    columns = vectors.select("id", "indices", "values")
    always = sum(1 << i for i, condition in enumerate(conditions) if condition is None)
    asked = [(1 << i, condition) for i, condition in enumerate(conditions) if condition is not None]
    if not asked:
        return columns.withColumn("groups", F.lit(always))
    assert texts is not None
    groups = F.lit(0)
    for bit, condition in asked:
        groups = groups + F.when(_boolean(texts, condition), F.lit(bit)).otherwise(F.lit(0))
    met = texts.select(F.col("doc_id").alias("id"), groups.alias("met")).where("met > 0")
    how = "left" if always else "inner"
    joined = columns.join(met, "id", how)
    return joined.select(
        "id", "indices", "values", (F.coalesce(F.col("met"), F.lit(0)) + F.lit(always)).alias("groups")
    )


def _boolean(texts: DataFrame, condition: str):  # type: ignore[no-untyped-def]
    """Return a condition as a column. Spark parses and resolves it first, so a mistake ends with a clear message."""
    try:
        expression = F.expr(condition)
        refused = refusal_of_rows(texts.where(expression))
    except (AnalysisException, ParseException) as error:
        reason = " ".join(str(error).split("SQLSTATE")[0].split())[:300]
        raise UsageError(
            f"--where {condition!r}",
            reason,
            f"wanted a condition on {', '.join(texts.columns)}",
            "Correct the condition; strings need single quotes.",
        ) from None
    if refused is not None:
        raise UsageError(
            f"--where {condition!r}", refused, "wanted a condition that only reads", "Correct the condition."
        )
    return expression
