"""Python functions over Arrow data, the same on every supported Spark: on batches, on groups and on columns.

Spark takes the columns of a batch by position. It compares their names and types only from 4.1 on, and only if a
setting asks for it. So the functions of this package go through this module, which compares them in the worker.
Functions on columns of Arrow exist from Spark 4.1 on. On Spark 4.0 the same functions get their columns through pandas.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql import DataFrame, GroupedData
from pyspark.sql import functions as F
from pyspark.sql.pandas import functions as udfs
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import DataType, StructType

from spladelake.errors import DataError
from spladelake.spark.session.worker_daemon import fork_with_models

Batches = Iterable[pa.RecordBatch]

# Whether Spark gives a function its columns as Arrow; otherwise they come by way of pandas.
HAS_ARROW_COLUMNS = hasattr(udfs, "arrow_udf")


class OnGroup(Protocol):
    """A function of the rows of one group."""

    def __call__(self, rows: pa.Table, /) -> pa.Table: ...


def map_arrow(rows: DataFrame, function: Callable[[Any], Batches], schema: StructType | str) -> DataFrame:
    """Return the rows that a function makes of the batches of each partition.

    - function: if its attribute `loads_model` is true, its workers start with torch imported, see `worker_daemon`.
    - schema: the columns of the result. A batch with other columns, or in another order, ends the job with DataError.
    """
    if getattr(function, "loads_model", False):
        fork_with_models()
    return rows.mapInArrow(CheckedBatches(function, _columns(schema)), schema)


def apply_arrow(groups: GroupedData, function: OnGroup, schema: StructType | str) -> DataFrame:
    """Return the rows that a function makes of each group. The columns are checked as in `map_arrow`."""
    wanted = _columns(schema)

    def checked(table: pa.Table) -> pa.Table:
        made = function(table)
        check_columns(made.schema, wanted, of=_name(function))
        return made

    return groups.applyInArrow(checked, schema)


def arrow_schema(struct: StructType) -> pa.Schema:
    """Return the Arrow schema of a Spark schema, with timestamps in UTC. Before 4.2 Spark knows no other zone."""
    zone: dict[str, Any] = {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_schema).parameters else {}
    return to_arrow_schema(struct, **zone)


Columns = tuple[tuple[str, str], ...]


def _columns(schema: StructType | str) -> Columns:
    """Return name and type of each column."""
    struct = DataType.fromDDL(schema) if isinstance(schema, str) else schema
    assert isinstance(struct, StructType)
    return tuple((field.name, field.dataType.simpleString()) for field in struct.fields)


@dataclass(frozen=True)
class CheckedBatches:
    """The function for mapInArrow: yields the batches of another function if they have the wanted columns."""

    function: Callable[[Any], Batches]
    wanted: Columns

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        seen = None
        for batch in self.function(batches):
            if seen is None or not batch.schema.equals(seen):
                check_columns(batch.schema, self.wanted, of=_name(self.function))
                seen = batch.schema
            yield batch


def check_columns(found: pa.Schema, wanted: Columns, *, of: str) -> None:
    """Raise DataError unless Arrow columns have the wanted names and Spark types in the wanted order.

    - of: the function that made the columns.
    """
    columns = _columns(from_arrow_schema(found, prefer_timestamp_ntz=True))
    if columns != wanted:
        raise DataError(
            f"the worker's function {of}",
            f"the function returned the columns {_said(columns)}",
            f"wanted the columns {_said(wanted)}",
            "This is a bug in spladelake, and the data are not the cause: please report it.",
        )


def _said(columns: Columns) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def column_function(function: Callable[..., pa.Array], returns: str, *, empty: pa.DataType) -> Any:
    """Return a Spark function of columns: it gets Arrow arrays of one length, and returns an array of that length.

    - returns: the Spark type of the result.
    - empty: type of a column without a value, for which pandas knows no type.
    """
    if HAS_ARROW_COLUMNS:
        return udfs.arrow_udf(function, returns)  # type: ignore[call-overload]
    import pandas as pd

    def of_pandas(*columns: Any) -> Any:
        return _to_pandas(function(*(_from_pandas(column, empty) for column in columns)))

    of_pandas.__annotations__ = {"columns": pd.Series, "return": _returned(returns)}
    return udfs.pandas_udf(of_pandas, returns)  # type: ignore[call-overload]


def batch_function(
    function: Callable[[Iterator[pa.Array]], Iterator[pa.Array]], returns: str, *, empty: pa.DataType
) -> Any:
    """Return a Spark function of one column: it gets the arrays of all batches, and yields an array for each.

    Parameters are those of `column_function`. A null struct in the result is null on every Spark.
    """
    if HAS_ARROW_COLUMNS:
        return udfs.arrow_udf(function, returns)  # type: ignore[call-overload]
    import pandas as pd

    def of_pandas(columns: Any) -> Any:
        yield from map(_to_pandas, function(_from_pandas(column, empty) for column in columns))

    hints = {"columns": pd.Series, "return": _returned(returns)}
    of_pandas.__annotations__ = {name: GenericAlias(Iterator, (kind,)) for name, kind in hints.items()}
    return udfs.pandas_udf(of_pandas, returns)  # type: ignore[call-overload]


def without_null_structs(function: Any, field: str) -> Any:
    """Return a function whose result is null if a field of the result is null.

    pandas has no null struct, only a struct of nulls. Where structs come as Arrow, the function stays as it is.
    """
    if HAS_ARROW_COLUMNS:
        return function
    # An array of one element, so that the plan names the function once.
    return lambda *columns: F.get(
        F.filter(F.array(function(*columns)), lambda made: made.getField(field).isNotNull()), F.lit(0)
    )


def _returned(returns: str) -> Any:
    import pandas as pd

    return pd.DataFrame if isinstance(DataType.fromDDL(returns), StructType) else pd.Series


def _from_pandas(column: Any, empty: pa.DataType) -> pa.Array:
    """Return a column that came as pandas: a Series, or the DataFrame of a struct."""
    if column.ndim == 1:
        found = pa.array(column, from_pandas=True)
        return found.cast(empty) if pa.types.is_null(found.type) else found
    parts = [_from_pandas(column[name], empty) for name in column.columns]
    absent = [not any(part[row].is_valid for part in parts) for row in range(len(column))]
    return pa.StructArray.from_arrays(parts, list(column.columns), mask=pa.array(absent, pa.bool_()))


def _to_pandas(array: pa.Array) -> Any:
    """Return a column as pandas: a Series, or the DataFrame of a struct. A null struct becomes a struct of nulls."""
    import pandas as pd

    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        return pd.DataFrame(dict(zip(names, map(_to_pandas, array.flatten()), strict=True)))
    nested = pa.types.is_list(array.type) and pa.types.is_struct(array.type.value_type)
    return pd.Series(array.to_pylist(), dtype=object) if nested else array.to_pandas()
