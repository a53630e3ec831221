"""What is asked of a table's log, and the table that it is asked of."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from delta.tables import DeltaTable
from pyspark.sql import SparkSession


class Located(Protocol):
    """A table that Delta can find, for example a `spladelake.spark.tables.refs.TableRef`."""

    @property
    def path(self) -> str | None:
        """The table's folder; None if the catalog knows the table by name."""
        ...

    def delta(self, session: SparkSession) -> DeltaTable:
        """Return Delta's handle on the table."""
        ...


class Commit(NamedTuple):
    """A commit of a table: its version, its operation, and the text that the writer stored with it."""

    version: int
    operation: str
    metadata: str | None
