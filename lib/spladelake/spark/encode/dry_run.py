"""Forecast of an encode: time and space, measured on a sample of its texts before it starts.

The workers encode the sample of a neural model. The driver counts and weighs the sample of BM25.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.bm25.settings import Bm25Settings
from spladelake.spark.encode.bm25_packs import DRIVER_TEXTS, counted_here, tallied
from spladelake.spark.encode.bm25_worker import TOKENS, CountWords, Vocabulary, WeighWords, WordStatistics
from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.texts import Side, vectors_schema
from spladelake.spark.encode.worker import VECTOR_BATCH, EncodeBatches
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.totals import Totals

# Sampled texts per slot: enough to know their mean length to some 3 %, and seconds of work for the slot.
SAMPLE_PER_SLOT = 512
# Texts of the sample for BM25: enough to know their mean length to some 2 %, and less than a second of work. Long texts
# make a smaller sample.
BM25_SAMPLE, BM25_SAMPLE_BYTES = 4_096, 32 * 2**20
# Texts that the driver counts before it measures, which loads the stemmer.
BM25_FIRST = 16
# The forecast for a table without rows.
NOTHING: dict[str, Any] = {"sampled": 0, "tokens": 0, "seconds": 0.0, "hours": 0.0, "bytes": 0}


@dataclass(frozen=True, eq=False)
class EncodedSample:
    """The vectors of some texts of a table, as (id, indices, values, …) rows.

    - tokens: tokens of these texts.
    - seconds: time that the slots of the session took for them together.
    """

    vectors: pa.Table
    tokens: int
    seconds: float

    def extrapolated(self, rows: int, *, texts: int) -> dict[str, Any]:
        """Return the forecast for the whole table.

        - rows: rows of the table.
        - texts: texts of the table that are encoded, fewer than its rows if equal texts are encoded once.
        """
        sampled = len(self.vectors)
        share = texts / sampled
        return {
            "sampled": sampled,
            "tokens": round(self.tokens * share),
            "docs_per_second": round(sampled / self.seconds, 1),
            "seconds": round(self.seconds * share, 1),
            "hours": round(self.seconds * share / 3600, 2),
            "bytes": round(parquet_bytes(self.vectors) * rows / sampled),
        }


def forecast_encode(
    session: SparkSession, texts: DataFrame, *, spec: WorkerSpec, kind: Literal["document", "query"]
) -> dict[str, Any]:
    """Forecast the rows, tokens, seconds and bytes of encoding the texts on this session's slots.

    First each slot loads its model on a few texts. Then all slots encode a sample, chosen by hash. Equal texts count
    once, because a worker encodes them once.

    - texts: (id, text, text_sha256, repaired).
    """
    rows, distinct = _counts(texts)
    slots = session.sparkContext.defaultParallelism
    result: dict[str, Any] = {"status": "forecast", "rows": rows, "distinct_texts": distinct, "slots": slots}
    if not rows:
        return {**result, **NOTHING}
    wanted = SAMPLE_PER_SLOT * slots
    with ExitStack() as kept:
        ordered = kept_on_disk(texts.dropDuplicates(["text_sha256"]).orderBy("text_sha256").limit(wanted), kept)
        ordered.count()  # reads the sample before the measurement
        _run(session, ordered.limit(2 * slots), slots, spec, kind)  # loads the models
        started = time.monotonic()
        vectors, totals = _run(session, ordered, slots, spec, kind)
        seconds = time.monotonic() - started
    sample = EncodedSample(vectors, tokens=int(totals.get("tokens", 0)), seconds=seconds)
    return {**result, **sample.extrapolated(rows, texts=distinct)}


def _counts(texts: DataFrame) -> tuple[int, int]:
    row = texts.agg(F.count("*").alias("rows"), F.count_distinct("text_sha256").alias("distinct")).first()
    assert row is not None
    return int(row["rows"]), int(row["distinct"])


def _run(
    session: SparkSession, texts: DataFrame, slots: int, spec: WorkerSpec, kind: Literal["document", "query"]
) -> tuple[pa.Table, dict[str, float]]:
    """Encode texts on all slots; return the vectors and the totals of the workers."""
    totals = session.sparkContext.accumulator({}, Totals())
    spread = texts.repartition(slots, "text_sha256")
    vectors = map_arrow(spread, EncodeBatches(spec, kind, totals), vectors_schema(spread).struct).toArrow()
    return vectors, dict(totals.value)


def parquet_bytes(vectors: pa.Table) -> int:
    """Return the bytes of the vectors as one Parquet file with the settings of schemas.VECTOR_FILES."""
    sink = pa.BufferOutputStream()
    others = [name for name in vectors.column_names if name not in ("indices", "values")]
    pq.write_table(vectors, sink, compression="zstd", compression_level=9, use_dictionary=others)
    return int(sink.getvalue().size)


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
    wanted = min(BM25_SAMPLE, max(BM25_FIRST, BM25_SAMPLE_BYTES * rows // max(1, size)))
    sample = texts.orderBy("text_sha256", "id").limit(wanted).toArrow()
    _weighed_here(sample.slice(0, BM25_FIRST), settings, side)
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
