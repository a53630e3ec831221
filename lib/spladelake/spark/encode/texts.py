"""Texts on their way to a model: joined, hashed, spread over tasks, and what becomes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spladelake.spark.encode.worker import REJECTED, EncodeBatches, EncodeOrReject
from spladelake.spark.tables.schemas import STAGED, VECTORS

# Texts in a task: enough to repay its start (one Arrow batch), few enough that a lost task costs minutes at most.
ROWS_PER_TASK = (2_048, 16_384)
# So few texts are encoded before a second worker has loaded the model.
FEW_ROWS = 64
# Tasks a slot on large corpora: spreads long and short texts, and moves the progress bar.
TASKS_PER_SLOT = 64
# Seconds of encoding that a task holds at least, where the rate is known: starting one and closing its file, while its
# slot does not encode, costs some tenths of a second (tests/bench/bench_encode_spark.py).
SECONDS_PER_TASK = 10
# Texts in an Arrow batch: what the encoder sorts by length at once.
ROWS_PER_BATCH = 2_048
# Buckets of equal share that the hashes of texts fall into: what a chunk of work is cut out by.
BUCKETS = 65_536

SideName = Literal["documents", "queries"]


@dataclass(frozen=True)
class Side:
    """What differs between encoding documents and queries."""

    name: SideName
    kind: Literal["document", "query"]
    id_column: str
    text_columns: tuple[str, ...]


SIDES = {
    "documents": Side("documents", "document", "doc_id", ("title", "text")),
    "queries": Side("queries", "query", "query_id", ("text",)),
}


def texts_of(frame: DataFrame, side: Side) -> DataFrame:
    """(id, text, text_sha256, repaired): the side's text columns joined by a space, as BEIR joins title and text.

    Null if all of them are null. repaired: the text held invalid UTF-8, which is replaced by U+FFFD.
    """
    present = [F.when(F.trim(F.col(c)) != "", F.col(c)) for c in side.text_columns]
    raw = F.coalesce(*(F.col(c) for c in reversed(side.text_columns)))
    joined = F.concat_ws(" ", *present)
    return hashed(
        frame.select(F.col(side.id_column).alias("id"), F.when(joined == "", raw).otherwise(joined).alias("text"))
    )


def hashed(texts: DataFrame) -> DataFrame:
    """(id, text, text_sha256, repaired) of (id, text) rows."""
    valid = F.make_valid_utf8("text")
    repaired = ~F.coalesce(F.is_valid_utf8("text"), F.lit(True))
    return texts.select("id", valid.alias("text"), F.sha2(valid, 256).alias("text_sha256"), repaired.alias("repaired"))


def limited(texts: DataFrame, max_text_bytes: int) -> DataFrame:
    """The texts with a `reason` against those that are too large, which go on without their text."""
    size = F.octet_length("text")
    too_large = F.coalesce(size > max_text_bytes, F.lit(False))
    reason = F.concat(
        F.lit("the text has "), size.cast("string"), F.lit(f" bytes; at most {max_text_bytes} are wanted")
    )
    return texts.withColumn("reason", F.when(too_large, reason)).withColumn("text", F.when(~too_large, F.col("text")))


def bucket() -> Column:
    """Bucket of a text by its hash, 0 to BUCKETS - 1: the same one for equal texts."""
    return F.coalesce(F.conv(F.substring("text_sha256", 1, 4), 16, 10).cast("int"), F.lit(0))


def spread(texts: DataFrame, tasks: int) -> DataFrame:
    """The texts in that many tasks, equal ones side by side, so that a worker encodes them once.

    By hash, so that a retried task gets the same rows; before encoding, so that nothing encoded is ever shuffled.
    """
    return texts.repartition(tasks, "text_sha256").sortWithinPartitions("text_sha256")


def encoded(texts: DataFrame, function: EncodeBatches) -> DataFrame:
    """`vectors` rows of (id, text, text_sha256, repaired) rows: one Python evaluation, no shuffle after it."""
    return texts.mapInArrow(function, VECTORS.struct).select(*VECTORS.column_names)


def encoded_or_rejected(texts: DataFrame, function: EncodeOrReject) -> DataFrame:
    """`staged` rows of (id, text, text_sha256, repaired, reason) rows: vectors, or reasons why there are none."""
    return texts.mapInArrow(function, STAGED.struct).select(*STAGED.column_names)


def is_rejected() -> Column:
    """Whether a `staged` row stands for a text that the model cannot take."""
    return F.col("status").startswith(REJECTED)


def task_count(rows: int, *, slots: int, rows_per_task: int | None = None, rate: float = 0.0) -> int:
    """Number of Spark tasks for a corpus: bounded tasks, enough of them for every slot, as many for one as for another.

    rate: rows a second that a slot encodes, 0 where it is not known.
    """
    if rows_per_task is not None:
        return max(1, math.ceil(rows / rows_per_task))
    if rows <= FEW_ROWS:
        return 1
    low, high = ROWS_PER_TASK
    least = max(low, min(high, int(rate * SECONDS_PER_TASK)))
    tasks = math.ceil(rows / max(least, min(high, rows // (TASKS_PER_SLOT * slots))))
    return max(1, min(rows, math.ceil(tasks / slots) * slots))
