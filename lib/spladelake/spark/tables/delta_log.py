"""What a table's log says, asked of Delta in the driver: without the Spark job that each of DESCRIBE's answers is.

Version, properties and last commits are asked for at every access, some dozens of times in a job. As a DataFrame each
answer takes some tenths of a second; Delta has it in memory, or in one small file.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from delta.tables import DeltaTable
from pyspark.sql import SparkSession


class Located(Protocol):
    """A table that Delta can find; `spladelake.spark.tables.refs.TableRef` is one."""

    @property
    def path(self) -> str | None:
        """Its folder; None if the catalog knows it by name."""
        ...

    def delta(self, session: SparkSession) -> DeltaTable:
        """Delta's handle on the table."""
        ...


class Commit(NamedTuple):
    """A commit of a table: its version, what did it, and the text that the writer left with it."""

    version: int
    operation: str
    metadata: str | None


def property_in_memory(session: SparkSession, ref: Located, key: str) -> str | None:
    """A property of a table as this session last saw it; None where it has none.

    A commit of another process may be missing until the table is next read.
    """
    if ref.path is not None:
        log = _jvm(session).org.apache.spark.sql.delta.DeltaLog.forTable(session._jsparkSession, ref.path)
    else:
        log = _log(session, ref)
    value = log.unsafeVolatileSnapshot().metadata().configuration().get(key)
    return str(value.get()) if value.isDefined() else None


def newest_version(session: SparkSession, ref: Located) -> int:
    """Number of the table's newest commit, whoever made it. The table must exist."""
    return int(_newest(session, ref).version())


def all_properties(session: SparkSession, ref: Located) -> dict[str, str]:
    """The table's properties at its newest commit."""
    return dict(_as_java(session, _newest(session, ref).metadata().configuration()))


def reader_version(session: SparkSession, ref: Located) -> int:
    """The protocol that a reader of the table must know."""
    return int(_newest(session, ref).protocol().minReaderVersion())


def size_in_bytes(session: SparkSession, ref: Located) -> int:
    """Size of the data files of the table's newest version."""
    return file_sizes(session, ref)[1]


def file_sizes(session: SparkSession, ref: Located) -> tuple[int, int]:
    """How many data files the table's newest version has, and their bytes together."""
    snapshot = _newest(session, ref)
    return int(snapshot.numOfFiles()), int(snapshot.sizeInBytes())


def newest_commits(session: SparkSession, ref: Located, most: int) -> list[Commit]:
    """The last commits of a table, the newest first: so many of them, or those that its log still holds."""
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
            # Another engine need not say what it did.
            found.append(Commit(int(change._1()), "", None))
    return found[::-1]


def _log(session: SparkSession, ref: Located) -> Any:
    """Delta's log of a table, as its Scala side holds it."""
    return ref.delta(session)._jdt.deltaLog()


def _newest(session: SparkSession, ref: Located) -> Any:
    """The table's snapshot at its newest commit."""
    nothing = _jvm(session).scala.Option.empty()
    return _log(session, ref).update(False, nothing, nothing)


def _as_java(session: SparkSession, collection: Any) -> Any:
    """A collection of Scala's in a form that Python can go over."""
    return _jvm(session).scala.jdk.javaapi.CollectionConverters.asJava(collection)


def _jvm(session: SparkSession) -> Any:
    assert session._jvm is not None
    return session._jvm
