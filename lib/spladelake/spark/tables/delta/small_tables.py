"""Small tables of a local lake, read without a scan of Delta.

Spark runs a job of its own to list the files of each Delta scan, and another to replay the log of each new version:
about 1 s for the first scan of a version and .3 s for each later one (two cores, warm session), also for one row.
deltalake finds the same version of the same files in some milliseconds. The driver then reads the rows of a small
table, and Spark plans them as a local relation. Spark reads the files of a larger table by their names.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spladelake.files.delta_folder import FolderTable, folder_table
from spladelake.spark.session.connect import is_connect

log = logging.getLogger(__name__)

# Up to these limits of a table's data files and rows, the driver reads them.
MOST_BYTES, MOST_ROWS = 4 * 2**20, 20_000
# Up to this limit, Spark reads the data files by their names. Of a larger table, Delta's statistics let it skip files.
MOST_NAMED_BYTES = 64 * 2**20
# Spark treats these characters of a path as a pattern and, the last one, as the value of a partition column.
_SIGNS = set("*?[]{}\\=")
# Only tables with this property: those of others may have types that the readers give differently.
_OWN = "spladelake.table"


def plain_table(session: SparkSession, path: str | None, version: int | None) -> FolderTable | None:
    """Return the table of a local folder; None for other tables, or if deltalake cannot read it.

    - version: None for the newest.
    """
    if path is None or not path.startswith("/") or is_connect(session):
        return None
    return folder_table(Path(path), version=version)


def small_rows(session: SparkSession, path: str | None, version: int | None) -> DataFrame | None:
    """Return the rows of a small table that a job made, with the schema that Delta gives; None for every other table.

    - version: None for the newest.
    """
    found = plain_table(session, path, version)
    if found is None or found.bytes > MOST_NAMED_BYTES or _OWN not in found.properties:
        return None
    try:
        schema = StructType.fromJson(json.loads(found.delta.schema().to_json()))
        if found.bytes <= MOST_BYTES and found.rows <= MOST_ROWS:
            return session.createDataFrame(found.columns(schema.names), schema)
    except Exception as error:
        log.debug("%s: deltalake cannot read it, Spark tries: %s", path, error)
        return None
    files = [str(found.folder / name) for name in found.sizes]
    if not files or any(_SIGNS & set(file) for file in files):
        return None
    return session.read.schema(schema).parquet(*files)
