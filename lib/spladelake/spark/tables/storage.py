"""Files as Spark sees them, on whatever file system their path names."""

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
    """A local path made absolute, without `..`; one with a scheme (s3a://, hdfs://) as it is."""
    if path.startswith("file:"):
        path = "/" + path.removeprefix("file:").lstrip("/")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def plain_path(uri: Column) -> Column:
    """A column of file URIs, as Spark's `_metadata.file_path` holds them, as a person writes the paths."""
    # url_decode reads + as a space; in a path it is a plus sign.
    decoded = F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(decoded, "^file:/*", "/")


def _path(session: SparkSession, path: str) -> Any:
    """A path as Hadoop takes it."""
    jvm = session._jvm
    assert jvm is not None
    return jvm.org.apache.hadoop.fs.Path(path)


def _opened(session: SparkSession, path: str) -> tuple[Any, Any]:
    """Hadoop's file system of a path, and the path as Hadoop takes it."""
    hadoop_path = _path(session, path)
    return hadoop_path.getFileSystem(session._jsc.hadoopConfiguration()), hadoop_path


def exists(session: SparkSession, path: str) -> bool:
    """Whether a file or folder is there; no character of the path stands for others."""
    system, hadoop_path = _opened(session, path)
    return bool(system.exists(hadoop_path))


def _matches(session: SparkSession, pattern: str) -> list[Any]:
    """Hadoop's file statuses of what a user's path or glob pattern names; a name that is there is no pattern."""
    system, hadoop_path = _opened(session, pattern)
    if system.exists(hadoop_path):
        return [system.getFileStatus(hadoop_path)]
    found = system.globStatus(hadoop_path)
    return list(found) if found is not None else []


def folders(session: SparkSession, pattern: str) -> list[str]:
    """Paths of the folders that a path or glob pattern names, sorted."""
    return sorted(str(s.getPath().toString()) for s in _matches(session, pattern) if s.isDirectory())


def is_folder(session: SparkSession, pattern: str) -> bool:
    """Whether a path or glob pattern names a folder."""
    return bool(folders(session, pattern))


def contents(session: SparkSession, folder: str) -> list[str]:
    """Names of all that a folder holds, hidden ones too, sorted; empty if there is no such folder."""
    system, hadoop_path = _opened(session, folder)
    if not system.exists(hadoop_path) or not system.getFileStatus(hadoop_path).isDirectory():
        return []
    return sorted(str(status.getPath().getName()) for status in system.listStatus(hadoop_path))


def children(session: SparkSession, folder: str) -> list[str]:
    """Names of the visible files in a folder, sorted; empty if there is no such folder."""
    return [name for name in contents(session, folder) if not name.startswith(("_", "."))]


def require_input(session: SparkSession, path: str, *, option: str) -> None:
    """Refuse an input path or glob pattern where nothing is."""
    if not _matches(session, path):
        parent = path.rsplit("/", 1)[0] or "/"
        beside = ", ".join(children(session, parent)[:8]) or "nothing"
        raise DataError(
            path, "there is no such file or folder", f"{option} names it; {parent} holds {beside}", f"Correct {option}."
        )


def input_fingerprint(session: SparkSession, path: str) -> str:
    """Hash over name, size and modification time of every file of an input; no content is read."""
    listing = session.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = listing.select("path", "length", F.col("modificationTime").cast("double").alias("modified")).collect()
    entries = sorted((row["path"], row["length"], row["modified"]) for row in rows)
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def upload(session: SparkSession, local: Path, target: str) -> None:
    """Copy a local folder to a path that every executor can read."""
    system, destination = _opened(session, target)
    system.copyFromLocalFile(False, True, _path(session, str(local)), destination)


# File systems on which a folder gets another name in one step, seen by every reader as the one or the other.
_RENAMING = {"file", "hdfs", "viewfs"}


def can_take_name(session: SparkSession, path: str) -> bool:
    """Whether a folder can be given this path as its name in one step: nothing is there, and its file system can."""
    system, hadoop_path = _opened(session, path)
    return system.getUri().getScheme() in _RENAMING and not system.exists(hadoop_path)


def rename(session: SparkSession, path: str, target: str) -> bool:
    """Give a folder another name, at which nothing must be; returns whether it could be done."""
    system, folder = _opened(session, path)
    return bool(system.rename(folder, _path(session, target)))


def remove(session: SparkSession, path: str) -> None:
    """Delete a file or folder with all it holds."""
    system, hadoop_path = _opened(session, path)
    system.delete(hadoop_path, True)


def touch(session: SparkSession, path: str) -> None:
    """Make an empty file and the folders above it."""
    system, hadoop_path = _opened(session, path)
    system.create(hadoop_path, True).close()


def move(session: SparkSession, source: str, target: str) -> None:
    """Rename a file, on its own file system, replacing what has the new name."""
    system, old = _opened(session, source)
    new = _path(session, target)
    system.delete(new, True)
    if not system.rename(old, new):
        raise DataError(
            source, f"it cannot be renamed to {target}", "wanted both on one file system", "Check both folders."
        )


def write_text(session: SparkSession, path: str, text: str) -> None:
    """Make a small file of a text, whole or not at all: it gets its name when all of it is there."""
    unfinished = f"{path.rsplit('/', 1)[0]}/.unfinished-{uuid4().hex}"
    with tempfile.TemporaryDirectory(prefix="spladelake-") as folder:
        local = Path(folder) / "file"
        local.write_text(text, encoding="utf-8")
        upload(session, local, unfinished)
    move(session, unfinished, path)


def read_text(session: SparkSession, path: str) -> str | None:
    """What a small file holds; None where there is none. Raises UnicodeDecodeError for what is no text."""
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
