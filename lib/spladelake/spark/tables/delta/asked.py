"""What is asked of a table's log, and the table that it is asked of."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession


class Located(Protocol):
    """A table that Delta can find, for example a `spladelake.spark.tables.refs.TableRef`."""

    @property
    def path(self) -> str | None:
        """The table's folder; None if the catalog knows the table by name."""
        ...

    def delta(self, session: SparkSession) -> DeltaTable:
        """Return Delta's handle on the table."""
        ...

    def history(self, session: SparkSession, most: int | None = None) -> DataFrame:
        """Return the rows of DESCRIBE HISTORY, newest first: `most` of them, or all."""
        ...

    def detail(self, session: SparkSession) -> DataFrame:
        """Return the row of DESCRIBE DETAIL."""
        ...


class Commit(NamedTuple):
    """A commit of a table: its version, its operation, and the text that the writer stored with it."""

    version: int
    operation: str
    metadata: str | None
