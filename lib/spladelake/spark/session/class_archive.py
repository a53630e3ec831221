"""Java's archive of Spark's classes (AppCDS), from which a local session starts in about half the time.

It is made once by a session that does a little of everything and ends: by `spladelake prepare`, or in the background
after the first command that started a session without one. It is found by the Java and the Spark that it was made with.
Java itself ignores an archive that does not fit it.
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
from spladelake.machine import free_memory
from spladelake.spark.session.jars import cache_folder

# Java prints warnings, such as those about classes that it leaves out, to stdout, which is the result's.
WARNINGS = "-Xlog:disable -Xlog:all=warning:stderr"
SECONDS_TO_WRITE = 300
# On a busy machine what has the lowest priority takes many times as long as alone.
_MOST_SECONDS = 1800

VARIABLE = "SPLADELAKE_PREPARE"
# The program that makes the archive. It uses what jobs use, so it is above this module and known by name only.
_MODULE = "spladelake.spark.upkeep.archive_session"
IN_BACKGROUND = "--in-background"
_SECONDS_BETWEEN_TRIES = 24 * 3600
# What it takes: a heap of 1 GiB with Java and Python around it; the archive, and what Spark writes beside it.
_BYTES_OF_MEMORY, _BYTES_ON_DISK = 2 * 2**30, 2**30
# How the names of the folders begin in which it is made.
_WORK = "work-"


@dataclass(frozen=True)
class Made:
    """An archive: whether it was there already, and the seconds that it took if not."""

    path: Path
    was_there: bool
    seconds: float


def found_archive(java: str) -> Path | None:
    """The archive of this Java and the installed Spark; None where there is none, or a piece of one.

    Its name ends in its size: Java dies of an archive that was cut.
    """
    files = _folder().glob(f"{_stem(java)}-*.jsa")
    return next((file for file in files if file.stem.endswith(f"-{file.stat().st_size}")), None)


def _folder() -> Path:
    return cache_folder() / "classes"


def _stem(java: str) -> str:
    """How the names of the archives of this Java and the installed Spark begin."""
    spark_jars = sorted((Path(pyspark.__file__).parent / "jars").glob("*.jar"))
    digest = hashlib.sha256()
    for file in (Path(java).resolve(), *spark_jars):
        stat = file.stat()
        digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return f"spark-{pyspark.__version__}-{digest.hexdigest()[:16]}"


def java_options(java: str) -> str:
    """Options of a JVM that is to start from the archive; empty where there is none."""
    found = found_archive(java)
    return "" if found is None else f'"-XX:SharedArchiveFile={found}" {WARNINGS}'


def make_archive(java: str, *, wait: bool = True) -> Made | None:
    """Make the archive unless it is there; one process at a time. Raises MachineError where Java makes none.

    wait: for another process that makes it; without, the answer is then None.
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
            str(folder), f"it cannot be written to ({error.strerror})", "the class archive is written there",
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
    """Hold the lock on a folder; yields whether it is held. It is the system's, and ends with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _made(java: str, folder: Path) -> Path:
    """Make the archive and give it its name, and remove what was left by processes that were killed."""
    for left in folder.glob(f"{_WORK}*"):
        shutil.rmtree(left, ignore_errors=True)
    stem = _stem(java)
    # Java writes in place; under its name there must only be a whole one.
    with tempfile.TemporaryDirectory(dir=folder, prefix=_WORK) as work:
        part = Path(work) / "part"
        said = _recorded(part)
        if said is not None:
            raise MachineError(
                java, f"it could not create the class archive ({said})", "wanted HotSpot of Java 17 or newer",
                "You can skip this step: sessions only start more slowly.",
            )  # fmt: skip
        for old in (*folder.glob(f"{stem}-*.jsa"), _tried(java)):
            old.unlink(missing_ok=True)
        return part.replace(folder / f"{stem}-{part.stat().st_size}.jsa")


def _recorded(part: Path) -> str | None:
    """Record the archive in a process of its own; returns why there is none, or None."""
    command = [sys.executable, "-m", _MODULE, str(part)]
    try:
        done = subprocess.run(
            command, cwd=part.parent, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_MOST_SECONDS} s"
    if done.returncode == 0 and part.is_file():
        return None
    return next(
        (line.strip()[:300] for line in reversed(done.stderr.splitlines()) if line.strip()), "Java printed no reason"
    )


def _tried(java: str) -> Path:
    """The file that is there while the archive is made in the background, and after that has failed."""
    return _folder() / f"{_stem(java)}.tried"


def begin_in_background(java: str) -> Path | None:
    """Begin to make the archive in a process that outlives this one; returns the folder that it goes to.

    None where that is not wanted (SPLADELAKE_PREPARE=off), not needed, was tried within a day, or there is no room.
    Nothing that goes wrong with it is an error: only later starts take longer.
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
        # Of its own session and without our streams: neither a closed terminal nor a caller that waits for the end of
        # our output has to do with it.
        subprocess.Popen(
            [sys.executable, "-m", _MODULE, IN_BACKGROUND],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None
    return folder


def _is_first_try(tried: Path) -> bool:
    """Whether nobody has tried within a day; of two processes that ask at once, one is told so."""
    if tried.exists() and time.time() - tried.stat().st_mtime > _SECONDS_BETWEEN_TRIES:
        tried.unlink(missing_ok=True)
    try:
        tried.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
