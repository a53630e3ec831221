"""Locks between writers of a table on one machine, and retries after a conflict that Delta reports."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pyspark.sql import SparkSession

from spladelake.errors import ConflictError, UsageError
from spladelake.spark.session.connect import is_connect, running_session
from spladelake.spark.session.java_errors import full_text
from spladelake.spark.session.store_lease import lease
from spladelake.spark.tables.sql_text import quoted_parts

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Item = TypeVar("Item")

# Delta's errors if another writer committed first and the same work may succeed on the table's new state. Changed
# metadata, a changed protocol and a repeated transaction are not among them: a retry would repeat wrong work.
RETRIED = (
    "ConcurrentAppendException",
    "ConcurrentDeleteReadException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentWriteException",
)
TRIES = 5
# Seconds before the second attempt, doubled for each further one. The real pause is a random 50 to 100 % of it.
FIRST_PAUSE = 0.5
LOCK_SECONDS_VARIABLE = "SPLADELAKE_LOCK_SECONDS"
LOCK_SECONDS = 3600.0
LOG_SECONDS = 30.0

_named: dict[str, threading.RLock] = {}
_naming = threading.Lock()


class TargetChangedError(Exception):
    """The target or its staged rows changed after the work was planned, so the work must be planned again."""


def is_retried(error: BaseException) -> bool:
    """Return whether a retry may succeed after this error."""
    if isinstance(error, TargetChangedError):
        return True
    text = full_text(error)
    return any(name in text for name in RETRIED)


def retrying(work: Callable[[], Result], *, place: str, pause: Callable[[float], None] = time.sleep) -> Result:
    """Return the result of the work, after retries if another writer committed first.

    - place: the table, for messages.
    - pause: waits the given seconds.

    Raises ConflictError if the last of TRIES attempts fails too.
    """
    for tried in range(1, TRIES + 1):
        try:
            return work()
        except Exception as error:
            if not is_retried(error):
                raise
            if tried == TRIES:
                raise ConflictError(
                    place,
                    f"another writer changed the table during each of {TRIES} attempts",
                    "wanted one writer at a time",
                    "Run the job again after the other writer has finished.",
                ) from error
            log.warning("%s: another writer committed first; trying again (attempt %d of %d)", place, tried + 1, TRIES)
            pause(FIRST_PAUSE * 2 ** (tried - 1) * random.uniform(0.5, 1))  # noqa: S311 - spreads writers, no secret
    raise AssertionError("unreachable")


@contextmanager
def alongside(work: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Run work in a thread of its own while the body runs.

    Yields a function that waits for the work and raises the work's error. The end of the body waits for the work too.
    """
    with ThreadPoolExecutor(1) as pool:
        # A copy of this thread's context lets the reads and writes of the work count as those of the job.
        future = pool.submit(copy_context().run, work)
        yield future.result
        future.result()


