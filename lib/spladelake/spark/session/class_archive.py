"""Java's archive of Spark's classes (AppCDS), which halves the start-up time of a local session.

`spladelake prepare` creates the archive. Otherwise the first command that starts a session without an archive creates
one in the background, at its end. The archive's content comes from a session that uses a little of every feature. Its
name identifies the Java and the Spark that it was made with. Java ignores an archive that does not fit.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark

from spladelake.errors import MachineError
from spladelake.machine import cache_folder, free_memory
from spladelake.names import shortened

# By default Java prints warnings to stdout, for instance about classes that it leaves out. stdout is for a command's
# result.
WARNINGS = "-Xlog:disable -Xlog:all=warning:stderr"
SECONDS_TO_WRITE = 300
# The process in the background has the lowest priority, so it may take very long on a busy machine.
_MOST_SECONDS = 1800

VARIABLE = "SPLADELAKE_PREPARE"
# The program that creates the archive. It imports rooms above this one, so this module knows it by name only.
_MODULE = "spladelake.spark.upkeep.archive_session"
IN_BACKGROUND = "--in-background"
_SECONDS_BETWEEN_TRIES = 24 * 3600
# The program needs a heap of 1 GiB besides Java and Python, and disk space for the archive and temporary files.
_BYTES_OF_MEMORY, _BYTES_ON_DISK = 2 * 2**30, 2**30
# Prefix of the work folders.
_WORK = "work-"


@dataclass(frozen=True)
class Made:
    """An archive.

    - was_there: whether it existed already.
    - seconds: time to create it, 0 if it existed.
    """

    path: Path
    was_there: bool
    seconds: float


def found_archive(java: str) -> Path | None:
    """Return the archive of this Java and the installed Spark; None if there is none or it is incomplete.

    The name ends in the size of the file, because a truncated archive crashes Java.
    """
    files = _folder().glob(f"{_stem(java)}-*.jsa")
    return next((file for file in files if file.stem.endswith(f"-{file.stat().st_size}")), None)


def _folder() -> Path:
    return cache_folder() / "classes"


def _stem(java: str) -> str:
    """Return the prefix of archive names for this Java and the installed Spark."""
    spark_jars = sorted((Path(pyspark.__file__).parent / "jars").glob("*.jar"))
    digest = hashlib.sha256()
    for file in (Path(java).resolve(), *spark_jars):
        stat = file.stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return f"spark-{pyspark.__version__}-{digest.hexdigest()[:16]}"


def archive_options(java: str) -> str:
    """Return the JVM options that use the archive; empty if there is none."""
    found = found_archive(java)
    return "" if found is None else f'"-XX:SharedArchiveFile={found}" {WARNINGS}'


def make_archive(java: str, *, wait: bool = True) -> Made | None:
    """Create the archive unless it exists. Only one process at a time does so.

    - wait: wait while another process creates it. If False, return None in that case.

    Raises MachineError if the folder is not writable or Java creates no archive.
    """
    started, folder = time.monotonic(), _folder()
    if (there := found_archive(java)) is not None:
        return Made(there, True, 0.0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MachineError(
            str(folder), f"the folder is not writable ({error.strerror})",
            "wanted a writable folder for the archive of Spark's classes",
            "Set XDG_CACHE_HOME to a writable folder.",
        ) from error  # fmt: skip
    with _only_one(folder, wait=wait) as is_mine:
        if not is_mine:
            return None
        if (there := found_archive(java)) is not None:
            return Made(there, True, 0.0)
        target = _made(java, folder)
    return Made(target, False, round(time.monotonic() - started, 1))


@contextmanager
def _only_one(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock a folder while the body runs; yield whether this process got the lock.

    The operating system releases the lock if the process dies.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _made(java: str, folder: Path) -> Path:
    """Remove the leftovers of killed processes, create the archive and return its path."""
    for left in folder.glob(f"{_WORK}*"):
        shutil.rmtree(left, ignore_errors=True)
    stem = _stem(java)
    # Java writes the file in place, so it gets its final name only when it is complete.
    with tempfile.TemporaryDirectory(dir=folder, prefix=_WORK) as work:
        part = Path(work) / "part"
        _record(part, java)
        for old in (*folder.glob(f"{stem}-*.jsa"), _tried(java)):
            old.unlink(missing_ok=True)
        return part.replace(folder / f"{stem}-{part.stat().st_size}.jsa")


def _record(part: Path, java: str) -> None:
    """Record the archive in a process of its own. Raises MachineError if Java creates none, or not in time."""
    without = "Go on without the archive (sessions only start more slowly), or"
    command = [sys.executable, "-m", _MODULE, str(part)]
    try:
        done = subprocess.run(
            command, cwd=part.parent, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        found = f"Java did not create the archive of Spark's classes within {_MOST_SECONDS} s"
        fix = f"{without} run the command again when the machine is less busy."
        raise MachineError(java, found, "wanted the archive within this time", fix) from error
    if done.returncode == 0 and part.is_file():
        return
    said = next(
        (shortened(line.strip()) for line in reversed(done.stderr.splitlines()) if line.strip()),
        "Java printed no reason",
    )
    raise MachineError(
        java, f"Java could not create the archive of Spark's classes ({said})",
        "wanted a HotSpot JVM, version 17 or newer", f"{without} set JAVA_HOME to a HotSpot JVM.",
    )  # fmt: skip


def _tried(java: str) -> Path:
    """Return the file that marks an attempt in the background. It stays if the attempt fails."""
    return _folder() / f"{_stem(java)}.tried"


def begin_in_background(java: str) -> Path | None:
    """Start to create the archive in a process that outlives this one; return the archive's folder.

    Return None if SPLADELAKE_PREPARE is off, the archive exists, somebody tried within a day, or memory or disk space
    is short. No failure is an error here: sessions only start more slowly.
    """
    if os.environ.get(VARIABLE, "").lower() in ("off", "0", "no", "false"):
        return None
    try:
        folder, tried = _folder(), _tried(java)
        memory = free_memory()
        if found_archive(java) is not None or (memory is not None and memory < _BYTES_OF_MEMORY):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < _BYTES_ON_DISK or not _is_first_try(tried):
            return None
        # The process gets a session of its own and none of our streams. So closing the terminal does not end it, and a
        # caller that reads our output to the end does not wait for it.
        subprocess.Popen(
            [sys.executable, "-m", _MODULE, IN_BACKGROUND],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None
    return folder


def _is_first_try(tried: Path) -> bool:
    """Mark an attempt; return whether it is the first within a day. If two processes ask at once, one gets False."""
    if tried.exists() and time.time() - tried.stat().st_mtime > _SECONDS_BETWEEN_TRIES:
        tried.unlink(missing_ok=True)
    try:
        tried.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
