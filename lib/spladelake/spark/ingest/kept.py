"""Columns of an input that the table keeps beside its own: found, checked, and added to the table.

Columns of Parquet files and Delta tables keep their types. In the records they are called `kept:NAME`. Values of text
files come in one column, a map of texts by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField

from spladelake.errors import DataError
from spladelake.files.kept import ALL, check_kept, check_keys_found
from spladelake.spark.ingest.source import KEPT, Source
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import Column, TableSchema
from spladelake.spark.tables.sql_text import quoted, sql_string

PREFIX = "kept:"
_COMMENT = "Kept from the input."
# Delta does not write names with these characters.
_UNWRITABLE = re.compile(r"[ ,;{}()\n\t=]")
_UNPRINTED = {" ": "a space", "\n": "a line break", "\t": "a tab"}


def kept_names(source: Source, present: Sequence[str], used: Collection[str | None], *, place: str) -> list[str]:
    """Return the columns of a Parquet file or a Delta table that are kept.

    - present: names of its columns.
    - used: names of the columns that the table has anyway.
    - place: the file or table, for messages.

    Raises DataError for an unknown name.
    """
    if source.keep == ALL:
        return [name for name in present if name not in used]
    check_kept(source.keep, present, place)
    return list(source.keep)


def without(source: Source, name: str) -> str:
    """Return the clause of a fix that does not keep a column: it depends on the value of --keep."""
    return (
        f"set --keep to the columns to keep, without {name!r}" if source.keep == ALL else f"take {name!r} out of --keep"
    )


def with_kept_columns(
    session: SparkSession, target: TableRef, source: Source, records: DataFrame
) -> tuple[TableSchema, DataFrame]:
    """Return the table's schema with the kept columns, and its rows. Add the columns that an existing table lacks.

    Rows that the table has already hold nulls in a new column.

    Raises DataError for a name that a table cannot have, and for a column whose type is another one in the table.
    """
    if not source.keep:
        return source.schema, records
    if KEPT.name in records.columns:
        keys = records.select(F.explode(F.map_keys(KEPT.name)).alias("name")).distinct()
        found = sorted(row["name"] for row in keys.collect())
        names = found if source.keep == ALL else list(source.keep)
        check_keys_found(names, found, source.location)
        columns = {name: F.element_at(F.col(KEPT.name), F.lit(name)) for name in names}
        fields = [StructField(name, StringType()) for name in names]
    else:
        typed = [field for field in records.schema if field.name.startswith(PREFIX)]
        fields = [StructField(field.name.removeprefix(PREFIX), field.dataType) for field in typed]
        columns = {name.removeprefix(PREFIX): F.col(quoted(name)) for name in (field.name for field in typed)}
    _check_names(source, [field.name for field in fields], target)
    _add_columns(session, target, fields, source)
    more = (Column(field.name, field.dataType.simpleString(), _COMMENT) for field in fields)
    schema = replace(source.schema, columns=(*source.schema.columns, *more))
    return schema, records.select(*source.schema.column_names, *(c.alias(name) for name, c in columns.items()))


def _check_names(source: Source, names: Sequence[str], target: TableRef) -> None:
    own = {name.lower() for name in source.schema.column_names}
    seen: dict[str, str] = {}
    for name in names:
        problem = _name_problem(name, seen.get(name.lower()), str(target) if name.lower() in own else None)
        if problem is not None:
            raise DataError(source.location, *problem, f"Rename the column in the input, or {without(source, name)}.")
        seen[name.lower()] = name


def _name_problem(name: str, alike: str | None, table: str | None) -> tuple[str, str] | None:
    """Return what is wrong with the name of a kept column, and what is wanted; None if nothing is wrong.

    - alike: an earlier name that differs only in case.
    - table: the table, if it has a column of this name that is not a kept one.
    """
    if table is not None:
        found = f"the column {name!r} cannot be kept, because {table} has a column {name.lower()!r} of its own"
        return found, "wanted other names for the columns to keep"
    if alike is not None:
        found = f"the columns {alike!r} and {name!r} differ only in upper and lower case"
        return found, "wanted names that differ in more than case"
    if not name:
        return "a column to keep has an empty name", "wanted a name for every column to keep"
    if (bad := _UNWRITABLE.search(name)) is None:
        return None
    held = _UNPRINTED.get(bad[0], f"the character {bad[0]!r}")
    wanted = "wanted no spaces, tabs, line breaks, commas, semicolons, equals signs, parentheses or braces in the name"
    return f"the name of the column {name!r} has {held}", wanted


def _add_columns(session: SparkSession, target: TableRef, fields: Sequence[StructField], source: Source) -> None:
    if not target.exists(session):
        return
    present = {field.name.lower(): field for field in target.scan(session).schema}
    for field in fields:
        held = present.get(field.name.lower())
        if held is not None and held.name != field.name:
            found = f"the column {field.name!r} differs only in upper and lower case from {held.name!r} in {target}"
            fix = f"Rename the column in the input, or {without(source, field.name)}."
            raise DataError(source.location, found, "wanted the same name in both", fix)
        if held is not None and held.dataType != field.dataType:
            kind, there = field.dataType.simpleString(), held.dataType.simpleString()
            found = f"the column {field.name!r} has the type {kind}, but in {target} it has the type {there}"
            fix = f"Convert the column in the input, or {without(source, field.name)}."
            raise DataError(source.location, found, "wanted the same type in both", fix)
    new = [field for field in fields if field.name.lower() not in present]
    if new:
        columns = ", ".join(
            f"{quoted(field.name)} {field.dataType.simpleString()} COMMENT {sql_string(_COMMENT)}" for field in new
        )
        with exclusive(str(target)):
            session.sql(f"ALTER TABLE {target.identifier} ADD COLUMNS ({columns})")
