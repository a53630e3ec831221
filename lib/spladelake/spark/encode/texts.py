"""Prepare texts for a model: join and hash them, spread them over tasks, and apply the encoding functions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spladelake.spark.encode.worker import REJECTED, EncodeBatches, EncodeOrReject
from spladelake.spark.session.arrow_functions import map_arrow
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import PASSAGE_COLUMNS, PASSAGE_VECTORS, VECTORS

# Imported for types alone: verify_tables reads texts without torch.
if TYPE_CHECKING:
    from spladelake.encoder import Checkpoint
    from spladelake.reranker.checkpoint import CrossCheckpoint

# Fewest and most texts of a task: enough to repay its start (one Arrow batch), few enough that a lost task costs at
# most minutes.
ROWS_PER_TASK = (2_048, 16_384)
# One worker encodes so few texts before a second worker has loaded the model.
FEW_ROWS = 64
# Tasks per slot for large corpora: they spread long and short texts evenly, and the progress bar moves often.
TASKS_PER_SLOT = 64
# Fewest seconds of encoding per task, if the rate is known. To start a task and to close its file takes some tenths of
# a second, in which the slot does not encode (tests/bench/bench_encode_spark.py).
SECONDS_PER_TASK = 10
# Texts in an Arrow batch. The encoder sorts each batch by length.
ROWS_PER_BATCH = 2_048
# Number of hash buckets of about equal size. A chunk is a range of buckets.
BUCKETS = 65_536

# Multiplications and additions per second that a slot is assumed to do until its rate is measured: one core at float32.
# The encoder exceeds it on CPUs (fraction_of_limit in tests/bench/bench_encode.py), and by far on a GPU.
FIRST_FLOPS = 50e9
# Mean bytes of a token in English text.
BYTES_PER_TOKEN = 4.5
SideName = Literal["documents", "queries"]


@dataclass(frozen=True)
class Side:
    """The names and columns that differ between documents and queries."""

    name: SideName
    kind: Literal["document", "query"]
    id_column: str
    text_columns: tuple[str, ...]


SIDES = {
    "documents": Side("documents", "document", "doc_id", ("title", "text")),
    "queries": Side("queries", "query", "query_id", ("text",)),
}


def texts_of(frame: DataFrame, side: Side) -> DataFrame:
    """Return (id, text, text_sha256, repaired) of a side's table.

    - text: the text columns joined by a space, as BEIR joins title and text; null if all of them are null.
    - repaired: whether the text held invalid UTF-8, now replaced by U+FFFD.
    """
    present = [F.when(F.trim(F.col(c)) != "", F.col(c)) for c in side.text_columns]
    raw = F.coalesce(*(F.col(c) for c in reversed(side.text_columns)))
    joined = F.concat_ws(" ", *present)
    return hashed(
        frame.select(F.col(side.id_column).alias("id"), F.when(joined == "", raw).otherwise(joined).alias("text"))
    )


def hashed(texts: DataFrame) -> DataFrame:
    """Return (id, text, text_sha256, repaired) of (id, text) rows."""
    valid = F.make_valid_utf8("text")
    repaired = ~F.coalesce(F.is_valid_utf8("text"), F.lit(True))
    return texts.select("id", valid.alias("text"), F.sha2(valid, 256).alias("text_sha256"), repaired.alias("repaired"))


def limited(texts: DataFrame, max_text_bytes: int) -> DataFrame:
    """Add a column `reason`. A text of more than `max_text_bytes` gets a reason and becomes null."""
    size = F.octet_length("text")
    too_large = F.coalesce(size > max_text_bytes, F.lit(False))
    reason = F.concat(F.lit("the text has "), size.cast("string"), F.lit(f" bytes; wanted at most {max_text_bytes}"))
    return texts.withColumn("reason", F.when(too_large, reason)).withColumn("text", F.when(~too_large, F.col("text")))


def bucket() -> Column:
    """Return the bucket of a text by its hash, 0 to BUCKETS - 1. Equal texts have the same bucket."""
    return F.coalesce(F.conv(F.substring("text_sha256", 1, 4), 16, 10).cast("int"), F.lit(0))


def spread(texts: DataFrame, tasks: int) -> DataFrame:
    """Spread texts over tasks by hash, equal texts side by side, so that a worker encodes them once.

    The hash gives a retried task the same rows. Spark shuffles texts before the encoding, never vectors after it.
    """
    return texts.repartition(tasks, "text_sha256").sortWithinPartitions("text_sha256")


def encoded(texts: DataFrame, function: EncodeBatches) -> DataFrame:
    """Encode (id, text, text_sha256, repaired) rows to `vectors` rows, without a shuffle."""
    return map_arrow(texts, function, vectors_schema(texts).struct)


def vectors_schema(texts: DataFrame) -> TableSchema:
    """Return the schema of the vectors of some texts, which may be passages."""
    return PASSAGE_VECTORS if PASSAGE_COLUMNS[0] in texts.columns else VECTORS


def encoded_or_rejected(texts: DataFrame, function: EncodeOrReject) -> DataFrame:
    """Encode (id, text, text_sha256, repaired, reason) rows to `staged` rows: vectors, or reasons for having none."""
    return map_arrow(texts, function, vectors_schema(texts).struct)


def is_rejected() -> Column:
    """Whether a `staged` row belongs to a text that cannot be encoded."""
    return F.col("status").startswith(REJECTED)


def task_count(rows: int, *, slots: int, rows_per_task: int | None = None, rate: float = 0.0) -> int:
    """Return the number of Spark tasks for a corpus: tasks of bounded size, the same number for each slot.

    - rows_per_task: a fixed size of a task; None chooses one.
    - rate: rows per second that a slot encodes; 0 if it is not known.
    """
    if rows_per_task is not None:
        return max(1, math.ceil(rows / rows_per_task))
    if rows <= FEW_ROWS:
        return 1
    low, high = ROWS_PER_TASK
    least = max(low, min(high, int(rate * SECONDS_PER_TASK)))
    tasks = math.ceil(rows / max(least, min(high, rows // (TASKS_PER_SLOT * slots))))
    return max(1, min(rows, math.ceil(tasks / slots) * slots))


@dataclass(frozen=True)
class ChunkSize:
    """Size of a chunk, which one commit holds.

    - minutes: time to encode it.
    - first_rate: texts per second that a slot is assumed to encode until its rate is measured.
    - rows: a fixed number of rows, instead of the time.
    """

    minutes: float
    first_rate: float
    rows: int | None = None

    def next(self, *, done: int, seconds: float, slots: int) -> int:
        """Return the rows of the next chunk, given that all slots encoded `done` rows in `seconds`."""
        if self.rows is not None:
            return self.rows
        rate = done / max(seconds, 1e-3) if done else self.first_rate * slots
        return max(slots, int(rate * self.minutes * 60))


def first_rate(checkpoint: Checkpoint | CrossCheckpoint, *, tokens: float) -> float:
    """Estimate the texts per second that one slot encodes, from the arithmetic of the model alone.

    Each token multiplies and adds every weight (four bytes) once.

    - tokens: tokens of a text.
    """
    names = [name for name, _ in checkpoint.file_digests if name.endswith(".safetensors")]
    weights = sum((Path(checkpoint.folder) / name).stat().st_size for name in names) / 4
    return FIRST_FLOPS / (2 * max(1.0, weights) * min(checkpoint.max_length, tokens))
