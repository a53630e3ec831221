"""Replacement of a Delta table's rows in one commit that records their lineage."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

from spladelake.spark.session.settings import session_settings
from spladelake.spark.tables.accesses import note_written
from spladelake.spark.tables.create import create_with_rows, ensure_table
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.locks import exclusive, retrying
from spladelake.spark.tables.properties import set_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.sql_text import quoted


def replace_rows(
    session: SparkSession,
    ref: TableRef,
    schema: TableSchema,
    rows: DataFrame,
    *,
    lineage: Lineage,
    where: str | None = None,
    writer_options: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Replace all rows, or the rows that meet a SQL condition, in one commit; return the table's version.

    The commit carries the lineage. Readers see either the old rows or the new ones, never a mixture. If a row breaks
    the condition or a constraint, the whole commit fails. If the folder holds no table yet, the same commit creates it.

    - where: condition that every new row meets. Delta refuses other rows, except in a new table.
    - files: settings under which the data files are written, instead of the schema's.
    - properties: properties of the table, as `set_properties` takes them.
    """
    options = writer_options or {}
    with exclusive(str(ref)), session_settings(session, schema.files if files is None else files):
        if ref.path is not None and not ref.exists(session):
            create_with_rows(session, ref, schema, rows, lineage=lineage, options=options, properties=properties or {})
        else:
            ensure_table(session, ref, schema)
            writer = rows.select(*map(quoted, schema.column_names)).write.format("delta").mode("overwrite")
            writer = writer.option("userMetadata", lineage.as_json()).options(**options)
            if where is not None:
                writer = writer.option("replaceWhere", where)
            retrying(lambda: save(writer, ref), place=str(ref))
            set_properties(session, ref, properties or {})
        version = ref.version(session)
    note_written(str(ref), version)
    return version


def save(writer: DataFrameWriter, ref: TableRef) -> None:
    """Write a writer's rows to the table, under its lock: Delta alone may lose one of two drivers' commits on S3."""
    with exclusive(str(ref)):
        if ref.path is not None:
            writer.save(ref.path)
        else:
            writer.saveAsTable(ref.identifier)
