"""Runs made of passages: what a run lists, and documents ranked by the best of their scored passages."""

from __future__ import annotations

from typing import Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from spladelake.spark.encode.passages.ids import document_in, ending
from spladelake.spark.tables.schemas import BEST_PASSAGE

# whole: documents, found by their whole texts. best: documents, each with its best passage. all: passages.
Listed = Literal["whole", "best", "all"]


def listed_in(run: DataFrame) -> Listed:
    """Return what the rows of one run list. A run of `--aggregate none` has the ids of passages as doc_id."""
    if not set(BEST_PASSAGE) <= set(run.columns):
        return "whole"
    of_passage = F.coalesce(F.endswith("doc_id", ending()), F.lit(False))
    row = run.agg(F.count("passage").alias("named"), F.bool_and(of_passage).alias("every")).first()
    assert row is not None
    if not row["named"]:
        return "whole"
    return "all" if row["every"] else "best"


def passages_by_document(run: DataFrame) -> DataFrame:
    """Return the rows of a run of passages with the id of the document in doc_id."""
    return run.withColumn("doc_id", document_in("doc_id"))


def documents_of_passages(passages: DataFrame) -> DataFrame:
    """Return (query_id, doc_id, rank, passage, …): the documents in the order of their first passages in a run.

    - passages: rows of `passages_by_document`.
    """
    places = F.struct("rank", *BEST_PASSAGE)
    first = passages.groupBy("query_id", "doc_id").agg(F.min(places).alias("first"))
    order = Window.partitionBy("query_id").orderBy("first.rank")
    rank = F.row_number().over(order).alias("rank")
    return first.select("query_id", "doc_id", rank, *(f"first.{name}" for name in BEST_PASSAGE))


def with_ids_of_passages(rows: DataFrame) -> DataFrame:
    """Return rows of `passages_by_document` with the ids of the passages in doc_id again."""
    return rows.withColumn("doc_id", F.concat("doc_id", ending()))


def best_scored(scored: DataFrame, passages: DataFrame) -> DataFrame:
    """Return (query_id, doc_id, score, passage, …): each document with the highest score of its passages.

    Of passages with equal scores the first in the text counts.

    - scored: (query_id, doc_id, score), whose doc_id is the id of a passage.
    - passages: rows of `passages_by_document`, at least those that are scored.
    """
    places = with_ids_of_passages(passages).select("query_id", "doc_id", *BEST_PASSAGE)
    each = passages_by_document(scored.join(places, ["query_id", "doc_id"]))
    # The least of the negative scores is the highest score.
    least = F.min(F.struct((-F.col("score")).alias("minus"), *BEST_PASSAGE)).alias("best")
    best = each.groupBy("query_id", "doc_id").agg(least)
    score = (-F.col("best.minus")).alias("score")
    return best.select("query_id", "doc_id", score, *(f"best.{name}" for name in BEST_PASSAGE))
