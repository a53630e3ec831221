"""Facts from a table's log, which Delta answers in the driver without a Spark job.

A job asks for version, properties and last commits some dozens of times. DESCRIBE answers with a DataFrame, which takes
some tenths of a second each time. Delta has the facts in memory or in one small file.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

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


def property_in_memory(session: SparkSession, ref: Located, key: str) -> str | None:
    """Return a property of a table as this session last saw it; None if the table lacks it.

    A commit of another process may be missing until this session reads the table again.
    """
    if ref.path is not None:
        log = _jvm(session).org.apache.spark.sql.delta.DeltaLog.forTable(session._jsparkSession, ref.path)
    else:
        log = _log(session, ref)
    value = log.unsafeVolatileSnapshot().metadata().configuration().get(key)
    return str(value.get()) if value.isDefined() else None


def newest_version(session: SparkSession, ref: Located) -> int:
    """Return the number of the table's newest commit by any writer. The table must exist."""
    return int(_newest(session, ref).version())


def all_properties(session: SparkSession, ref: Located) -> dict[str, str]:
    """Return the table's properties at its newest commit."""
    return dict(_as_java(session, _newest(session, ref).metadata().configuration()))


def reader_version(session: SparkSession, ref: Located) -> int:
    """Return the protocol version that a reader of the table must support."""
    return int(_newest(session, ref).protocol().minReaderVersion())


def size_in_bytes(session: SparkSession, ref: Located) -> int:
    """Return the bytes of the data files in the table's newest version."""
    return file_sizes(session, ref)[1]


def file_sizes(session: SparkSession, ref: Located) -> tuple[int, int]:
    """Return the number of data files in the table's newest version, and their bytes together."""
    snapshot = _newest(session, ref)
    return int(snapshot.numOfFiles()), int(snapshot.sizeInBytes())


def newest_commits(session: SparkSession, ref: Located, most: int) -> list[Commit]:
    """Return the last commits of a table, newest first: `most` of them, or fewer if its log holds fewer."""
    first = max(0, newest_version(session, ref) - most + 1)
    changes = _log(session, ref).getChanges(first, _jvm(session).scala.Option.empty(), False)
    found = []
    while changes.hasNext():
        change = changes.next()
        for action in _as_java(session, change._2()):
            if action.getClass().getSimpleName() == "CommitInfo":
                metadata = action.userMetadata()
                text = str(metadata.get()) if metadata.isDefined() else None
                found.append(Commit(int(change._1()), str(action.operation()), text))
                break
        else:
            # Other engines may leave out the name of the operation.
            found.append(Commit(int(change._1()), "", None))
    return found[::-1]


def _log(session: SparkSession, ref: Located) -> Any:
    """Return Delta's log of a table, a Scala object."""
    return ref.delta(session)._jdt.deltaLog()


def _newest(session: SparkSession, ref: Located) -> Any:
    """Return the table's snapshot at its newest commit, a Scala object."""
    nothing = _jvm(session).scala.Option.empty()
    return _log(session, ref).update(False, nothing, nothing)


def _as_java(session: SparkSession, collection: Any) -> Any:
    """Return a Scala collection as a Java one, which Python can iterate over."""
    return _jvm(session).scala.jdk.javaapi.CollectionConverters.asJava(collection)


def _jvm(session: SparkSession) -> Any:
    assert session._jvm is not None
    return session._jvm
