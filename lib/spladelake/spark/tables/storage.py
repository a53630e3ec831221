"""Operations on files of any file system that Spark can reach."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.files.folders import visible_files
from spladelake.names import some
from spladelake.spark.session.file_uris import shown_path

# Characters that mean something else in Hadoop's patterns.
_GLOB = re.compile(r"[\\\[\]{}*?]")


@dataclass(frozen=True, order=True)
class InputFile:
    """A file as Spark lists it.

    - size: bytes.
    - modified: seconds since 1970.
    """

    path: str
    size: int
    modified: float


def absolute(path: str) -> str:
    """Return a local path as an absolute one without `..`, and a path with a scheme (s3a://, hdfs://) unchanged."""
    if path.startswith("file:"):
        path = "/" + path.removeprefix("file:").lstrip("/")
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def _path(session: SparkSession, path: str) -> Any:
    """Return a path as Hadoop takes it."""
    jvm: Any = session._jvm
    return jvm.org.apache.hadoop.fs.Path(path)


def _opened(session: SparkSession, path: str) -> tuple[Any, Any]:
    """Return Hadoop's file system of a path, and the path as Hadoop takes it."""
    hadoop_path = _path(session, path)
    return hadoop_path.getFileSystem(session._jsc.hadoopConfiguration()), hadoop_path


def exists(session: SparkSession, path: str) -> bool:
    """Return whether a file or folder exists. The path is not a pattern."""
    system, hadoop_path = _opened(session, path)
    return bool(system.exists(hadoop_path))


def stamp(session: SparkSession, path: str) -> tuple[int, int] | None:
    """Return size and time of change (milliseconds since 1970) of a file; None if it does not exist."""
    system, hadoop_path = _opened(session, path)
    if not system.exists(hadoop_path):
        return None
    status = system.getFileStatus(hadoop_path)
    return int(status.getLen()), int(status.getModificationTime())


def _matches(session: SparkSession, pattern: str) -> list[Any]:
    """Return Hadoop's file statuses for a user's path or glob pattern. The path of a file is not a pattern."""
    system, hadoop_path = _opened(session, pattern)
    if system.exists(hadoop_path):
        return [system.getFileStatus(hadoop_path)]
    found = system.globStatus(_path(session, _pattern(session, pattern)))
    return list(found) if found is not None else []


def _pattern(session: SparkSession, pattern: str) -> str:
    """Return a pattern for Hadoop in which the folders that exist mean themselves: `v[1]/*.jsonl` is in `v[1]`."""
    *above, _ = parts = pattern.split("/")
    for depth, part in enumerate(above, start=1):
        if _GLOB.search(part):
            if not exists(session, "/".join(parts[:depth])):
                break
            above[depth - 1] = _GLOB.sub(r"\\\g<0>", part)
    return "/".join([*above, parts[-1]])


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
        beside = f"there is no folder {parent}"
        if re.search(r"[*?\[{]", path):
            beside = "no path matches the pattern"
        elif exists(session, parent):
            beside = f"{parent} holds {some(children(session, parent) or ['nothing'], 8)}"
        found, wanted = f"there is no such file or folder ({beside})", f"wanted an existing path for {option}"
        raise DataError(path, found, wanted, f"Correct {option}.")


def roots(session: SparkSession, location: str) -> list[str]:
    """Return the files and folders that a path or glob pattern matches, sorted. An existing path is not a pattern."""
    return sorted(str(status.getPath().toString()) for status in _matches(session, location))


def reader_options(paths: Iterable[str]) -> dict[str, str]:
    """Return options for a Spark reader that takes no character of a path as a pattern."""
    options = {"__globPaths__": "false", "recursiveFileLookup": "true"}
    if any(":" in path.rsplit("/", 1)[-1] for path in paths):
        # Hadoop builds a path from a file's name to look for its checksum. This fails if the name has a colon.
        options |= {
            "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
            "fs.file.impl.disable.cache": "true",
        }
    return options


def input_files(session: SparkSession, location: str) -> tuple[InputFile, ...]:
    """Return every visible file of an input, sorted by path. File contents are not read."""
    found = roots(session, location)
    local = [path for root in found if (path := local_path(root)) is not None]
    if len(local) == len(found):
        return tuple(sorted(_local_file(file) for path in local for file in visible_files(path)))
    listing = session.read.format("binaryFile").options(**reader_options(())).load(found)
    rows = listing.select("path", "length", F.col("modificationTime").cast("double").alias("modified")).collect()
    return tuple(sorted(InputFile(row["path"], row["length"], row["modified"]) for row in rows))


def _local_file(path: Path) -> InputFile:
    status = path.stat()
    # Hadoop has times in milliseconds.
    return InputFile(f"file:{path}", status.st_size, status.st_mtime_ns // 1_000_000 / 1000)


def fingerprint_of(files: Iterable[InputFile]) -> str:
    """Return a hash over name, size and modification time of every file."""
    entries = [astuple(file) for file in files]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def input_fingerprint(session: SparkSession, path: str) -> str:
    """Return a hash over name, size and modification time of every file of an input. File contents are not read."""
    return fingerprint_of(input_files(session, path))


def local_path(path: str) -> Path | None:
    """Return the path of a file on this machine; None for a path of another file system."""
    plain = shown_path(path)
    return None if "://" in plain else Path(plain)


def open_input(session: SparkSession, file: InputFile) -> BinaryIO:
    """Open a file of an input on any file system. The result is seekable."""
    local = local_path(file.path)
    return local.open("rb") if local is not None else io.BufferedReader(_HadoopFile(session, file))


class _HadoopFile(io.RawIOBase):
    """A file of a Hadoop file system that the driver reads, for footers and first bytes."""

    def __init__(self, session: SparkSession, file: InputFile) -> None:
        system, path = _opened(session, file.path)
        self._stream, self._size, self._at = system.open(path), file.size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._stream.seek(self._at)
        piece = bytes(self._stream.readNBytes(min(len(buffer), self._size - self._at)))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def upload(session: SparkSession, local: Path, target: str) -> None:
    """Copy a local file or folder to a path that every executor can read. Files that have these names are replaced."""
    jvm: Any = session._jvm
    for file in [local] if local.is_file() else (found for found in local.rglob("*") if found.is_file()):
        system, path = _opened(session, "/".join([target, *file.relative_to(local).parts]))
        source, copy = jvm.java.io.FileInputStream(str(file)), system.create(path, True)
        jvm.org.apache.hadoop.io.IOUtils.copyBytes(source, copy, 1 << 16, True)


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
        wanted = "wanted both paths on one file system, and write access"
        fix = "Check the file system and the permissions of both folders."
        raise DataError(source, f"the file cannot be renamed to {target}", wanted, fix)


def write_text(session: SparkSession, path: str, text: str) -> None:
    """Write a small text file. It gets its name when it is complete, so no reader sees a part of it."""
    unfinished = f"{path.rsplit('/', 1)[0]}/.unfinished-{uuid4().hex}"
    system, hadoop_path = _opened(session, unfinished)
    with closing(system.create(hadoop_path, True)) as stream:
        stream.write(text.encode())
    move(session, unfinished, path)


def read_text(session: SparkSession, path: str) -> str | None:
    """Return the text of a small file; None if it does not exist. Raises UnicodeDecodeError if it is not UTF-8."""
    system, hadoop_path = _opened(session, path)
    if not system.exists(hadoop_path):
        return None
    with closing(system.open(hadoop_path)) as stream:
        return bytes(stream.readAllBytes()).decode()


def download(session: SparkSession, path: str, local: Path) -> None:
    """Copy a file to this machine."""
    system, source = _opened(session, path)
    # The raw local file system writes no checksum file beside the copy.
    system.copyToLocalFile(False, source, _path(session, str(local)), True)
