"""The texts of documents, or of the passages at given places in them, joined to the rows that name them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spladelake.spark.encode.texts import SIDES, texts_of
from spladelake.spark.tables.schemas import BEST_PASSAGE

_, START, END = BEST_PASSAGE


def with_texts(rows: DataFrame, documents: DataFrame) -> DataFrame:
    """Return rows with `document`, `document_hash` and `found`, joined by doc_id.

    - rows: with doc_id. If they have passage_start and passage_end, `document` is that passage with the title. A row
      with nulls there has the whole text.
    - found: true, or null if the document is not in the table. The text of a found document can be null.
    """
    whole = texts_of(documents, SIDES["documents"]).select(
        F.col("id").alias("doc_id"), F.col("text").alias("document"), F.col("text_sha256").alias("document_hash")
    )
    joined = rows.join(whole.withColumn("found", F.lit(True)), "doc_id", "left")
    return _with_passages(joined, documents) if START in rows.columns else joined


def _with_passages(rows: DataFrame, documents: DataFrame) -> DataFrame:
    title, text = (F.make_valid_utf8(name) for name in ("title", "text"))
    parts = documents.select("doc_id", F.when(F.trim(title) != "", title).alias("head"), text.alias("body"))
    passage = F.substr("body", F.col(START) + 1, F.col(END) - F.col(START))
    named = F.col(START).isNotNull() & F.col("body").isNotNull()
    document = F.when(named, F.concat_ws(" ", "head", passage)).otherwise(F.col("document"))
    joined = rows.join(parts, "doc_id", "left").withColumn("document", document).drop("head", "body")
    return joined.withColumn("document_hash", F.sha2("document", 256))
