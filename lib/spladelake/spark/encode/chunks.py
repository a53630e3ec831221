"""Encode in chunks. Each chunk is one commit of a staging table, so a restarted run resumes after the last chunk."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.encode.encoder_cache import WorkerSpec
from spladelake.spark.encode.texts import (
    BUCKETS,
    ROWS_PER_BATCH,
    ChunkSize,
    Side,
    bucket,
    encoded_or_rejected,
    is_rejected,
    spread,
    task_count,
    vectors_schema,
)
from spladelake.spark.encode.worker import REJECTED, EncodeOrReject
from spladelake.spark.session.java_errors import full_text
from spladelake.spark.session.progress import progress
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.step_descriptions import describe
from spladelake.spark.session.totals import Totals
from spladelake.spark.tables.create import drop_table, ensure_table
from spladelake.spark.tables.locks import TargetChangedError, transaction_id
from spladelake.spark.tables.properties import table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.schemas import STAGED
from spladelake.spark.tables.write import save

log = logging.getLogger(__name__)

# Most vectors that the driver holds until they are published: some megabytes.
ROWS_IN_MEMORY = ROWS_PER_BATCH
_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
# If more chunks than these remain, the executors keep the texts on disk. Otherwise each chunk reads and hashes them.
CHUNKS_TO_KEEP_TEXTS = 3


@dataclass(frozen=True)
class EncodeWork:
    """Texts to encode into a staging table.

    - texts: (id, text, text_sha256, repaired, reason), each id once.
    - rows: number of texts.
    - target: the table that the vectors are for.
    - rows_per_task: None derives it from the number of rows and the rate.
    - purpose: a run resumes only rows that were staged for the same purpose.
    """

    texts: DataFrame
    rows: int
    target: TableRef
    side: Side
    spec: WorkerSpec
    chunk: ChunkSize
    rows_per_task: int | None
    purpose: str

    @property
    def schema(self) -> TableSchema:
        """The schema of the staging table."""
        return replace(vectors_schema(self.texts), name=STAGED.name)

    @property
    def noun(self) -> str:
        """What the texts are, for messages."""
        return self.side.name if self.schema.columns == STAGED.columns else "passages"


@dataclass(frozen=True)
class Staged:
    """Texts that were encoded and are not published yet.

    - rows: `staged` rows.
    - is_table: whether a staging table holds them; if not, the driver does.
    - totals: counts of the encoding tasks of this run.
    """

    rows: DataFrame
    is_table: bool
    totals: Mapping[str, float]


def stage(session: SparkSession, staged: TableRef, work: EncodeWork) -> Staged:
    """Encode the texts. Few vectors are collected in the driver; others go to a staging table, chunk after chunk."""
    slots = session.sparkContext.defaultParallelism
    few = work.rows <= min(ROWS_IN_MEMORY, work.chunk.next(done=0, seconds=0, slots=slots))
    if few and not staged.exists(session):
        return _in_memory(session, work, slots)
    totals = _in_table(session, staged, work)
    return Staged(staged.read(session), True, totals)


def _in_memory(session: SparkSession, work: EncodeWork, slots: int) -> Staged:
    """Encode less than one chunk. A run that was killed begins it again, like any chunk."""
    totals = session.sparkContext.accumulator({}, Totals())
    table = _encode_at_once(session, work, totals, slots)
    if table.num_rows != work.rows:
        raise TargetChangedError(f"{work.target}: encoded {table.num_rows} rows instead of {work.rows}")
    rejected = pc.sum(pc.starts_with(table.column("status"), REJECTED)).as_py() or 0
    return Staged(session.createDataFrame(table, work.schema.struct), False, {**totals.value, "rejected": rejected})


def _encode_at_once(
    session: SparkSession, work: EncodeWork, totals: Accumulator[dict[str, float]], slots: int
) -> pa.Table:
    """Encode all texts in one Spark job; return `staged` rows."""
    describe(session, f"encode {work.side.name} with {work.spec.checkpoint.name}")
    log.info("%s: encoding %s %s", work.target, f"{work.rows:,}", work.noun)
    tasks = task_count(work.rows, slots=slots, rows_per_task=work.rows_per_task)
    function = EncodeOrReject(work.spec, work.side.kind, totals)
    with (
        session_settings(session, {_BATCH: str(ROWS_PER_BATCH)}),
        progress(f"encode {work.side.name}", total=work.rows, done=lambda: totals.value.get("texts", 0)),
    ):
        table = encoded_or_rejected(spread(work.texts, tasks), function).toArrow()
    describe(session)
    return table


def _in_table(session: SparkSession, staged: TableRef, work: EncodeWork) -> dict[str, float]:
    """Fill the staging table with one row for each text; return the totals of this run.

    Rows that an earlier run staged for the same texts and model stay; all other rows are deleted.
    Raises TargetChangedError if another run stages rows at the same time.
    """
    kept = _keep_usable(session, staged, work)
    if kept:
        log.info("%s: resuming after the %s %s that an interrupted run encoded", work.target, f"{kept:,}", work.noun)
    totals = session.sparkContext.accumulator({}, Totals())
    if kept < work.rows:
        _encode_chunks(session, staged, work, totals, kept)
    found = staged.read(session).agg(F.count("*").alias("rows"), F.count_if(is_rejected()).alias("rejected")).first()
    if found is None or found["rows"] != work.rows:
        raise TargetChangedError(f"{staged}: found other rows than the {work.rows} wanted")
    return {**totals.value, "resumed": kept, "rejected": found["rejected"]}


def _keep_usable(session: SparkSession, staged: TableRef, work: EncodeWork) -> int:
    """Keep only the staged rows of the wanted texts, each once; return their number."""
    made_for = {"staged_for": f"{work.purpose}: {work.target}", "model_id": work.spec.checkpoint.model_id}
    if staged.exists(session):
        found = table_properties(session, staged)
        if {f"spladelake.{key}": value for key, value in made_for.items()}.items() <= found.items():
            rows = staged.read(session)
            # The place of a passage may have changed although its text has not.
            hashes = [name for name in ("text_sha256", "doc_sha256") if name in work.texts.columns]
            wanted = work.texts.where(F.col("reason").isNull()).select("id", *hashes)
            same = rows["id"] == wanted["id"]
            for name in hashes:
                same &= rows[name].eqNullSafe(wanted[name])
            usable = rows.where(~is_rejected()).join(wanted, same, "left_semi").dropDuplicates(["id"])
            total, count = rows.count(), usable.count()
            if total != count:
                save(usable.write.format("delta").mode("overwrite"), staged)
            return count
        drop_table(session, staged)
    ensure_table(session, staged, work.schema, properties=made_for)
    return 0


@dataclass
class Remaining:
    """The texts that are still to be encoded.

    - rows: number of texts.
    - start: first bucket that may hold one. Each bucket from there on has about the same number of texts.
    """

    rows: int
    start: int = 0

    def cut(self, wanted: int) -> tuple[int, int]:
        """Return the first and the end bucket of the next chunk: about `wanted` rows, at least one bucket."""
        if wanted >= self.rows:
            return self.start, BUCKETS
        width = max(1, (BUCKETS - self.start) * wanted // self.rows)
        return self.start, min(BUCKETS, self.start + width)


def _encode_chunks(
    session: SparkSession, staged: TableRef, work: EncodeWork, totals: Accumulator[dict[str, float]], kept: int
) -> None:
    """Encode and commit the texts that are not staged yet, chunk after chunk."""
    session.conf.set(_BATCH, str(ROWS_PER_BATCH))
    describe(session, f"encode {work.side.name} with {work.spec.checkpoint.name}")
    texts, left = _unstaged(session, staged, work, kept)
    log.info("%s: encoding %s %s", work.target, f"{left.rows:,}", work.noun)
    label, stored, began = f"encode {work.side.name}", False, time.monotonic()
    version, slots = staged.version(session), session.sparkContext.defaultParallelism
    try:
        with progress(label, total=left.rows, done=lambda: totals.value.get("texts", 0)):
            while left.start < BUCKETS:
                done, seconds = int(totals.value.get("texts", 0)), time.monotonic() - began
                rows = work.chunk.next(done=done, seconds=seconds, slots=slots)
                if done and not stored and left.rows > rows * CHUNKS_TO_KEEP_TEXTS:
                    texts, stored = texts.persist(StorageLevel.DISK_ONLY), True
                start, end = left.cut(rows)
                version += 1
                chosen = texts.where((F.col("bucket") >= start) & (F.col("bucket") < end)).drop("bucket")
                tasks = task_count(
                    min(rows, left.rows), slots=slots, rows_per_task=work.rows_per_task, rate=_rate(totals.value)
                )
                _commit_chunk(session, staged, work, spread(chosen, tasks), totals, version)
                left = Remaining(left.rows - (int(totals.value.get("texts", 0)) - done), end)
    finally:
        if stored:
            texts.unpersist()
        describe(session)


def _rate(totals: dict[str, float]) -> float:
    """Return the texts per second of one slot while it encodes; 0 if nothing was encoded yet."""
    return totals.get("texts", 0) / totals["seconds"] if totals.get("seconds") else 0.0


def _unstaged(session: SparkSession, staged: TableRef, work: EncodeWork, kept: int) -> tuple[DataFrame, Remaining]:
    """Return the texts that are not staged, with their bucket, and how many remain."""
    texts = work.texts.withColumn("bucket", bucket())
    if not kept:
        return texts, Remaining(work.rows)
    texts = texts.join(staged.read(session).select("id"), "id", "left_anti")
    first = texts.agg(F.min("bucket").alias("bucket")).first()
    assert first is not None
    return texts, Remaining(work.rows - kept, int(first["bucket"] or 0))


def _commit_chunk(
    session: SparkSession,
    staged: TableRef,
    work: EncodeWork,
    texts: DataFrame,
    totals: Accumulator[dict[str, float]],
    version: int,
) -> None:
    """Encode texts that are already spread over tasks, and append them as one commit. A retried commit lands once.

    - version: table version that the commit makes, and its transaction number. If two runs stage at the same time,
      only one of them can commit it.

    Raises TargetChangedError if the other run committed it.
    """
    model_id = work.spec.checkpoint.model_id
    writer = encoded_or_rejected(texts, EncodeOrReject(work.spec, work.side.kind, totals)).write
    writer = writer.format("delta").mode("append").option("txnVersion", version)
    writer = writer.option("txnAppId", transaction_id("encode_texts", str(work.target), work.side.name, model_id))
    try:
        # The file settings of the vectors' table, because the staging table may become that table.
        with session_settings(session, work.schema.files):
            save(writer, staged)
    except Exception as error:
        if "ConcurrentTransactionException" in full_text(error):
            raise TargetChangedError(f"{staged}: another run staged the same chunk") from error
        raise
