"""Delta tables by path or name: create with their documentation, replace as one commit, recognise finished work."""

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
    """Replace all rows, or those that a SQL condition names, in one commit; returns the table's version.

    The commit carries the lineage, so readers see either the old rows or the new ones, never a mixture. Rows that
    break the condition or a constraint make the whole commit fail. A folder that holds no table yet gets one in the
    same commit.

    - where: condition that every row meets. Delta refuses rows that do not, except for a table that is new.
    - files: settings under which the data files are written, if not those of the schema.
    - properties: of the table, as `set_properties` takes them.
    """
    options = writer_options or {}
    with exclusive(str(ref)), session_settings(session, schema.files if files is None else files):
        if ref.path is not None and not ref.exists(session):
            create_with_rows(session, ref, schema, rows, lineage=lineage, options=options, properties=properties or {})
        else:
            ensure_table(session, ref, schema)
            writer = rows.select(*schema.column_names).write.format("delta").mode("overwrite")
            writer = writer.option("userMetadata", lineage.as_json()).options(**options)
            if where is not None:
                writer = writer.option("replaceWhere", where)
            retrying(lambda: save(writer, ref), place=str(ref))
            set_properties(session, ref, properties or {})
        version = ref.version(session)
    note_written(str(ref), version)
    return version


def save(writer: DataFrameWriter, ref: TableRef) -> None:
    """Run a writer into the table."""
    if ref.path is not None:
        writer.save(ref.path)
    else:
        writer.saveAsTable(ref.identifier)
