"""The data files behind a Delta table's rows: written once, never changed, and readable by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.spark.tables.delta_log import reader_version
from spladelake.spark.tables.refs import TableRef

# Spark would take these in a path for patterns.
_PATTERN_SIGNS = set("*?[]{}\\")


def data_files(rows: DataFrame) -> dict[str, str]:
    """Path of each data file by its name, sorted by name. No two files of a table have the same name."""
    paths = (unquote(uri) for uri in rows.inputFiles())
    return dict(sorted((path.rsplit("/", 1)[-1], path) for path in paths))


def rows_of_files(session: SparkSession, ref: TableRef, rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """The rows that stand in some of a table's data files, reading no other file where the table allows it.

    rows: of one version of the table. The result has the hidden column `_metadata` too.
    """
    files = data_files(rows)
    paths = [files[name] for name in names]
    # Version 1 has neither renamed columns nor deleted rows: a file's rows are the table's.
    plain = reader_version(session, ref) == 1
    if not paths or not plain or _PATTERN_SIGNS & set("".join(paths)):
        return rows.where(F.col("_metadata.file_name").isin(list(names)))
    return session.read.schema(rows.schema).parquet(*paths)
