"""Rows that could not be used: kept by the job that met them, shown, and tried again."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.schemas import QUARANTINE
from spladelake.spark.tables import Lake, Lineage, replace_rows, sql_string


def replace_quarantine(
    session: SparkSession, lake: Lake, rejected: DataFrame | None, label: str, source: str, *, lineage: Lineage
) -> list[str]:
    """Make the rejected (id, text, reason) the rows of an input in `quarantine`; returns up to three as sentences.

    None: nothing was rejected, and what was before goes. A text is kept as JSON beside its id.
    """
    target = lake.table("quarantine")
    mine = F.col("input") == label
    if rejected is None:
        if not target.exists(session) or target.read(session).where(mine).isEmpty():
            return []
        rows = session.createDataFrame([], QUARANTINE.struct)
    else:
        rows = rejected.select(
            F.lit(source).alias("source"),
            F.lit(None).cast("bigint").alias("line"),
            F.concat(F.lit('"'), F.col("id"), F.lit('": '), F.col("reason")).alias("reason"),
            F.to_json(F.struct("id", "text")).cast("binary").alias("raw"),
            F.lit(label).alias("input"),
        ).coalesce(1)
    replace_rows(session, target, QUARANTINE, rows, lineage=lineage, where=f"input = {sql_string(label)}")
    first = target.read(session).where(mine).orderBy("reason").limit(3).collect()
    return [str(row["reason"]) for row in first]


def quarantined_ids(session: SparkSession, lake: Lake, label: str) -> DataFrame:
    """(id) of the texts that an encode job put into quarantine."""
    target = lake.table("quarantine")
    if not target.exists(session):
        return session.createDataFrame([], "id string")
    raw = F.col("raw").cast("string")
    rows = target.read(session).where(F.col("input") == label)
    return rows.select(F.get_json_object(raw, "$.id").alias("id"))
