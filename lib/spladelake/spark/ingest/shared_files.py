"""Copy files of this machine to a place that every executor can read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from pyspark.sql import SparkSession

from spladelake.spark.tables import storage
from spladelake.spark.tables.refs import SCHEMA_PREFIX, Lake


def shared(session: SparkSession, local: Path, lake: Lake, cleanup: ExitStack) -> str:
    """Return the folder itself for a local session, else a copy that every executor can read."""
    if (session.sparkContext.master or "").split("[")[0] == "local":
        return str(local)
    if lake.root.startswith(SCHEMA_PREFIX):
        root = (session.conf.get("spark.sql.warehouse.dir") or "").rstrip("/")
    else:
        root = storage.absolute(lake.root).rstrip("/")
    target = f"{root}/_staging/{uuid4().hex}"
    cleanup.callback(storage.remove, session, target)
    storage.upload(session, local, target)
    return target
