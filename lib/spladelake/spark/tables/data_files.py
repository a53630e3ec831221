"""The data files of a Delta table: each is written once, never changed, and readable by itself."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.tables.delta_log import reader_version
from spladelake.spark.tables.refs import TableRef

# Spark treats these characters of a path as a pattern.
_PATTERN_SIGNS = set("*?[]{}\\")


def data_files(rows: DataFrame) -> dict[str, str]:
    """Return the path of each data file by its name, sorted by name. A name is unique within a table."""
    paths = (unquote(uri) for uri in rows.inputFiles())
    return dict(sorted((path.rsplit("/", 1)[-1], path) for path in paths))


def rows_of_files(session: SparkSession, ref: TableRef, rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """Return the rows of some data files of a table. Spark reads no other file if the table allows that.

    - rows: the rows of one version of the table.
    - names: names of the data files.

    The result has the hidden column `_metadata` too.
    """
    files = data_files(rows)
    paths = [files[name] for name in names]
    # Reader version 1 has neither renamed columns nor deletion vectors, so a file holds only rows of the table.
    plain = reader_version(session, ref) == 1
    if not paths or not plain or _PATTERN_SIGNS & set("".join(paths)):
        return rows.where(F.col("_metadata.file_name").isin(list(names)))
    return session.read.schema(rows.schema).parquet(*paths)
