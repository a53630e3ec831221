"""Facts of a table from the classes of Delta's log, which answer in the driver without a query.

These classes are no public interface: `supported` tells whether this Delta has them.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from spladelake.spark.tables.delta.asked import Commit, Located


def supported(session: SparkSession, ref: Located) -> bool:
    """Return whether this Delta has the classes, by asking for the facts of a table."""
    try:
        newest_version(session, ref)
        file_sizes(session, ref)
        properties(session, ref)
        newest_commits(session, ref, 1)
        property_in_memory(session, ref, "")
    except Exception:
        return False
    return True


def property_in_memory(session: SparkSession, ref: Located, key: str) -> str | None:
    """Return a property as this session last saw it; None if the table lacks it."""
    if ref.path is not None:
        log = _jvm(session).org.apache.spark.sql.delta.DeltaLog.forTable(session._jsparkSession, ref.path)
    else:
        log = _log(session, ref)
    value = log.unsafeVolatileSnapshot().metadata().configuration().get(key)
    return str(value.get()) if value.isDefined() else None


def newest_version(session: SparkSession, ref: Located) -> int:
    """Return the number of the newest commit."""
    return int(_newest(session, ref).version())


def properties(session: SparkSession, ref: Located) -> dict[str, str]:
    """Return the properties at the newest commit."""
    return dict(_as_java(session, _newest(session, ref).metadata().configuration()))


def reader_version(session: SparkSession, ref: Located) -> int:
    """Return the protocol version that a reader must support."""
    return int(_newest(session, ref).protocol().minReaderVersion())


def file_sizes(session: SparkSession, ref: Located) -> tuple[int, int]:
    """Return the number of data files, and their bytes together."""
    snapshot = _newest(session, ref)
    return int(snapshot.numOfFiles()), int(snapshot.sizeInBytes())


def newest_commits(session: SparkSession, ref: Located, most: int) -> list[Commit]:
    """Return the last commits, newest first."""
    first = max(0, newest_version(session, ref) - most + 1)
    changes = _changes(session, ref, first)
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


def _changes(session: SparkSession, ref: Located, first: int) -> Any:
    """Return the changes from a version on. Delta 4.0 takes two arguments, later releases three."""
    log = _log(session, ref)
    try:
        return log.getChanges(first, _jvm(session).scala.Option.empty(), False)
    except Exception:
        return log.getChanges(first, False)


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
