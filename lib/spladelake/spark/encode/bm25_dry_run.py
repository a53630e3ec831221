"""Forecast of an encode with BM25: the driver counts and weighs a sample of the texts before the job starts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.bm25.settings import Bm25Settings
from spladelake.spark.encode.bm25_packs import DRIVER_TEXTS, counted_here, tallied
from spladelake.spark.encode.bm25_worker import TOKENS, CountWords, Vocabulary, WeighWords, WordStatistics
from spladelake.spark.encode.dry_run import NOTHING, EncodedSample
from spladelake.spark.encode.texts import Side
from spladelake.spark.encode.worker import VECTOR_BATCH

# Texts of the sample: enough to know their mean length to some 2 %, and less than a second of work. Long texts make a
# smaller sample.
SAMPLE, SAMPLE_BYTES = 4_096, 32 * 2**20
# Texts that the driver counts before it measures, which loads the stemmer.
FIRST = 16


def forecast_bm25(session: SparkSession, texts: DataFrame, settings: Bm25Settings, side: Side) -> dict[str, Any]:
    """Forecast the rows, tokens, seconds and bytes of weighing the texts on this session's slots.

    The words of the sample stand for the vocabulary, so words of queries that no document holds count too. The seconds
    are those of counting and weighing; Spark's own time for a job comes on top.

    - texts: (id, text, text_sha256, repaired).
    """
    row = texts.agg(F.count("*").alias("rows"), F.sum(F.octet_length("text")).alias("bytes")).first()
    assert row is not None
    rows, size = int(row["rows"]), int(row["bytes"] or 0)
    # The driver alone counts few texts.
    slots = session.sparkContext.defaultParallelism if rows > DRIVER_TEXTS else 1
    result: dict[str, Any] = {"status": "forecast", "rows": rows, "slots": slots}
    if not rows:
        return {**result, **NOTHING}
    wanted = min(SAMPLE, max(FIRST, SAMPLE_BYTES * rows // max(1, size)))
    sample = texts.orderBy("text_sha256", "id").limit(wanted).toArrow()
    _weighed_here(sample.slice(0, FIRST), settings, side)
    started = time.monotonic()
    vectors, tokens = _weighed_here(sample, settings, side)
    seconds = (time.monotonic() - started) / slots
    return {**result, **EncodedSample(vectors, tokens, seconds).extrapolated(rows, texts=rows)}


def _weighed_here(texts: pa.Table, settings: Bm25Settings, side: Side) -> tuple[pa.Table, int]:
    """Weigh texts in the driver, as if they were the whole table; return the vectors and the number of words."""
    is_documents = side.name == "documents"
    packs = counted_here(texts, CountWords(settings, "texts" if is_documents else "occurrences"))
    tally = tallied(packs)
    words, tokens = tally.words, tally.facts[TOKENS]
    statistics = WordStatistics(len(texts), tokens / len(texts), len(words)) if is_documents else None
    vocabulary = Vocabulary(words, np.arange(len(words), dtype=np.int32), tally.amounts)
    weigh = WeighWords(settings, vocabulary, statistics, model_id="")
    return pa.Table.from_batches(list(weigh(iter(packs.to_batches()))), VECTOR_BATCH), tokens
