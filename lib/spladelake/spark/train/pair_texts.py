"""The texts that the rows of pairs name: documents, or passages at places in them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.encode.passages.texts import END, START
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.training_schemas import PLACES, schema_with_places
from spladelake.spark.tables.upgrade import add_columns
from spladelake.spark.tables.write import replace_rows


def replace_pairs(
    session: SparkSession, target: TableRef, schema: TableSchema, pairs: DataFrame, *, lineage: Lineage
) -> None:  # fmt: skip
    """Replace the rows of a table of pairs. The table gets the columns of places with the first pairs that have them.

    - schema: of the table without places.
    """
    if names_places(pairs):
        schema = schema_with_places(schema)
        if target.exists(session):
            add_columns(session, target, schema)
    replace_rows(session, target, schema, pairs, lineage=lineage)


def names_places(pairs: DataFrame) -> bool:
    """Return whether pairs have the columns of places."""
    return {column.name for column in PLACES} <= set(pairs.columns)


def positive(pairs: DataFrame) -> Column:
    """Return the positive of each pair: doc_id, and the place as in a run if the pairs name places."""
    places = [F.col("pos_start").alias(START), F.col("pos_end").alias(END)] if names_places(pairs) else []
    return F.struct(F.col("pos_id").alias("doc_id"), *places)


def negatives(pairs: DataFrame) -> Column:
    """Return the list of each pair's negatives, in the form of `positive`. A null list of places gives null places."""
    if not names_places(pairs):
        return F.transform("neg_ids", lambda doc_id: F.struct(doc_id.alias("doc_id")))
    return F.transform(
        "neg_ids",
        lambda doc_id, i: F.struct(
            doc_id.alias("doc_id"), F.get("neg_starts", i).alias(START), F.get("neg_ends", i).alias(END)
        ),
    )


def negative_columns(listed: str, *, places: bool) -> list[Column]:
    """Return the columns of pairs that hold the negatives.

    - listed: the column with the list of negatives, in the form of `negatives`. A null list has no negatives.
    - places: whether the list has places.
    """
    neg_ids = F.coalesce(f"{listed}.doc_id", F.array().cast("array<string>")).alias("neg_ids")
    if not places:
        return [neg_ids]
    return [neg_ids, F.col(f"{listed}.{START}").alias("neg_starts"), F.col(f"{listed}.{END}").alias("neg_ends")]
