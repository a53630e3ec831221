"""Where the lock of a table is: beside the table's folder, also if the table is known by its name in a catalog."""

from __future__ import annotations

import os
from functools import lru_cache

from pyspark.sql import SparkSession

from spladelake.spark.tables.sql_text import quoted


def lock_place(place: str) -> str:
    """Return the folder beside which the lock of a table is; the name itself if no folder is known.

    All drivers must get the same folder, before the table exists too. So the schema's folder counts, not the table's.

    - place: folder or dotted name of the table.
    """
    schema, _, table = place.rpartition(".")
    if "/" in place or not schema:
        return place
    session = SparkSession.getActiveSession()
    try:
        folder = "" if session is None else _folder(session.sparkContext.applicationId or "", schema)
    except Exception:
        # A schema that is absent is the concern of the statement that uses it, and a catalog need not have folders.
        folder = ""
    return f"{folder}/{table}" if folder else place


@lru_cache
def _folder(application: str, schema: str) -> str:
    """Return the folder of a schema; empty if the catalog names none, or a local one that this user cannot write to.

    - application: the running one, since each may have another catalog.
    """
    database = SparkSession.active().catalog.getDatabase(".".join(quoted(part) for part in schema.split(".")))
    folder = (database.locationUri or "").rstrip("/")
    if folder.startswith("file:"):
        folder = "/" + folder.removeprefix("file:").lstrip("/")
    is_usable = "://" in folder or os.access(folder, os.W_OK)
    return folder if is_usable else ""
