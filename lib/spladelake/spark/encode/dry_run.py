"""What an encode will take, measured on a sample of its own texts before it starts."""

from __future__ import annotations

import time
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.worker import EncodeBatches
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.schemas import VECTORS

# Texts of the sample for each slot: their mean length is then known to some 3 %, and a slot has work for seconds.
SAMPLE_PER_SLOT = 512


def forecast_encode(
    session: SparkSession, texts: DataFrame, *, spec: WorkerSpec, kind: Literal["document", "query"]
) -> dict[str, Any]:
    """Rows, tokens, seconds and bytes that encoding the texts will take on this session's slots.

    texts: (id, text, text_sha256, repaired). A sample chosen by hash is encoded on every slot at once, after each has
    loaded its model on a few texts; texts that are equal are counted once, as they are encoded once.
    """
    rows, distinct = _counts(texts)
    slots = session.sparkContext.defaultParallelism
    result: dict[str, Any] = {"status": "forecast", "rows": rows, "distinct_texts": distinct, "slots": slots}
    if not rows:
        return {**result, "sampled": 0, "tokens": 0, "seconds": 0.0, "hours": 0.0, "bytes": 0}
    wanted = SAMPLE_PER_SLOT * slots
    ordered = texts.dropDuplicates(["text_sha256"]).orderBy("text_sha256").limit(wanted).persist()
    sampled = ordered.count()
    _run(session, ordered.limit(2 * slots), slots, spec, kind)  # loads the models
    started = time.monotonic()
    vectors, totals = _run(session, ordered, slots, spec, kind)
    seconds = time.monotonic() - started
    ordered.unpersist()
    share = distinct / sampled
    return {
        **result,
        "sampled": sampled,
        "tokens": round(totals.get("tokens", 0) * share),
        "docs_per_second": round(sampled / seconds, 1),
        "seconds": round(seconds * share, 1),
        "hours": round(seconds * share / 3600, 2),
        "bytes": round(parquet_bytes(vectors) * rows / sampled),
    }


def _counts(texts: DataFrame) -> tuple[int, int]:
    row = texts.agg(F.count("*").alias("rows"), F.count_distinct("text_sha256").alias("distinct")).first()
    assert row is not None
    return int(row["rows"]), int(row["distinct"])


def _run(
    session: SparkSession, texts: DataFrame, slots: int, spec: WorkerSpec, kind: Literal["document", "query"]
) -> tuple[pa.Table, dict[str, float]]:
    """The vectors of some texts, encoded by all slots, and what the workers counted."""
    totals = session.sparkContext.accumulator({}, Totals())
    spread = texts.repartition(slots, "text_sha256")
    vectors = spread.mapInArrow(EncodeBatches(spec, kind, totals), VECTORS.struct).toArrow()
    return vectors, dict(totals.value)


def parquet_bytes(vectors: pa.Table) -> int:
    """Bytes of the vectors as one Parquet file, written as schemas.VECTOR_FILES says."""
    sink = pa.BufferOutputStream()
    others = [name for name in vectors.column_names if name not in ("indices", "values")]
    pq.write_table(vectors, sink, compression="zstd", compression_level=9, use_dictionary=others)
    return int(sink.getvalue().size)
