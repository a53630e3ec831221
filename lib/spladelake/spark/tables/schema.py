"""The description of a table: its columns, constraints and comments."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql.types import DataType, StructField, StructType

# Arrow's types of the columns, by their DDL.
ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "array<int>": pa.list_(pa.int32()),
    "array<float>": pa.list_(pa.float32()),
    "array<double>": pa.list_(pa.float64()),
    "array<string>": pa.list_(pa.string()),
    "map<string,string>": pa.map_(pa.string(), pa.string()),
}


@dataclass(frozen=True)
class Column:
    """A column: its name, its Spark SQL type in DDL form, and its meaning."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class TableSchema:
    """A table of the project.

    - constraints: SQL conditions that every row meets, by name.
    - change_feed: whether Delta records the changed rows of each commit, so that readers can follow them.
    - files: settings of the session under which its data files are written.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    constraints: dict[str, str] = field(default_factory=dict)
    change_feed: bool = False
    files: dict[str, str] = field(default_factory=dict)

    @property
    def struct(self) -> StructType:
        """The columns as a Spark schema."""
        return StructType([StructField(c.name, DataType.fromDDL(c.type), nullable=True) for c in self.columns])

    @property
    def arrow(self) -> pa.Schema:
        """The columns as Arrow's schema, for workers and the driver alike."""
        return pa.schema([(c.name, ARROW_TYPES[c.type]) for c in self.columns])

    @property
    def column_names(self) -> list[str]:
        return [c.name for c in self.columns]


def same_condition(found: str | None, wanted: str) -> bool:
    """Return whether a table's constraint equals the schema's. Spaces do not count: ADD CONSTRAINT may change them."""
    return found is not None and "".join(found.split()) == "".join(wanted.split())
