"""What was most likely meant where a lake has no table or run of a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.names import closest, suggestion
from spladelake.spark.tables import storage

if TYPE_CHECKING:
    from spladelake.spark.tables.refs import TableRef

MOST_RUNS = 1_000


def similar_path(session: SparkSession, path: str) -> str | None:
    """A path that is there and differs from the given one in its first part that is not; None where none is near."""
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
        pass  # a folder that may not be listed: the error at hand is told without a suggestion
    return None


def missing_run(session: SparkSession, table: TableRef, run_id: str, *, fix: str) -> DataError:
    """The error for a run that a table of runs or measures does not have."""
    rows = table.read(session).select("run_id").distinct().orderBy("run_id").limit(MOST_RUNS).collect()
    known = suggestion(run_id, [row["run_id"] for row in rows])
    return DataError(str(table), f"it has no run {run_id!r}", known, fix)
