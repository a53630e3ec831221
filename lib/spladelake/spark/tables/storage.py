"""Operations on files of any file system that Spark can reach."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError


def absolute(path: str) -> str:
    """Return a local path as an absolute one without `..`, and a path with a scheme (s3a://, hdfs://) unchanged."""
    if path.startswith("file:"):
        path = "/" + path.removeprefix("file:").lstrip("/")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def plain_path(uri: Column) -> Column:
    """Return a column of file URIs, as in Spark's `_metadata.file_path`, as readable paths."""
    # url_decode turns + into a space, but in a path it is a plus sign.
    decoded = F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(decoded, "^file:/*", "/")


def _path(session: SparkSession, path: str) -> Any:
    """Return a path as Hadoop takes it."""
    jvm = session._jvm
    assert jvm is not None
    return jvm.org.apache.hadoop.fs.Path(path)


def _opened(session: SparkSession, path: str) -> tuple[Any, Any]:
    """Return Hadoop's file system of a path, and the path as Hadoop takes it."""
    hadoop_path = _path(session, path)
    return hadoop_path.getFileSystem(session._jsc.hadoopConfiguration()), hadoop_path


def exists(session: SparkSession, path: str) -> bool:
    """Return whether a file or folder exists. The path is not a pattern."""
    system, hadoop_path = _opened(session, path)
    return bool(system.exists(hadoop_path))


def _matches(session: SparkSession, pattern: str) -> list[Any]:
    """Return Hadoop's file statuses for a user's path or glob pattern. The path of a file is not a pattern."""
    system, hadoop_path = _opened(session, pattern)
    if system.exists(hadoop_path):
        return [system.getFileStatus(hadoop_path)]
    found = system.globStatus(hadoop_path)
    return list(found) if found is not None else []


def folders(session: SparkSession, pattern: str) -> list[str]:
    """Return the paths of the folders that a path or glob pattern matches, sorted."""
    return sorted(str(s.getPath().toString()) for s in _matches(session, pattern) if s.isDirectory())


def is_folder(session: SparkSession, pattern: str) -> bool:
    """Return whether a path or glob pattern matches a folder."""
    return bool(folders(session, pattern))


def contents(session: SparkSession, folder: str) -> list[str]:
    """Return the names of all entries of a folder, hidden ones too, sorted; empty if there is no such folder."""
    system, hadoop_path = _opened(session, folder)
    if not system.exists(hadoop_path) or not system.getFileStatus(hadoop_path).isDirectory():
        return []
    return sorted(str(status.getPath().getName()) for status in system.listStatus(hadoop_path))


def children(session: SparkSession, folder: str) -> list[str]:
    """Return the names of the visible entries of a folder, sorted; empty if there is no such folder."""
    return [name for name in contents(session, folder) if not name.startswith(("_", "."))]


def require_input(session: SparkSession, path: str, *, option: str) -> None:
    """Raise DataError if an input path or glob pattern matches nothing.

    - option: option that gave the path, for the message.
    """
    if not _matches(session, path):
        parent = path.rsplit("/", 1)[0] or "/"
        beside = ", ".join(children(session, parent)[:8]) or "nothing"
        raise DataError(
            path, "there is no such file or folder", f"{option} names it; {parent} holds {beside}", f"Correct {option}."
        )


def input_fingerprint(session: SparkSession, path: str) -> str:
    """Return a hash over name, size and modification time of every file of an input. File contents are not read."""
    listing = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = listing.select("path", "length", F.col("modificationTime").cast("double").alias("modified")).collect()
    entries = sorted((row["path"], row["length"], row["modified"]) for row in rows)
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def upload(session: SparkSession, local: Path, target: str) -> None:
    """Copy a local file or folder to a path that every executor can read."""
    system, destination = _opened(session, target)
    system.copyFromLocalFile(False, True, _path(session, str(local)), destination)


# File systems that rename a folder in one step: a reader sees either the old or the new name.
_RENAMING = {"file", "hdfs", "viewfs"}


def can_take_name(session: SparkSession, path: str) -> bool:
    """Return whether a folder can be renamed to this path in one step: the path is free, and its file system can."""
    system, hadoop_path = _opened(session, path)
    return system.getUri().getScheme() in _RENAMING and not system.exists(hadoop_path)


def rename(session: SparkSession, path: str, target: str) -> bool:
    """Rename a folder to a free path; return whether that succeeded."""
    system, folder = _opened(session, path)
    return bool(system.rename(folder, _path(session, target)))


def remove(session: SparkSession, path: str) -> None:
    """Delete a file, or a folder with everything in it."""
    system, hadoop_path = _opened(session, path)
    system.delete(hadoop_path, True)


def touch(session: SparkSession, path: str) -> None:
    """Create an empty file and the folders above it."""
    system, hadoop_path = _opened(session, path)
    system.create(hadoop_path, True).close()


def move(session: SparkSession, source: str, target: str) -> None:
    """Rename a file within one file system. A file that has the new name already is replaced.

    Raises DataError if the file system refuses.
    """
    system, old = _opened(session, source)
    new = _path(session, target)
    system.delete(new, True)
    if not system.rename(old, new):
        raise DataError(
            source, f"it cannot be renamed to {target}", "wanted both on one file system", "Check both folders."
        )


def write_text(session: SparkSession, path: str, text: str) -> None:
    """Write a small text file. It gets its name when it is complete, so no reader sees a part of it."""
    unfinished = f"{path.rsplit('/', 1)[0]}/.unfinished-{uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="spladelake-") as folder:
        local = Path(folder) / "file"
        local.write_text(text, encoding="utf-8")
        upload(session, local, unfinished)
    move(session, unfinished, path)


def read_text(session: SparkSession, path: str) -> str | None:
    """Return the text of a small file; None if it does not exist. Raises UnicodeDecodeError if it is not UTF-8."""
    system, hadoop_path = _opened(session, path)
    if not system.exists(hadoop_path):
        return None
    stream = system.open(hadoop_path)
    try:
        return bytes(stream.readAllBytes()).decode()
    finally:
        stream.close()


def download(session: SparkSession, path: str, local: Path) -> None:
    """Copy a file to this machine."""
    system, source = _opened(session, path)
    # The raw local file system writes no checksum file beside the copy.
    system.copyToLocalFile(False, source, _path(session, str(local)), True)
