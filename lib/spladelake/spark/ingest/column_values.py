"""Ids, texts and grades as text, from columns of whatever type can stand for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    CharType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegralType,
    StringType,
    StructField,
    StructType,
)

from spladelake.spark.tables.sql_text import quoted

# Where Spark keeps the type of a CHAR column, which it reads as a string padded with spaces.
_CHAR = "__CHAR_VARCHAR_TYPE_STRING"
# From here on a floating point number may stand for several whole ones.
_EXACT = {FloatType: 2**24, DoubleType: 2**53}


def can_be_id(kind: DataType) -> bool:
    """Whether values of a type can be ids: strings, and numbers if they are whole."""
    return isinstance(kind, StringType | CharType | IntegralType | DecimalType | FloatType | DoubleType)


def can_be(column: str, kind: DataType) -> bool:
    """Whether values of a type can be those of a column of a table."""
    if column == "relevance":
        return can_be_id(kind) or isinstance(kind, BooleanType)
    return can_be_id(kind) if column.endswith("_id") else isinstance(kind, StringType | CharType)


def field_at(schema: StructType, name: str) -> StructField | None:
    """The column of a name, or for `a.b` the field b of the column a; None if there is none."""
    if name in schema.names:
        return schema[name]
    kind: DataType = schema
    for part in name.split("."):
        if not isinstance(kind, StructType) or part not in kind.names:
            return None
        field = kind[part]
        kind = field.dataType
    return StructField(name, kind, metadata=field.metadata)


def column_at(schema: StructType, name: str) -> Column:
    """The column that `field_at` finds."""
    return F.col(quoted(name) if name in schema.names else ".".join(map(quoted, name.split("."))))


def schema_of(types: Mapping[str, DataType], top: Collection[str]) -> StructType:
    """A schema of columns, and of objects for names such as `a.b`. top: columns that have dots of their own."""
    schema, inside = StructType(), dict[str, dict[str, DataType]]()
    for name, kind in types.items():
        head, _, rest = name.partition(".")
        if name in top or not rest:
            schema = schema.add(name, kind)
        else:
            inside.setdefault(head, {})[rest] = kind
    for head, fields in inside.items():
        schema = schema.add(head, schema_of(fields, ()))
    return schema


def column_text(schema: StructType, column: str, name: str) -> Column:
    """The values of the column `name` of an input as text for a column of a table."""
    field = field_at(schema, name)
    assert field is not None
    text = id_text(field, column_at(schema, name))
    return grade_text(text) if column == "relevance" else text


def grade_text(text: Column) -> Column:
    """Grades as whole numbers, as far as they are: true is 1, false is 0, 1.0 is 1."""
    whole = F.regexp_replace(text, r"^\s*(-?[0-9]+)(\.0*)?\s*$", "$1")
    return F.when(F.lower(text) == "true", F.lit("1")).when(F.lower(text) == "false", F.lit("0")).otherwise(whole)


def id_text(field: StructField, value: Column | None = None) -> Column:
    """Values of a column as ids; value: the column, if it is not one of this name.

    A number that is whole is its digits: 1.0 of a decimal or floating point column is "1". The padding of a CHAR column
    is left out. What is no id, such as 1.5, is text that `number_fault` tells.
    """
    value = F.col(quoted(field.name)) if value is None else value
    kind, text = field.dataType, value.cast("string")
    if isinstance(kind, CharType) or str(field.metadata.get(_CHAR, "")).lower().startswith("char"):
        return F.rtrim(text)
    if isinstance(kind, DecimalType):
        whole = value.cast("decimal(38,0)")
        return F.when(value == whole, whole.cast("string")).otherwise(text)
    if isinstance(kind, FloatType | DoubleType):
        is_whole = (value == F.floor(value)) & (F.abs(value) < _EXACT[type(kind)])
        return F.when(is_whole, value.cast("bigint").cast("string")).otherwise(text)
    return text


def number_fault(field: StructField, text: Column) -> Column | None:
    """The reason against an id of `id_text` that was a number with a fraction, or too large to be exact."""
    if not isinstance(field.dataType, FractionalType):
        return None
    wanted = "; an id of a column of numbers must be whole, and small enough to be exact"
    return F.when(~text.rlike("^-?[0-9]+$"), F.concat(F.lit(f'"{field.name}" is '), text, F.lit(wanted)))
