"""Suggestions for an unknown name: the most similar table or run that exists in the lake."""

from __future__ import annotations

import re

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.names import closest, suggestion
from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import TableRef

MOST_RUNS = 1_000


def similar_path(session: SparkSession, path: str) -> str | None:
    """Return an existing path that differs from the given one only in its first missing part; None if there is none."""
    root, rest = re.fullmatch(r"([\w+.-]+://[^/]*)?(.*)", path, re.DOTALL).groups("")  # type: ignore[union-attr]
    parts = rest.strip("/").split("/")
    try:
        for at, part in enumerate(parts):
            above = "/".join([root, *parts[:at]])
            if not storage.exists(session, f"{above}/{part}"):
                near = closest(part, storage.children(session, above))
                found = "/".join([above, near or "", *parts[at + 1 :]])
                return found if near and storage.exists(session, found) else None
    except Py4JJavaError:
        pass  # The folder may not be listed: the error is then shown without a suggestion.
    return None


def missing_run(session: SparkSession, table: TableRef, run_id: str, *, fix: str) -> DataError:
    """Return the error for a run that a table of runs or measures lacks, with the most similar run."""
    rows = table.read(session).select("run_id").distinct().orderBy("run_id").limit(MOST_RUNS).collect()
    if not rows:
        return DataError(str(table), "the table is empty", f"wanted the run {run_id!r}", fix)
    known = suggestion(run_id, [row["run_id"] for row in rows])
    return DataError(str(table), f"the table has no run {run_id!r}", known, fix)
