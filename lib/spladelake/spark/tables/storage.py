"""Files as Spark sees them, on whatever file system their path names."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote
from uuid import uuid4

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spladelake.errors import DataError
from spladelake.files.folders import visible_files


@dataclass(frozen=True, order=True)
class InputFile:
    """A file as Spark lists it. size: bytes. modified: seconds since 1970."""

    path: str
    size: int
    modified: float


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


def person_path(uri: str) -> str:
    """A file URI of Spark's as a person writes the path."""
    return shown_path(unquote(uri))


def shown_path(path: str) -> str:
    """A path of Hadoop's as a person writes it."""
    return re.sub("^file:/*", "/", path)


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


def roots(session: SparkSession, location: str) -> list[str]:
    """Files and folders that a path or glob pattern names, sorted; a name that is there means itself."""
    return sorted(str(status.getPath().toString()) for status in _matches(session, location))


def reader_options(paths: Iterable[str]) -> dict[str, str]:
    """Options of a reader with which every character of a path means itself."""
    options = {"__globPaths__": "false", "recursiveFileLookup": "true"}
    if any(":" in path.rsplit("/", 1)[-1] for path in paths):
        # Hadoop makes a path of a file's name to look for its checksum, which fails at a colon.
        options |= {
            "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
            "fs.file.impl.disable.cache": "true",
        }
    return options


def input_files(session: SparkSession, location: str) -> tuple[InputFile, ...]:
    """Every file of an input that is not hidden, by path; no content is read."""
    found = roots(session, location)
    local = [path for root in found if (path := local_path(root)) is not None]
    if len(local) == len(found):
        return tuple(sorted(_local_file(file) for path in local for file in visible_files(path)))
    listing = session.read.format("binaryFile").options(**reader_options(())).load(found)
    rows = listing.select("path", "length", F.col("modificationTime").cast("double").alias("modified")).collect()
    return tuple(sorted(InputFile(row["path"], row["length"], row["modified"]) for row in rows))


def _local_file(path: Path) -> InputFile:
    status = path.stat()
    # Hadoop knows milliseconds.
    return InputFile(f"file:{path}", status.st_size, status.st_mtime_ns // 1_000_000 / 1000)


def fingerprint_of(files: Iterable[InputFile]) -> str:
    """Hash over name, size and modification time of every file."""
    entries = [astuple(file) for file in files]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def input_fingerprint(session: SparkSession, path: str) -> str:
    """Hash over name, size and modification time of every file of an input; no content is read."""
    return fingerprint_of(input_files(session, path))


def local_path(path: str) -> Path | None:
    """A path on this machine's own file system; None for that of another store."""
    plain = shown_path(path)
    return None if "://" in plain else Path(plain)


def open_input(session: SparkSession, file: InputFile) -> BinaryIO:
    """A file of an input, open to be read at any place, on whatever file system it is."""
    local = local_path(file.path)
    return local.open("rb") if local is not None else io.BufferedReader(_HadoopFile(session, file))


class _HadoopFile(io.RawIOBase):
    """A file of a Hadoop file system, read in the driver: for footers and first bytes."""

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
