"""Ids of passages as expressions of Spark; `spladelake.passages.ids` has them for Python."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from spladelake.passages.ids import DIGITS, ID_SUFFIX, passage_id


def ending() -> Column:
    """Return what follows the document in the id of the passage that a column `passage` numbers."""
    number = F.lpad(F.col("passage").cast("string"), DIGITS, "0")
    return F.concat(F.lit(passage_id("", 0)[:-DIGITS]), number)


def document_in(column: str) -> Column:
    """Return the document of each passage's id in a column."""
    return F.expr(f"left({column}, char_length({column}) - {ID_SUFFIX})")
