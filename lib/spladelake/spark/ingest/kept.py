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
from spladelake.files.kept import ALL, check_kept
from spladelake.spark.ingest.source import KEPT, Source
from spladelake.spark.tables.locks import exclusive
from spladelake.spark.tables.refs import TableRef
from spladelake.spark.tables.schema import Column, TableSchema
from spladelake.spark.tables.sql_text import quoted, sql_string

PREFIX = "kept:"
_COMMENT = "Kept from the input."
# Delta does not write names with these characters.
_UNWRITABLE = re.compile(r"[ ,;{}()\n\t=]")


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
        check_kept(names, found, source.location)
        columns = {name: F.element_at(F.col(KEPT.name), F.lit(name)) for name in names}
        fields = [StructField(name, StringType()) for name in names]
    else:
        typed = [field for field in records.schema if field.name.startswith(PREFIX)]
        fields = [StructField(field.name.removeprefix(PREFIX), field.dataType) for field in typed]
        columns = {name.removeprefix(PREFIX): F.col(quoted(name)) for name in (field.name for field in typed)}
    _check_names(source, [field.name for field in fields])
    _add_columns(session, target, fields, source)
    more = (Column(field.name, field.dataType.simpleString(), _COMMENT) for field in fields)
    schema = replace(source.schema, columns=(*source.schema.columns, *more))
    return schema, records.select(*source.schema.column_names, *(c.alias(name) for name, c in columns.items()))


def _check_names(source: Source, names: Sequence[str]) -> None:
    own = {name.lower() for name in source.schema.column_names}
    seen = set[str]()
    for name in names:
        found = None
        if name.lower() in own:
            found = f"the table has a column {name.lower()!r} of its own"
        elif name.lower() in seen:
            found = f"two columns are called {name!r}, if upper and lower case are the same"
        elif not name or _UNWRITABLE.search(name):
            found = f"the name {name!r} is empty, or has a space or one of ,;{{}}()="
        if found is not None:
            raise DataError(
                source.location, found, "wanted names that a table can have",
                "Rename the column in the input, or name the others with --keep.",
            )  # fmt: skip
        seen.add(name.lower())


def _add_columns(session: SparkSession, target: TableRef, fields: Sequence[StructField], source: Source) -> None:
    if not target.exists(session):
        return
    present = {field.name.lower(): field for field in target.scan(session).schema}
    for field in fields:
        held = present.get(field.name.lower())
        if held is not None and (held.name, held.dataType) != (field.name, field.dataType):
            raise DataError(
                source.location,
                f"the column {field.name!r} has the type {field.dataType.simpleString()}, and in {target} the column "
                f"{held.name!r} has {held.dataType.simpleString()}",
                "wanted one name and type",
                "Convert the column in the input, or name only other columns with --keep.",
            )
    new = [field for field in fields if field.name.lower() not in present]
    if new:
        columns = ", ".join(
            f"{quoted(field.name)} {field.dataType.simpleString()} COMMENT {sql_string(_COMMENT)}" for field in new
        )
        with exclusive(str(target)):
            session.sql(f"ALTER TABLE {target.identifier} ADD COLUMNS ({columns})")
