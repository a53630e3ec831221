"""Ids of texts that changed, from the change feed of their table: read as a batch, or by a stream with a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError, UsageError
from spladelake.spark.session.java_errors import full_text
from spladelake.spark.tables.create import ensure_table
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.properties import set_properties, table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schemas import CHANGED
from spladelake.spark.tables.storage import exists
from spladelake.spark.tables.write import save


def changed_ids(
    session: SparkSession, source: TableRef, *, after: int, until: int, id_of: Callable[[DataFrame], Column]
) -> DataFrame:  # fmt: skip
    """Return (id) of every row that a commit inserted, updated or deleted.

    - after, until: versions of the table. Commits later than `after` count, up to `until` inclusive.
    - id_of: returns the id of rows of the table. A row without a usable id gives a null.

    Raises DataError if the table did not record these changes or no longer keeps them.
    """
    if after >= until:
        return frame_of(session, [], "id string")
    reader = session.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", after + 1).option("endingVersion", until)
    try:
        feed = reader.load(source.path) if source.path is not None else reader.table(source.identifier)
        ids = feed.select(id_of(feed).alias("id")).distinct()
        ids.take(1)  # only a read finds missing files
    except Exception as error:
        raise _unreadable(source, error, after) from error
    return ids


def collect_changes(
    session: SparkSession,
    source: TableRef,
    changed: TableRef,
    *,
    after: int,
    checkpoint: str,
    id_of: Callable[[DataFrame], Column],
) -> None:
    """Append (id, version) of every row that changed since the stream's last run to the table `changed`, then stop.

    A retried batch lands once.

    - after: version after which a new stream starts.
    - checkpoint: folder in which Spark keeps the position of the stream.
    - id_of: as in `changed_ids`.

    Raises DataError if the table did not record these changes or no longer keeps them.
    """
    ensure_table(session, changed, CHANGED)
    start = _first_version(session, changed, checkpoint, after + 1)
    reader = session.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", start)

    def append(batch: DataFrame, number: int) -> None:
        rows = batch.select(id_of(batch).alias("id"), F.col("_commit_version").alias("version")).distinct()
        writer = rows.write.format("delta").mode("append")
        writer = writer.option("txnAppId", f"spladelake:feed:{checkpoint}").option("txnVersion", number)
        save(writer, changed)

    try:
        feed = reader.load(source.path) if source.path is not None else reader.table(source.identifier)
        stream = feed.writeStream.trigger(availableNow=True).option("checkpointLocation", checkpoint)
        query = stream.foreachBatch(append).start()
        query.awaitTermination()
    except Exception as error:
        raise _unreadable(source, error, after) from error


def _first_version(session: SparkSession, changed: TableRef, checkpoint: str, version: int) -> int:
    """Return the version at which the stream of a checkpoint began: the given version if the stream is new.

    If a restarted stream repeats a batch, Spark reads it from the stream's first version, not from its last position.
    """
    begun = json.loads(table_properties(session, changed).get("spladelake.streams", "{}"))
    if checkpoint not in begun or not exists(session, f"{checkpoint}/offsets"):
        begun[checkpoint] = version
        set_properties(session, changed, {"streams": json.dumps(begun, sort_keys=True)})
    return int(begun[checkpoint])


def checkpoint_of(given: str | None, staged: TableRef) -> str:
    """Return the folder of a stream's checkpoint: the given one, or one beside the vectors if the lake is a folder.

    Raises UsageError if the lake is a catalog and no folder is given.
    """
    if given is not None:
        return given
    if staged.path is None:
        raise UsageError(
            "--checkpoint",
            "the option is missing",
            "wanted a folder for the position of the stream, because the tables are in a catalog",
            "Set --checkpoint to a folder that outlives the job.",
        )
    return f"{staged.path.removesuffix('_staged')}_stream"


def _unreadable(source: TableRef, error: Exception, after: int) -> Exception:
    text: Any = full_text(error)
    if "DELTA_MISSING_CHANGE_DATA" in text or "CHANGE_TABLE_FEED" in text or "DELTA_CHANGE_TABLE" in text:
        found = f"the table did not record all changes after version {after}"
        fix = "Set delta.enableChangeDataFeed=true on the table, then run once with --changes snapshot."
    elif "DELTA_FILE_NOT_FOUND" in text or "DELTA_LOG_FILE_NOT_FOUND" in text or "VersionNotFound" in text:
        found = f"the table no longer keeps all changes after version {after}"
        fix = "Run once with --changes snapshot."
    else:
        return error
    return DataError(str(source), found, "wanted a complete change feed", fix)
