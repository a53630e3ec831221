"""How a table is described: its columns, constraints and comments."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql.types import DataType, StructField, StructType


@dataclass(frozen=True)
class Column:
    """One column: its Spark SQL type in DDL form and what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class TableSchema:
    """A table of the project. `constraints` are SQL conditions that every row keeps, by name.

    change_feed: whether Delta records which rows each commit changed, so that what reads it can follow. files: settings
    of the session under which its data files are written.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    constraints: dict[str, str] = field(default_factory=dict)
    change_feed: bool = False
    files: dict[str, str] = field(default_factory=dict)

    @property
    def struct(self) -> StructType:
        """The columns as Spark's schema type."""
        return StructType([StructField(c.name, DataType.fromDDL(c.type), nullable=True) for c in self.columns])

    @property
    def column_names(self) -> list[str]:
        return [c.name for c in self.columns]


def same_condition(found: str | None, wanted: str) -> bool:
    """Whether a constraint of a table is that of a schema: ADD CONSTRAINT keeps it with other spaces."""
    return found is not None and "".join(found.split()) == "".join(wanted.split())
