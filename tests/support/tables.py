"""Tables as deltalake reads them: in milliseconds, and by another reader than the one that wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import Row

from spladelake.spark.tables.schema import TableSchema

Mode = Literal["error", "append", "overwrite"]


def table_rows(table: str | Path, **equals: Any) -> list[Row]:
    """The rows of a table in a local folder, in no order; equals: only those with these values by column."""
    found = DeltaTable(str(table)).to_pyarrow_table().to_pylist()
    return [Row(**row) for row in found if all(row[column] == value for column, value in equals.items())]


def write_rows(table: str | Path, rows: Iterable[Sequence[Any]], schema: TableSchema, *, mode: Mode = "error") -> None:
    """Make a table of these rows in a local folder, without properties and constraints, or change the rows of one."""
    records = [dict(zip(schema.column_names, row, strict=True)) for row in rows]
    write_deltalake(str(table), pa.Table.from_pylist(records, schema=schema.arrow), mode=mode)
