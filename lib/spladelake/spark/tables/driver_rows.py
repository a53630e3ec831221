"""Small tables in the driver's memory. deltalake reads a table of a local folder, Spark reads the others.

Spark runs two jobs, one for the list of files and one for the rows, which take some tenths of a second per table.
deltalake reads the same version of the same files in some milliseconds.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from spladelake.spark.session.arrow_functions import arrow_schema
from spladelake.spark.tables import delta_log
from spladelake.spark.tables.accesses import note_read
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.small_tables import plain_table

log = logging.getLogger(__name__)


def collected(
    session: SparkSession,
    ref: TableRef,
    columns: Sequence[str],
    *,
    version: int,
    most_bytes: int,
    equals: Mapping[str, str] | None = None,
) -> pa.Table | None:
    """Return columns of a table, one chunk each; None if the table's data files have more than `most_bytes`.

    - version: the version to read.
    - equals: wanted values by column. Rows with other values are left out.
    """
    plain = plain_table(session, ref.path, version)
    if plain is not None and plain.bytes > most_bytes:
        return None
    if plain is not None:
        try:
            rows = plain.columns(columns, equals=equals)
        except Exception as error:
            log.debug("%s: deltalake cannot read it, Spark tries: %s", ref, error)
        else:
            note_read(str(ref), version)
            return rows
    if delta_log.size_in_bytes(session, ref) > most_bytes:
        return None
    frame = ref.read(session, version=version)
    for column, value in (equals or {}).items():
        frame = frame.where(F.col(column) == value)
    return frame.select(*columns).toArrow().combine_chunks()


def row_count(session: SparkSession, ref: TableRef, *, version: int | None = None) -> int:
    """Return the number of rows of a table. For a local folder the footers of its files tell it."""
    plain = plain_table(session, ref.path, version)
    return ref.read(session, version=version).count() if plain is None else plain.rows


def frame_of(session: SparkSession, rows: Sequence[Mapping[str, Any]], schema: StructType | str) -> DataFrame:
    """Return rows of the driver as a DataFrame of one partition.

    - rows: for each row its values by column. An absent value is null.
    - schema: Spark's, or its DDL.

    Spark reads the rows as Arrow. For a list of tuples it would start a Python worker, which takes a second.
    """
    struct = DataType.fromDDL(schema) if isinstance(schema, str) else schema
    assert isinstance(struct, StructType)
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(struct))
    return session.createDataFrame(table, struct).coalesce(1)
