"""The encode job: texts of a table to sparse vectors in a table, through one model in every Python worker."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.bm25.settings import BM25_MODEL
from spladelake.config import EncodeTexts
from spladelake.encoder import Checkpoint, EncoderSettings, resolve_checkpoint
from spladelake.encoder.layout import read_layout
from spladelake.encoder.tokens import vocabulary_tokens
from spladelake.errors import DataError, UsageError
from spladelake.names import short_name
from spladelake.spark.progress import progress
from spladelake.spark.schemas import DOCUMENTS, QUERIES, VECTORS, VOCABULARY
from spladelake.spark.tables import (
    Lake,
    Lineage,
    TableRef,
    is_current,
    replace_rows,
    require,
    set_properties,
    table_properties,
)
from spladelake.spark.worker import EncodeBatches, Totals, WorkerSpec

log = logging.getLogger(__name__)

# Texts in a task: enough to repay its start, few enough that a lost task costs minutes at most.
ROWS_PER_TASK = (512, 16_384)
# Tasks a slot on large corpora: spreads long and short texts, and moves the progress bar.
TASKS_PER_SLOT = 64
# Texts in an Arrow batch: what the encoder sorts by length at once.
ROWS_PER_BATCH = 2_048

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


def encode_texts(session: SparkSession, options: EncodeTexts) -> dict[str, Any]:
    """Encode the lake's documents, queries or both; unchanged texts under an unchanged model are left alone."""
    if options.model == BM25_MODEL:
        from spladelake.spark.bm25 import encode_bm25

        return encode_bm25(session, options)
    settings = EncoderSettings(
        max_length=options.max_length,
        max_active_dims=options.max_active_dims,
        minimum_weight=options.minimum_weight,
        split_special_tokens=options.split_special_tokens,
    )
    checkpoint = resolve_checkpoint(options.model, settings=settings, sha256=options.model_sha256)
    lake = Lake(options.lake)
    name = short_name(options.vectors or options.model)
    sides = ["documents", "queries"] if options.side == "both" else [options.side]
    result: dict[str, Any] = {"model": checkpoint.name, "model_id": checkpoint.model_id}
    for side in sides:
        result[side] = _encode_side(session, lake, SIDES[side], checkpoint, options, name)
    result["status"] = "skipped" if all(result[side]["status"] == "skipped" for side in sides) else "written"
    return result


def _encode_side(
    session: SparkSession, lake: Lake, side: Side, checkpoint: Checkpoint, options: EncodeTexts, name: str
) -> dict[str, Any]:
    source, target = lake.table(side.name), lake.vectors(name, side.name)
    schema = DOCUMENTS if side.name == "documents" else QUERIES
    require(session, source, schema, made_by=f"spladelake ingest_texts --lake {lake.root} …")
    version = source.version(session)
    lineage = Lineage(
        "encode_texts",
        {side.name: [str(source), version]},
        {"model_id": checkpoint.model_id, "text_columns": list(side.text_columns)},
    )
    _check_same_name(session, target, checkpoint, options)
    properties = {
        "model": checkpoint.name,
        "model_id": checkpoint.model_id,
        "max_length": str(checkpoint.max_length),
        "vocabulary_size": str(checkpoint.vocabulary_size),
        "source": str(source),
        "source_version": str(version),
    }
    _write_vocabulary(session, lake.vectors(name, "vocabulary"), checkpoint)
    if not options.force and is_current(session, target, lineage):
        log.info("%s: skipped, the vectors are current", target)
        set_properties(session, target, properties)  # a run that was killed may have left the old ones
        return {"status": "skipped", "table": str(target)}
    texts = texts_of(source.read(session, version=version), side)
    started = time.monotonic()
    totals = _write_vectors(
        session, texts, target, lineage, side, WorkerSpec(checkpoint, options.token_budget), options
    )
    seconds = time.monotonic() - started
    set_properties(session, target, properties)
    return {"status": "written", "table": str(target), **_report(totals, seconds)}


def _check_same_name(session: SparkSession, target: TableRef, checkpoint: Checkpoint, options: EncodeTexts) -> None:
    """Refuse to replace the vectors of another model that only happens to have the same short name."""
    if options.vectors is not None or not target.exists(session):
        return
    found = table_properties(session, target).get("spladelake.model", checkpoint.name)
    if found.split("@")[0] != checkpoint.name.split("@")[0]:
        raise UsageError(
            str(target),
            f"it holds vectors of {found}",
            f"{checkpoint.name} has the same short name",
            "Give the new vectors a name of their own with --vectors.",
        )


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


def spread(texts: DataFrame, tasks: int) -> DataFrame:
    """The texts in that many tasks, equal ones side by side, so that a worker encodes them once.

    By hash, so that a retried task gets the same rows; before encoding, so that nothing encoded is ever shuffled.
    """
    return texts.repartition(tasks, "text_sha256").sortWithinPartitions("text_sha256")


