"""The encode job: texts of a table to sparse vectors in a table, by the vectoriser of the model."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spladelake.config import EncodeTexts
from spladelake.results import EncodeResult
from spladelake.spark.encode.vectorisers import vectoriser_of


def encode_texts(session: SparkSession, options: EncodeTexts) -> EncodeResult:
    """Encode the lake's documents, queries or both; unchanged texts under an unchanged model are left alone."""
    return vectoriser_of(options.model).encode_texts(session, options)
