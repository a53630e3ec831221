"""Upgrade of tables from an earlier release to the current layout. Tables of a later release are refused.

Version 2: every column has its comment and every constraint of its schema is in force, whatever release made the table;
vectors are written under schemas.VECTOR_FILES. Version 3: the run log has names and days of runs. Version 4: a cheaper,
equivalent constraint checks the weights. Rows and data files stay as they are until a job rewrites them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pyspark.sql import SparkSession

from spladelake.errors import DataError
from spladelake.spark.tables.delta_log import property_in_memory
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.properties import LAYOUT_VERSION, table_properties
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema, same_condition
from spladelake.spark.tables.sql_text import quoted, sql_string

log = logging.getLogger(__name__)

PROPERTY = "spladelake.layout"


def keep_up_to_date(session: SparkSession, ref: TableRef, schema: TableSchema) -> None:
    """Upgrade a table that an earlier release made. A table without a version is not ours and stays as it is.

    Raises DataError if a later release made the table.
    """
    found = property_in_memory(session, ref, PROPERTY)
    if found is None or found == LAYOUT_VERSION:
        return
    if not found.isdecimal() or int(found) > int(LAYOUT_VERSION):
        raise DataError(
            str(ref),
            f"the table has layout version {found}",
            f"wanted layout version {LAYOUT_VERSION} or lower, because this release knows no later one",
            "Use the release of spladelake that wrote the table, or a later release.",
        )
    with exclusive(str(ref)):
        properties = table_properties(session, ref)
        if properties.get(PROPERTY) == LAYOUT_VERSION:
            return
        log.info("%s: upgrading the table from layout version %s to %s", ref, found, LAYOUT_VERSION)
        for statement in upgrade_statements(session, ref, schema, properties):
            session.sql(statement)


def upgrade_statements(
    session: SparkSession, ref: TableRef, schema: TableSchema, properties: dict[str, str]
) -> list[str]:
    """Return the statements that upgrade a table. The version comes last, so an interrupted upgrade is done again."""
    table = f"ALTER TABLE {ref.identifier}"
    found = {field.name: field.metadata.get("comment") for field in ref.scan(session).schema.fields}
    statements = [
        f"{table} ADD COLUMNS ({quoted(c.name)} {c.type} COMMENT {sql_string(c.comment)})"
        for c in schema.columns
        if c.name not in found
    ]
    statements += [
        f"{table} ALTER COLUMN {quoted(c.name)} COMMENT {sql_string(c.comment)}"
        for c in schema.columns
        if c.name in found and found[c.name] != c.comment
    ]
    statements += [f"{table} {change}" for change in _constraint_changes(schema, properties)]
    wanted = {"comment": schema.comment, PROPERTY: LAYOUT_VERSION}
    if schema.change_feed:
        wanted["delta.enableChangeDataFeed"] = "true"
    literal = ", ".join(f"{sql_string(key)} = {sql_string(value)}" for key, value in wanted.items())
    return [*statements, f"{table} SET TBLPROPERTIES ({literal})"]


def add_columns(session: SparkSession, ref: TableRef, schema: TableSchema) -> None:
    """Add the columns of a schema that a table lacks. Its rows get nulls in them; no data file changes."""
    found = set(ref.scan(session).columns)
    missing = [c for c in schema.columns if c.name not in found]
    if missing:
        with exclusive(str(ref)):
            named = ", ".join(f"{quoted(c.name)} {c.type} COMMENT {sql_string(c.comment)}" for c in missing)
            session.sql(f"ALTER TABLE {ref.identifier} ADD COLUMNS ({named})")


def _constraint_changes(schema: TableSchema, properties: dict[str, str]) -> Iterator[str]:
    """Yield the changes that put the constraints of a schema in force.

    A constraint that has the right name but another condition is replaced, because checks of vectors rely on the
    schema's own conditions.
    """
    held = {key.lower(): condition for key, condition in properties.items()}
    for name, condition in schema.constraints.items():
        found = held.get(f"delta.constraints.{name.lower()}")
        if same_condition(found, condition):
            continue
        if found is not None:
            yield f"DROP CONSTRAINT {quoted(name)}"
        yield f"ADD CONSTRAINT {quoted(name)} CHECK ({condition})"
