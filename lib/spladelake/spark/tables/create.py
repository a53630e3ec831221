"""Functions that require, create or drop tables, with their comments and constraints."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.spark.session.settings import commit_metadata
from spladelake.spark.tables import storage
from spladelake.spark.tables.lineage import Lineage
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.properties import LAYOUT_VERSION
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import TableSchema
from spladelake.spark.tables.sql_text import quoted, sql_string
from spladelake.spark.tables.suggestions import Maker, similar_path
from spladelake.spark.tables.upgrade import keep_up_to_date


def require(session: SparkSession, ref: TableRef, schema: TableSchema, *, made_by: Maker) -> DataFrame:
    """Return the rows of an input table.

    - made_by: the maker of the table, for the message.

    Raises DataError if the table is missing, or lacks a column of its schema, or has one of another type.
    """
    if not ref.exists(session):
        near = similar_path(session, ref.path) if ref.path is not None else None
        found, wanted = f"there is no {schema.name} table", f"wanted a {schema.name} table as input"
        raise DataError(str(ref), found, wanted, made_by.fix(near))
    frame = ref.scan(session)
    _check_columns(ref, frame, schema)
    return frame


def _check_columns(ref: TableRef, frame: DataFrame, schema: TableSchema) -> None:
    found = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    for column in schema.columns:
        if column.name not in found:
            raise DataError(
                str(ref),
                f"no column is called {column.name!r} (columns: {', '.join(found)})",
                f"wanted the columns of a {schema.name} table",
                f"If a column is meant as {column.name}, rename it. If not, name another table.",
            )
        if found[column.name] != column.type:
            raise DataError(
                str(ref),
                f"the column {column.name!r} has the type {found[column.name]}",
                f"wanted {column.type}",
                f"Write the table again with the type {column.type}. ALTER TABLE cannot change the type.",
            )


def ensure_table(
    session: SparkSession, ref: TableRef, schema: TableSchema, *, properties: Mapping[str, str] | None = None
) -> None:
    """Create a table with its comments and constraints unless it exists.

    A table of an earlier release is upgraded to the current layout.

    - properties: properties of a new table, as `set_properties` takes them.

    Raises DataError if the existing table has other columns or comes from a later release.
    """
    if ref.exists(session):
        keep_up_to_date(session, ref, schema)
        _check_columns(ref, ref.scan(session), schema)
        return
    with exclusive(str(ref)):
        _create(session, ref, schema, properties or {})


def _create(session: SparkSession, ref: TableRef, schema: TableSchema, properties: Mapping[str, str]) -> None:
    columns = ", ".join(f"{quoted(c.name)} {c.type} COMMENT {sql_string(c.comment)}" for c in schema.columns)
    named = _table_properties(schema, properties).items()
    listed = ", ".join(f"{sql_string(key)} = {sql_string(value)}" for key, value in named)
    session.sql(
        f"CREATE TABLE IF NOT EXISTS {ref.identifier} ({columns}) USING delta COMMENT {sql_string(schema.comment)} "
        f"TBLPROPERTIES ({listed})"
    )


def create_with_rows(
    session: SparkSession, ref: TableRef, schema: TableSchema, rows: DataFrame, *, lineage: Lineage,
    options: Mapping[str, str], properties: Mapping[str, str],
) -> None:  # fmt: skip
    """Create the table of a folder with its comments, constraints, properties and rows, in one commit.

    The caller holds the table's lock. A process that is killed before the commit leaves data files without a table, and
    a mark beside the folder. The next writer sees the mark and removes both.

    Raises DataError if the folder holds other files.
    """
    assert ref.path is not None
    mark = f"{ref.path.rsplit('/', 1)[0]}/.{ref.path.rsplit('/', 1)[1]}.unfinished"
    if storage.exists(session, mark):
        storage.remove(session, ref.path)
    elif storage.contents(session, ref.path):
        raise DataError(
            ref.path, "the folder holds files but no Delta table",
            f"wanted an empty folder for the {schema.name} table",
            "Move the files, or choose another folder.",
        )  # fmt: skip
    else:
        storage.touch(session, mark)
    named = [F.col(quoted(c.name)).alias(c.name, metadata={"comment": c.comment}) for c in schema.columns]
    writer = rows.select(*named).writeTo(ref.identifier).using("delta").options(**options)
    for key, value in _table_properties(schema, properties).items():
        writer = writer.tableProperty(key, value)
    try:
        with commit_metadata(session, lineage.as_json()):
            writer.tableProperty("comment", schema.comment).create()
    except Exception:
        storage.remove(session, ref.path)
        raise
    finally:
        storage.remove(session, mark)


def _table_properties(schema: TableSchema, properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties of a new table, named as Delta names them."""
    found = {f"delta.constraints.{name}": condition for name, condition in schema.constraints.items()}
    if schema.change_feed:
        found["delta.enableChangeDataFeed"] = "true"
    ours = {"layout": LAYOUT_VERSION, "table": schema.name, **properties}
    return {**found, **{f"spladelake.{key}": value for key, value in ours.items()}}


def drop_table(session: SparkSession, ref: TableRef) -> None:
    """Remove the table with its files, if it exists."""
    if ref.path is not None:
        storage.remove(session, ref.path)
    else:
        session.sql(f"DROP TABLE IF EXISTS {ref.identifier}")