def at_once(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Run work on every item, in threads. Raise the first error after all have ended.

    A commit mostly waits for Spark's scheduler, so several small ones together take little longer than one.
    """
    with ThreadPoolExecutor() as pool:
        # Copies of this thread's context let the reads and writes of the work count as those of the job.
        futures = [pool.submit(copy_context().run, work, item) for item in items]
    for future in futures:
        future.result()


@contextmanager
def exclusive(place: str, purpose: str = "commit") -> Iterator[None]:
    """Hold the lock that lets one thread of one process on this machine change a table.

    - place: folder or name of the table.
    - purpose: kind of change. Locks for different purposes do not exclude each other.

    On the local file system Delta cannot tell two processes apart. An advisory lock on a file in the folder above the
    table can. A table of a catalog has its lock in the folder of its schema. On S3 Delta cannot tell two drivers apart,
    but a lease can (`session/store_lease.py`). On other file systems Delta's own commit protocol protects the table.

    Raises ConflictError after a wait of SPLADELAKE_LOCK_SECONDS (default 3600), and UsageError if that is no number.
    """
    with _naming:
        lock = _named.setdefault(f"{place} {purpose}", threading.RLock())
    deadline = time.monotonic() + _longest_wait()
    if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise _still_held(place)
    try:
        with _lock_between_processes(lock_place(place), purpose, deadline):
            yield
    finally:
        lock.release()


def _longest_wait() -> float:
    """Return the seconds to wait for another job. Raises UsageError if the user's value is no number of seconds."""
    given = os.environ.get(LOCK_SECONDS_VARIABLE) or str(LOCK_SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        wanted = f"wanted a number of seconds from 0 to {threading.TIMEOUT_MAX:.0f}"
        fix = f"Set the variable to such a number, or unset it for the default of {LOCK_SECONDS:.0f}."
        raise UsageError(LOCK_SECONDS_VARIABLE, f"the value is {given!r}", wanted, fix)
    return seconds


_held = threading.local()


@contextmanager
def _lock_between_processes(place: str, purpose: str, deadline: float) -> Iterator[None]:
    """Hold the lock that keeps other processes out, unless this thread holds it already."""
    file = lock_file(place, purpose)
    key = f"{place} {purpose}"
    held: set[str] = _held.__dict__.setdefault("keys", set())
    if key in held:
        yield
        return
    wait = _waiting(place, deadline)
    with lease(place, purpose, wait) if file is None else _file_lock(file, wait):
        held.add(key)
        try:
            yield
        finally:
            held.discard(key)


@contextmanager
def _file_lock(file: Path, wait: Callable[[], None]) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                wait()
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def lock_place(place: str) -> str:
    """Return the folder beside which the lock of a table is; the name itself if no folder is known.

    All drivers must get the same folder, before the table exists too. So the schema's folder counts, not the table's.

    - place: folder or dotted name of the table.
    """
    schema, _, table = place.rpartition(".")
    if "/" in place or not schema:
        return place
    session = running_session()
    try:
        folder = "" if session is None else _folder(_catalog_of(session), schema)
    except Exception:
        # A schema that is absent is the concern of the statement that uses it, and a catalog need not have folders.
        folder = ""
    return f"{folder}/{table}" if folder else place


def _catalog_of(session: SparkSession) -> str:
    """Return a name of the application or session, since each may have another catalog."""
    return str(session.session_id if is_connect(session) else session.sparkContext.applicationId)  # type: ignore[attr-defined]


@lru_cache
def _folder(catalog: str, schema: str) -> str:
    """Return the folder of a schema; empty if the catalog names none, or a local one that this user cannot write to.

    - catalog: a name of the session's catalog.
    """
    session = SparkSession.active()
    database = session.catalog.getDatabase(quoted_parts(schema))
    folder = (database.locationUri or "").rstrip("/")
    if folder.startswith("file:"):
        folder = "/" + folder.removeprefix("file:").lstrip("/")
    # A local folder of the catalog is on the machine of the server, if there is one.
    is_usable = "://" in folder or (not is_connect(session) and os.access(folder, os.W_OK))
    return folder if is_usable else ""


def lock_file(place: str, purpose: str) -> Path | None:
    """Return the lock file of a table on the local file system; None for a table elsewhere or in a catalog."""
    path = place.removeprefix("file:") if place.startswith("file:/") else place
    if "://" in path or not path.startswith("/"):
        return None
    folder = Path(path).parent
    return folder / f".{Path(path).name}.{purpose}.lock"


def _waiting(place: str, deadline: float) -> Callable[[], None]:
    """Return a function to call while another job holds a lock: it logs now and then, and raises after the deadline."""
    said = 0.0

    def wait() -> None:
        nonlocal said
        now = time.monotonic()
        if now >= deadline:
            raise _still_held(place) from None
        if now - said >= LOG_SECONDS:
            log.info("%s: waiting for another job that writes to the same place", place)
            said = now

    return wait


def _still_held(place: str) -> ConflictError:
    return ConflictError(
        place,
        "another job is still writing to the same place",
        f"wanted the other job to finish within {_longest_wait():g} s ({LOCK_SECONDS_VARIABLE})",
        f"Run the job again after the other job has finished, or raise {LOCK_SECONDS_VARIABLE}.",
    )


def transaction_id(*parts: str) -> str:
    """Return a txnAppId of readable parts. The last part becomes a hash, to keep the id short."""
    *named, settings = parts
    return ":".join(["spladelake", *named, sha256(settings.encode()).hexdigest()[:16]])