def encoded(texts: DataFrame, function: EncodeBatches) -> DataFrame:
    """`vectors` rows of (id, text, text_sha256, repaired) rows: one Python evaluation, no shuffle after it."""
    return texts.mapInArrow(function, VECTORS.struct).select(*VECTORS.column_names)


def encoded_texts(
    session: SparkSession, texts: DataFrame, *, model: str, kind: Literal["document", "query"]
) -> DataFrame:
    """`vectors` rows of a few (id, text) rows, such as questions typed by a person, without writing a table."""
    totals = session.sparkContext.accumulator({}, Totals())
    spec = WorkerSpec(resolve_checkpoint(model), token_budget=None)
    return encoded(spread(hashed(texts), 1), EncodeBatches(spec, kind, totals))


def _write_vectors(
    session: SparkSession,
    texts: DataFrame,
    target: TableRef,
    lineage: Lineage,
    side: Side,
    spec: WorkerSpec,
    options: EncodeTexts,
) -> dict[str, float]:
    counts = texts.agg(F.count("*").alias("rows"), F.count_distinct("id").alias("ids")).first()
    assert counts is not None
    rows = int(counts["rows"])
    if counts["ids"] != rows:
        raise DataError(
            str(lineage.inputs[side.name][0]),
            f"it has {rows:,} rows but {counts['ids']:,} different ids",
            "every id must stand once: the scores of repeated ones would add up",
            "Remove the repeated rows.",
        )
    tasks = task_count(rows, slots=session.sparkContext.defaultParallelism, rows_per_task=options.rows_per_task)
    log.info("%s: encoding %s %s in %d tasks", target, f"{rows:,}", side.name, tasks)
    totals = session.sparkContext.accumulator({}, Totals())
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
    session.sparkContext.setJobDescription(f"encode {side.name} with {spec.checkpoint.name}")
    with progress(f"encode {side.name}", total=rows, done=lambda: totals.value.get("texts", 0)):
        replace_rows(
            session,
            target,
            VECTORS,
            encoded(spread(texts, tasks), EncodeBatches(spec, side.kind, totals)),
            lineage=lineage,
        )
    session.sparkContext.setJobDescription("")
    written = target.read(session).count()
    if written != rows:
        raise DataError(
            str(target),
            f"{written:,} vectors were written",
            f"wanted one for each of {rows:,} {side.name}",
            "Run the job again with --force; if it repeats, report it with the table's history.",
        )
    return dict(totals.value)


def task_count(rows: int, *, slots: int, rows_per_task: int | None = None) -> int:
    """Number of Spark tasks for a corpus: bounded tasks, enough of them for every slot."""
    low, high = ROWS_PER_TASK
    size = rows_per_task or max(low, min(high, rows // (TASKS_PER_SLOT * slots)))
    return max(1, math.ceil(rows / size), min(slots, rows) if rows_per_task is None else 1)


def _write_vocabulary(session: SparkSession, target: TableRef, checkpoint: Checkpoint) -> None:
    """Write the vocabulary beside the vectors, once a model."""
    lineage = Lineage("encode_texts", {}, {"model_id": checkpoint.model_id})
    if is_current(session, target, lineage):
        return
    folder = Path(checkpoint.folder)
    tokens = vocabulary_tokens(folder / read_layout(folder).transformer, checkpoint.vocabulary_size)
    rows = session.createDataFrame(list(enumerate(tokens)), VOCABULARY.struct).coalesce(1)
    replace_rows(session, target, VOCABULARY, rows, lineage=lineage)
    set_properties(session, target, {"model": checkpoint.name, "model_id": checkpoint.model_id})


def _report(totals: dict[str, float], seconds: float) -> dict[str, Any]:
    texts, padded = totals.get("texts", 0), totals.get("padded_tokens", 0)
    statuses = {k.removeprefix("status_"): int(v) for k, v in sorted(totals.items()) if k.startswith("status_")}
    return {
        "rows": int(texts),
        "distinct_texts": int(totals.get("distinct_texts", 0)),
        "seconds": round(seconds, 2),
        "docs_per_second": round(texts / seconds, 1) if seconds else 0.0,
        "tokens_per_second": round(totals.get("tokens", 0) / seconds, 1) if seconds else 0.0,
        "padding_waste": round(1 - totals.get("tokens", 0) / padded, 4) if padded else 0.0,
        "active_dims": round(totals.get("active_dims", 0) / texts, 2) if texts else 0.0,
        "truncated": int(totals.get("truncated", 0)),
        "model_loads": int(totals.get("model_loads", 0)),
        "statuses": statuses,
    }
