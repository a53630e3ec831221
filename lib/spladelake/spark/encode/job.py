"""The encode job: the model's vectoriser turns the texts of a table into sparse vectors in a table."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spladelake.config import EncodeTexts
from spladelake.results import EncodeResult
from spladelake.spark.encode.vectorisers import vectoriser_of


def encode_texts(session: SparkSession, options: EncodeTexts) -> EncodeResult:
    """Encode the lake's documents, queries or both. Texts keep their vectors if text and model are unchanged."""
    return vectoriser_of(options.model).encode_texts(session, options)
