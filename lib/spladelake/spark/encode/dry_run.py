"""Forecast of an encode: time and space, measured on a sample of its texts before it starts."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.worker import EncodeBatches
from spladelake.spark.session.kept import kept_on_disk
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.schemas import VECTORS

# Sampled texts per slot: enough to know their mean length to some 3 %, and seconds of work for the slot.
SAMPLE_PER_SLOT = 512
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
    vectors = spread.mapInArrow(EncodeBatches(spec, kind, totals), VECTORS.struct).toArrow()
    return vectors, dict(totals.value)


def parquet_bytes(vectors: pa.Table) -> int:
    """Return the bytes of the vectors as one Parquet file with the settings of schemas.VECTOR_FILES."""
    sink = pa.BufferOutputStream()
    others = [name for name in vectors.column_names if name not in ("indices", "values")]
    pq.write_table(vectors, sink, compression="zstd", compression_level=9, use_dictionary=others)
    return int(sink.getvalue().size)
