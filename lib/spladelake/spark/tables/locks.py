"""Two writers of one table: locks between processes of one machine, and a new try where Delta saw a conflict."""

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
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from spladelake.errors import ConflictError

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Item = TypeVar("Item")

# Delta's errors that say: somebody committed first, and the same work may succeed on the new state of the table.
# Changed metadata, a changed protocol and a repeated transaction are not among them: the work itself is then wrong.
RETRIED = (
    "ConcurrentAppendException",
    "ConcurrentDeleteReadException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentWriteException",
)
TRIES = 5
# Seconds before the second try; doubled for each further one, and drawn from half of it to all of it.
FIRST_PAUSE = 0.5
LOCK_SECONDS_VARIABLE = "SPLADELAKE_LOCK_SECONDS"
LOCK_SECONDS = 3600.0
LOG_SECONDS = 30.0

_named: dict[str, threading.RLock] = {}
_naming = threading.Lock()


class TargetChangedError(Exception):
    """The target or its staged rows changed while work on them was planned: the work must be planned again."""


def is_retried(error: BaseException) -> bool:
    """Whether an error is one of Delta's that a new try may mend."""
    from spladelake.spark.session.failures import full_text

    if isinstance(error, TargetChangedError):
        return True
    text = full_text(error)
    return any(name in text for name in RETRIED)


def retrying(work: Callable[[], Result], *, place: str, pause: Callable[[float], None] = time.sleep) -> Result:
    """The result of the work, tried again where another writer came first. Raises ConflictError after the last try."""
    for tried in range(1, TRIES + 1):
        try:
            return work()
        except Exception as error:
            if not is_retried(error):
                raise
            if tried == TRIES:
                raise ConflictError(
                    place,
                    f"another writer changed it during each of {TRIES} attempts",
                    "wanted one writer at a time",
                    "Run the job again when the other one has finished.",
                ) from error
            log.warning("%s: another writer committed first; attempt %d of %d", place, tried + 1, TRIES)
            pause(FIRST_PAUSE * 2 ** (tried - 1) * random.uniform(0.5, 1))  # noqa: S311 - spreads writers, no secret
    raise AssertionError("unreachable")


@contextmanager
def alongside(work: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Do work in a thread of its own while the body runs; yields what waits for its end and raises what it raised."""
    with ThreadPoolExecutor(1) as pool:
        # In this thread's context, so that the tables that the work reads and writes are noted with the body's.
        future = pool.submit(copy_context().run, work)
        yield future.result
        future.result()


def at_once(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do work on every item, in threads; raises the first error when all have ended.

    A commit is mostly waiting for Spark's scheduler, so several small ones together take little longer than one.
    """
    with ThreadPoolExecutor() as pool:
        # Each in a copy of this thread's context, so that the tables it reads and writes are noted with the job's.
        futures = [pool.submit(copy_context().run, work, item) for item in items]
    for future in futures:
        future.result()


@contextmanager
def exclusive(place: str, purpose: str = "commit") -> Iterator[None]:
    """Hold the only right to change a table, among the threads of this process and the processes of this machine.

    place: folder or name of the table. On the local file system Delta cannot tell two processes apart, so an advisory
    lock on a file in the folder above the table does; on other file systems Delta's own commit protocol must serve.
    Raises ConflictError after SPLADELAKE_LOCK_SECONDS (default 3600) of waiting.
    """
    with _naming:
        lock = _named.setdefault(f"{place} {purpose}", threading.RLock())
    deadline = time.monotonic() + float(os.environ.get(LOCK_SECONDS_VARIABLE) or LOCK_SECONDS)
    if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise _still_held(place)
    try:
        with _file_lock(place, purpose, deadline):
            yield
    finally:
        lock.release()


_held = threading.local()


@contextmanager
def _file_lock(place: str, purpose: str, deadline: float) -> Iterator[None]:
    file = lock_file(place, purpose)
    held: set[Path] = _held.__dict__.setdefault("files", set())
    if file is None or file in held:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(descriptor, place, deadline)
        held.add(file)
        yield
    finally:
        held.discard(file)
        os.close(descriptor)


def lock_file(place: str, purpose: str) -> Path | None:
    """The file that stands for a table of the local file system; None for a table elsewhere or in a catalog."""
    path = place.removeprefix("file:") if place.startswith("file:/") else place
    if "://" in path or not path.startswith("/"):
        return None
    folder = Path(path).parent
    return folder / f".{Path(path).name}.{purpose}.lock"


def _acquire(descriptor: int, place: str, deadline: float) -> None:
    said = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now = time.monotonic()
            if now >= deadline:
                raise _still_held(place) from None
            if now - said >= LOG_SECONDS:
                log.info("%s: waiting for another job that writes to it", place)
                said = now
            time.sleep(0.1)


def _still_held(place: str) -> ConflictError:
    return ConflictError(
        place,
        "another job is still writing to it",
        f"waited for the time in {LOCK_SECONDS_VARIABLE}",
        "Run the job again when the other one has finished.",
    )


def transaction_id(*parts: str) -> str:
    """A txnAppId: readable parts, the last of them shortened to a hash so that ids stay short."""
    *named, settings = parts
    return ":".join(["spladelake", *named, sha256(settings.encode()).hexdigest()[:16]])
