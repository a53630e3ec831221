"""What Delta holds in memory of a table: asked without a Spark job, for questions that come up at every access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from spladelake.spark.tables import TableRef


def property_in_memory(session: SparkSession, ref: TableRef, key: str) -> str | None:
    """A property of a table as this session last saw it; None where it has none.

    A commit of another process may be missing until the table is next read.
    """
    jvm = session._jvm
    assert jvm is not None
    location = ref.path
    if location is None:
        found = ref.delta(session).detail().select("location").first()
        assert found is not None
        location = found["location"]
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(session._jsparkSession, location)
    value = log.unsafeVolatileSnapshot().metadata().configuration().get(key)
    return str(value.get()) if value.isDefined() else None
