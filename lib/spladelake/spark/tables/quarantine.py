"""The quarantine: rows that a job could not use. They can be shown and tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.config import JOBS, Options, checked
from spladelake.errors import DataError
from spladelake.spark.tables.driver_rows import frame_of
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.refs import Lake, TableRef
from spladelake.spark.tables.schemas import QUARANTINE
from spladelake.spark.tables.sql_text import sql_string
from spladelake.spark.tables.write import replace_rows


def replace_quarantine(
    session: SparkSession, lake: Lake, rejected: DataFrame | None, label: str, source: str, *, lineage: Lineage
) -> list[str]:
    """Replace the rows of an input in `quarantine`; return the reasons of up to three new rows.

    - rejected: the new rows (id, text, reason). None if nothing was rejected: the old rows are only removed.
    - label: name of the input in the table.
    - source: file or table that the rows came from.

    A new row keeps its id and text as JSON.
    """
    target = lake.table("quarantine")
    mine = F.col("input") == label
    if rejected is None:
        if not target.exists(session) or target.read(session).where(mine).isEmpty():
            return []
        rows = frame_of(session, [], QUARANTINE.struct)
    else:
        rows = rejected.select(
            F.lit(source).alias("source"),
            F.lit(None).cast("bigint").alias("line"),
            F.concat(F.lit('"'), F.col("id"), F.lit('": '), F.col("reason")).alias("reason"),
            F.to_json(F.struct("id", "text")).cast("binary").alias("raw"),
            F.lit(label).alias("input"),
        ).coalesce(1)
    replace_rows(session, target, QUARANTINE, rows, lineage=lineage, where=f"input = {sql_string(label)}")
    first = target.read(session).where(mine).orderBy("reason").limit(3).collect()
    return [str(row["reason"]) for row in first]


def quarantined_ids(session: SparkSession, lake: Lake, label: str) -> DataFrame:
    """Return (id) of the texts that an encode job put into quarantine."""
    target = lake.table("quarantine")
    if not target.exists(session):
        return frame_of(session, [], "id string")
    raw = F.col("raw").cast("string")
    # Read at a version, because the job is about to replace these rows.
    rows = target.read(session, version=target.version(session)).where(F.col("input") == label)
    return rows.select(F.get_json_object(raw, "$.id").alias("id"))


# Bytes of each row that `quarantine show` prints.
SHOWN_BYTES = 200


def shown_rows(session: SparkSession, lake: str, *, label: str | None, limit: int) -> dict[str, Any]:
    """Return the number of rows of each input in quarantine, and the first rows, each cut to SHOWN_BYTES.

    - label: the only input to show; None for all.
    - limit: number of rows to show.
    """
    rows = _quarantined(session, lake, label)
    inputs = {row["input"]: row["count"] for row in rows.groupBy("input").count().orderBy("input").collect()}
    raw = F.decode(F.substring("raw", 1, SHOWN_BYTES), "ISO-8859-1").alias("raw")
    first = rows.orderBy("input", "source", "line", "reason").limit(limit)
    shown = [row.asDict() for row in first.select("input", "source", "line", "reason", raw).collect()]
    return {"inputs": inputs, "rows": shown}


def _quarantined(session: SparkSession, lake: str, label: str | None) -> DataFrame:
    target = Lake(lake).table("quarantine")
    if not target.exists(session):
        return frame_of(session, [], QUARANTINE.struct)
    rows = target.read(session)
    return rows if label is None else rows.where(F.col("input") == label)


def retries(session: SparkSession, lake: str, *, label: str | None) -> Iterator[tuple[str, Options]]:
    """Yield the jobs that put rows into quarantine, with their options, to run them again.

    - label: the only input to retry; None for all.

    Raises DataError if the input has no rows in quarantine, or a commit does not name the job and its options.
    """
    inputs = [row["input"] for row in _quarantined(session, lake, label).select("input").distinct().collect()]
    if label is not None and not inputs:
        raise DataError(
            label,
            "the input has no rows in quarantine",
            "wanted an input with rows in quarantine",
            "Set --input to an input that `spladelake quarantine show` lists.",
        )
    made = _commits(session, Lake(lake).table("quarantine")) if inputs else {}
    for name in sorted(inputs):
        job, given = made.get(name, ("", {}))
        if job not in JOBS:
            raise DataError(
                name,
                "the commit that put the rows into quarantine names no job",
                "wanted a commit that names the job, so that the job can run again",
                "Rerun, with --force, the job that read this input.",
            )
        yield job, checked(JOBS[job].options, given, place=f"quarantine retry: {name}")


def _commits(session: SparkSession, ref: TableRef) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return job and options of each input's newest commit, from the table's history."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for row in ref.history(session).select("userMetadata").toLocalIterator():
        try:
            said = json.loads(row["userMetadata"] or "{}")
        except ValueError:
            continue
        retry = said.get("retry") if isinstance(said, dict) else None
        if retry:
            found.setdefault(retry["input"], (said["job"], retry["options"]))
    return found
