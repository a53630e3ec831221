"""Documents as the unit of change: their hashes, and what a table of passages holds of each."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def documents_of(frame: DataFrame) -> DataFrame:
    """Return (id, title, text, text_sha256, repaired) of the table `documents`.

    - text_sha256: hash of title and text; null if both are null. A word that moves from one to the other changes it.
    - repaired: whether title or text held invalid UTF-8, now replaced by U+FFFD.
    """
    title, text = (F.make_valid_utf8(name) for name in ("title", "text"))
    present = F.coalesce(title, F.lit(""))
    both = F.concat(F.octet_length(present).cast("string"), F.lit(":"), present, F.coalesce(text, F.lit("")))
    valid = [F.coalesce(F.is_valid_utf8(name), F.lit(True)) for name in ("title", "text")]
    return frame.select(
        F.col("doc_id").alias("id"),
        title.alias("title"),
        text.alias("text"),
        F.when(F.col("title").isNotNull() | F.col("text").isNotNull(), F.sha2(both, 256)).alias("text_sha256"),
        (~(valid[0] & valid[1])).alias("repaired"),
    )


def documents_in(vectors: DataFrame) -> DataFrame:
    """Return (id, text_sha256, status, model_id) of each document whose passages a table of vectors holds.

    - model_id: null if a passage is missing, or if passages come from several texts or models. Such a document is not
      current.
    """
    one_text = F.min("doc_sha256").eqNullSafe(F.max("doc_sha256")) & (F.count("doc_sha256").isin(0, F.count("*")))
    one_model = F.min("model_id").eqNullSafe(F.max("model_id"))
    whole = F.count("*").eqNullSafe(F.max("passage") + 1) & (F.min("passage") == 0)
    return vectors.groupBy(of_document().alias("id")).agg(
        F.min("doc_sha256").alias("text_sha256"),
        # By the alphabet, ok and repaired come after the states of texts without a vector.
        F.max("status").alias("status"),
        F.when(one_text & one_model & whole, F.min("model_id")).alias("model_id"),
    )


def of_document() -> Column:
    """Return the document of a row of vectors; its own id if another program wrote a row without one."""
    return F.coalesce("doc_id", "id")
