"""Properties of tables, and the version of their layout."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession

from spladelake.spark.tables import delta_log
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.sql_text import sql_string

# Version of the table layout, kept in the table properties so that a later release can tell what it reads.
LAYOUT_VERSION = "4"


def set_properties(session: SparkSession, ref: TableRef, properties: Mapping[str, str]) -> None:
    """Set table properties (keys get the prefix `spladelake.`) unless they already hold these values."""
    wanted = {f"spladelake.{key}": value for key, value in properties.items()}
    if wanted and not wanted.items() <= table_properties(session, ref).items():
        session.sql(f"ALTER TABLE {ref.identifier} SET TBLPROPERTIES ({property_list(properties)})")


def property_list(properties: Mapping[str, str]) -> str:
    """Table properties (keys get the prefix `spladelake.`) as SQL writes them."""
    return ", ".join(f"{sql_string(f'spladelake.{key}')} = {sql_string(value)}" for key, value in properties.items())


def table_properties(session: SparkSession, ref: TableRef) -> dict[str, str]:
    """All properties of the table."""
    return delta_log.all_properties(session, ref)
