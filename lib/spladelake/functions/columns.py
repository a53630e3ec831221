"""Columns of DataFrames: found by their names, checked by their types when a plan is made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    FloatType,
    IntegerType,
    IntegralType,
    StringType,
    StructType,
)

from spladelake.errors import UsageError
from spladelake.files.guesses import GUESSES, guess
from spladelake.names import closest
from spladelake.spark.session.expressions import as_text
from spladelake.spark.tables.sql_text import quoted

# The key of the metadata of a column of vectors.
METADATA = "spladelake"
VECTOR_NAME = "vector"
_VECTOR = "struct<indices: array<int>, values: array<float>>"


def check_frame(frame: Any, place: str) -> None:
    """Raise UsageError if an argument is no DataFrame of Spark."""
    if not isinstance(frame, DataFrame):
        kind = f"{type(frame).__module__}.{type(frame).__qualname__}".removeprefix("builtins.")
        fix = "Make one with spark.createDataFrame, or read the rows with spark.read."
        raise UsageError(place, f"the type is {kind}", "wanted a DataFrame of Spark", fix)


def given_column(column: Any, place: str, *, example: str = "vector") -> Column:
    """Return an argument as a column. Raises UsageError if it is neither a name nor a Column.

    - place: the function that got the argument.
    - example: a likely name of the column, for the message.
    """
    if isinstance(column, str):
        return F.col(column)
    if isinstance(column, Column):
        return column
    raise UsageError(
        place,
        f"the argument is a Python {type(column).__name__}",
        "wanted a Column or the name of a column",
        f'Give "{example}" or df.{example}, and call {place} inside select or withColumn of the DataFrame.',
    )


def found_column(frame: DataFrame, given: str | None, *, kind: str, column: str, place: str, fix: str) -> str:
    """Return the name of a column that the caller named, or that has a usual name.

    - kind, column: the table and its column, for the usual names.
    - place: the DataFrame, for messages.
    - fix: the sentence that tells how to name the column.

    Raises UsageError if there is none.
    """
    check_frame(frame, place)
    present = frame.columns
    if given is not None:
        return _present(given, present, place)
    found = guess(kind, column, present)
    if found is None:
        usual = ", ".join(GUESSES[kind][column][:4])
        raise UsageError(
            place, f"the DataFrame has the columns {', '.join(present)}", f"wanted a column such as {usual}", fix
        )
    return _present(found, present, place)


def _present(given: str, present: Sequence[str], place: str) -> str:
    if given not in present:
        near = closest(given, present)
        raise UsageError(
            place,
            f"no column is called {given!r} (columns: {', '.join(present)})",
            "wanted the name of a column of the DataFrame" if near is None else f"did you mean {near!r}?",
            "Name one of these columns.",
        )
    if list(present).count(given) > 1:
        raise UsageError(
            place,
            f"the DataFrame has several columns {given!r}",
            "wanted one column of this name",
            "Rename or drop the others.",
        )
    return given


def text_column(frame: DataFrame, given: str, place: str) -> str:
    """Return the name of a column of texts. Raises UsageError if it is missing or has another type."""
    kind = frame.schema[_present(given, frame.columns, place)].dataType
    if not isinstance(kind, StringType):
        raise UsageError(
            f"{place}, column {given!r}",
            f"the type is {kind.simpleString()}",
            "wanted the type string",
            f"Name a column of texts, or make one with the SQL {as_text(quoted(given), kind)}.",
        )
    return given


def id_column(frame: DataFrame, given: str | None, *, kind: str, column: str, place: str, fix: str) -> Id:
    """Return a column of ids, found as `found_column` does.

    Raises UsageError if there is none, or if it is neither string nor integer.
    """
    name = found_column(frame, given, kind=kind, column=column, place=place, fix=fix)
    found = frame.schema[name].dataType
    if not isinstance(found, (StringType, IntegralType)):
        said = f"the type is {found.simpleString()}"
        raise UsageError(
            f"{place}, column {name!r}",
            said,
            "wanted ids of type string or integer",
            "Cast the column to bigint if its ids are whole numbers, else to string.",
        )
    return Id(name, found)


@dataclass(frozen=True)
class Id:
    """A column of ids.

    - name: its name in the DataFrame.
    - type: the type in which the ids are given back.
    """

    name: str
    type: DataType

    @property
    def text(self) -> Column:
        """The ids as strings."""
        return F.col(quoted(self.name)).cast("string")


@dataclass(frozen=True)
class Vectors:
    """The vectors of a DataFrame.

    - names: the columns that hold them.
    - indices, values: the two arrays. A null vector has empty arrays.
    - made_by: metadata of the column that sl.encode made; empty for other columns.
    """

    names: tuple[str, ...]
    indices: Column
    values: Column
    made_by: dict[str, Any]


def vector_columns(frame: DataFrame, given: str | None, *, place: str) -> Vectors:
    """Return the vectors of a DataFrame: the column `given` or `vector`, or the columns `indices` and `values`.

    Raises UsageError if they are missing or of another type.
    """
    check_frame(frame, place)
    present = frame.columns
    if given is None and VECTOR_NAME not in present and {"indices", "values"} <= set(present):
        for name, wanted in (("indices", IntegerType), ("values", FloatType)):
            if not _is_array(frame.schema[name].dataType, wanted):
                raise _wrong_part(f"{place}, column {name!r}", frame.schema[name].dataType, wanted())
        return Vectors(("indices", "values"), F.col("indices"), F.col("`values`"), {})
    name = _present(given or VECTOR_NAME, present, place)
    field = frame.schema[name]
    if not is_vector(field.dataType):
        raise _no_vector(f"{place}, column {name!r}", field.dataType)
    column = F.col(quoted(name))
    arrays = {
        part: F.when(column.isNotNull(), column.getField(part)).otherwise(F.array().cast(f"array<{kind}>"))
        for part, kind in (("indices", "int"), ("values", "float"))
    }
    made_by = json.loads(field.metadata.get(METADATA, "{}"))
    return Vectors((name,), arrays["indices"], arrays["values"], made_by)


def is_vector(kind: DataType) -> bool:
    """Whether a type is that of vectors: a struct with the fields indices array<int> and values array<float>."""
    if not isinstance(kind, StructType) or not {"indices", "values"} <= set(kind.names):
        return False
    return _is_array(kind["indices"].dataType, IntegerType) and _is_array(kind["values"].dataType, FloatType)


def _is_array(kind: DataType, element: type[DataType]) -> bool:
    return isinstance(kind, ArrayType) and isinstance(kind.elementType, element)


def _no_vector(place: str, kind: DataType) -> UsageError:
    fix = "Name a column that sl.encode made, or build one with struct(indices, values)."
    if isinstance(kind, StructType) and {"indices", "values"} <= set(kind.names):
        fix = "Name a column that sl.encode made, or cast the column to this type."
    return UsageError(place, f"the type is {kind.simpleString()}", f"wanted {_VECTOR}", fix)


def _wrong_part(place: str, kind: DataType, element: DataType) -> UsageError:
    """Return the error for a column `indices` or `values` of another type. element: the wanted type of its elements."""
    wanted = f"array<{element.simpleString()}>"
    fix = (
        f"Cast the column to {wanted}."
        if isinstance(kind, ArrayType)
        else f"Replace the column by one of type {wanted}."
    )
    return UsageError(place, f"the type is {kind.simpleString()}", f"wanted {wanted}", fix)


def check_one_model(documents: Vectors, queries: Vectors) -> None:
    """Raise UsageError if sl.encode made the two with different models. Their settings may differ."""
    if not documents.made_by or not queries.made_by or documents.made_by["files"] == queries.made_by["files"]:
        return
    said = (f"{made['model']} (model_id {made['model_id'][:12]})" for made in (documents.made_by, queries.made_by))
    raise UsageError(
        "retrieve",
        "the documents were encoded with {}, but the queries with {}".format(*said),
        "wanted one model",
        "Encode both with the same model.",
    )
