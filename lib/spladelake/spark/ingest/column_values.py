"""Convert columns of other types to ids, texts and grades as strings."""

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
    """Whether values of a type can fill a column of a table."""
    if column == "relevance":
        return can_be_id(kind) or isinstance(kind, BooleanType)
    return can_be_id(kind) if column.endswith("_id") else isinstance(kind, StringType | CharType)


def field_at(schema: StructType, name: str) -> StructField | None:
    """Return the column of a name, or for `a.b` the field b of the column a; None if there is none."""
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
    """Return the column that `field_at` finds."""
    return F.col(quoted(name) if name in schema.names else ".".join(map(quoted, name.split("."))))


def schema_of(types: Mapping[str, DataType], top: Collection[str]) -> StructType:
    """Return a schema of columns, with structs for names such as `a.b`.

    - types: type of each column by name.
    - top: names of columns whose dots are part of the name.
    """
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
    """Return the column `name` of an input as text for a column of a table."""
    field = field_at(schema, name)
    assert field is not None
    value = column_at(schema, name)
    if column == "score" and not isinstance(field.dataType, StringType | CharType):
        # The digits of a single precision number are those of another double.
        return value.cast("double").cast("string")
    text = id_text(field, value)
    return grade_text(text) if column == "relevance" else text


def grade_text(text: Column) -> Column:
    """Return grades with whole numbers in plain form: true is 1, false is 0, 1.0 is 1. Other values stay unchanged."""
    whole = F.regexp_replace(text, r"^\s*(-?[0-9]+)(\.0*)?\s*$", "$1")
    return F.when(F.lower(text) == "true", F.lit("1")).when(F.lower(text) == "false", F.lit("0")).otherwise(whole)


def id_text(field: StructField, value: Column | None = None) -> Column:
    """Return the values of a column as ids.

    A whole number becomes its digits: 1.0 of a decimal or floating point column is "1". The padding of a CHAR column
    is removed. A number that cannot be an id, such as 1.5, becomes a text that `number_fault` reports.

    - field: name and type of the column.
    - value: the column, if it does not have this name.
    """
    value = F.col(quoted(field.name)) if value is None else value
    kind, text = field.dataType, value.cast("string")
    if isinstance(kind, CharType) or str(field.metadata.get(_CHAR, "")).lower().startswith("char"):
        return F.rtrim(text)
    if isinstance(kind, DecimalType):
        # By the digits: Spark compares decimals of 38 digits only after it has rounded fractions away.
        return F.when(value == 0, F.lit("0")).otherwise(F.regexp_replace(text, r"^(-?[0-9]+)\.0*$", "$1"))
    if isinstance(kind, FloatType | DoubleType):
        is_whole = (value == F.floor(value)) & (F.abs(value) < _EXACT[type(kind)])
        return F.when(is_whole, value.cast("bigint").cast("string")).otherwise(text)
    return text


def number_fault(field: StructField, text: Column) -> Column | None:
    """Return the reason why a number cannot be an id: it has a fraction, or is too large to be exact."""
    if not isinstance(field.dataType, FractionalType):
        return None
    wanted = "; numbers as ids must be whole and small enough to be exact"
    return F.when(~text.rlike("^-?[0-9]+$"), F.concat(F.lit(f'"{field.name}" is '), text, F.lit(wanted)))
