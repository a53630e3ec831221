"""Properties of tables, and the version of the tables' layout."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession

from spladelake.spark.tables import delta_log
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.sql_text import sql_string

# Version of the table layout. The table's properties hold it, so that a later release can recognise older tables.
LAYOUT_VERSION = "4"


def set_properties(session: SparkSession, ref: TableRef, properties: Mapping[str, str]) -> None:
    """Set properties of a table unless they already have these values. Each key gets the prefix `spladelake.`."""
    wanted = {f"spladelake.{key}": value for key, value in properties.items()}
    if wanted and not wanted.items() <= table_properties(session, ref).items():
        with exclusive(str(ref)):
            session.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ({property_list(properties)})")


def property_list(properties: Mapping[str, str]) -> str:
    """Return table properties in SQL. Each key gets the prefix `spladelake.`."""
    return ", ".join(f"{sql_string(f'spladelake.{key}')} = {sql_string(value)}" for key, value in properties.items())


def table_properties(session: SparkSession, ref: TableRef) -> dict[str, str]:
    """Return all properties of the table."""
    return delta_log.all_properties(session, ref)
