"""A lock between drivers on S3: an object that is written only if it is absent, or unchanged since it was read.

Delta's store for S3 keeps commits of one driver apart, but not those of two: the later one replaces the earlier one
without an error. S3's conditional writes make every step of this lock atomic. A holder renews its lease. If it dies,
the object stops changing, and another driver takes the lock after LEASE_SECONDS, by its own clock.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import uuid4

from pyspark import SparkContext
from pyspark.sql.utils import is_remote

from spladelake.errors import ConflictError, UsageError
from spladelake.spark.session.connect import running_session
from spladelake.spark.session.store_objects import StoreObject

# Seconds without a renewal after which a holder counts as dead. It renews every quarter of this.
LEASE_SECONDS = 60.0
_PAUSE = 0.5
VARIABLE = "SPLADELAKE_LOCK"

# File systems on which Delta needs this lock. On others Delta's own commit keeps two drivers apart.
_SCHEMES = ("s3://", "s3a://", "s3n://")
_STORES = ("spark.delta.logStore.class", *(f"spark.delta.logStore.{scheme[:-3]}.impl" for scheme in _SCHEMES))


class ConditionalObject(Protocol):
    """An object of a store, as `store_objects.StoreObject` is one."""

    def read(self) -> tuple[bool, str] | None:
        """Return whether the object has content, and its etag; None if there is no object."""

    def write(self, content: bytes, etag: str | None) -> str | None:
        """Write it if it is absent (no etag) or has the etag; return its new etag, or None if that is not so."""


@contextmanager
def lease(place: str, purpose: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a table's lock on S3 while the body runs. On other file systems there is none.

    - place, purpose: as `spladelake.spark.tables.locks.exclusive` takes them.
    - wait: called while another driver holds the lock. It raises ConflictError if that takes too long.

    Raises ConflictError if the store has no conditional writes, or if the lock was lost meanwhile. Raises UsageError if
    the variable SPLADELAKE_LOCK has an unknown value.
    """
    if not needs_lease(place) or is_off():
        yield
        return
    if is_remote():
        raise _over_connect(place)
    folder, _, name = place.rstrip("/").rpartition("/")
    found = StoreObject(f"{folder}/.{name}.{purpose}.lease")
    if not found.has_conditions():
        raise without_conditions(place)
    held = Lease(found)
    held.acquire(wait)
    try:
        yield
    finally:
        held.release(place)


def needs_lease(place: str) -> bool:
    """Return whether Delta's own commit does not keep two drivers apart at a place, in this session."""
    return place.startswith(_SCHEMES) and not _has_own_store()


def is_off() -> bool:
    """Return whether the user wants no lock on S3. Raises UsageError if the variable has an unknown value."""
    given = os.environ.get(VARIABLE, "")
    if given.lower() not in ("", "on", "off"):
        wanted = "wanted off, on or nothing"
        raise UsageError(VARIABLE, f"the variable is {given!r}", wanted, "Correct or unset the variable.")
    return given.lower() == "off"


def without_conditions(place: str) -> ConflictError:
    """Return the error for a store or client without conditional writes."""
    return ConflictError(
        place,
        "the client of this store has no conditional writes, so two drivers could lose commits",
        "wanted Hadoop's S3A of release 3.4.2 or newer (Spark 4.1 or newer), or Delta's store for several drivers",
        f"Configure {_STORES[2]}=io.delta.storage.S3DynamoDBLogStore, or set {VARIABLE}=off if no two jobs ever "
        "write at once.",
    )


def _over_connect(place: str) -> ConflictError:
    return ConflictError(
        place,
        "a client of Spark Connect cannot take the lock of a table on S3, so two drivers could lose commits",
        "wanted a server with Delta's store for several drivers",
        f"Start the server with {_STORES[2]}=io.delta.storage.S3DynamoDBLogStore, or set {VARIABLE}=off if no other "
        "driver writes to the table.",
    )


def _has_own_store() -> bool:
    """Return whether the session has a store of Delta for several drivers. Databricks has one of its own."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return True
    if is_remote():
        session = running_session()
        named = [session.conf.get(key, "") or "" for key in _STORES] if session is not None else []
        return any(name and "SingleDriver" not in name for name in named)
    context = SparkContext._active_spark_context
    named = [context.getConf().get(key, "") or "" for key in _STORES] if context is not None else []
    return any(name and "SingleDriver" not in name for name in named)


class Lease:
    """The lock that one object stands for. The lock is free if the object is absent or empty.

    - etag: of the object as this driver wrote it last.
    - is_lost: whether a renewal failed because another driver took the lock.
    """

    def __init__(self, kept_in: ConditionalObject) -> None:
        self.kept_in = kept_in
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
        self.etag, self.is_lost = "", False
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True, name=f"lease {self.owner}")

    def acquire(self, wait: Callable[[], None]) -> None:
        """Take the lock; call `wait` until it is free or its holder is dead."""
        seen, since = "", 0.0
        while True:
            found = self.kept_in.read()
            if found is None:
                taken = self._hold(None)
            else:
                is_held, etag = found
                if etag != seen:
                    seen, since = etag, time.monotonic()
                taken = (not is_held or time.monotonic() - since >= LEASE_SECONDS) and self._hold(etag)
            if taken:
                self._renewing.start()
                return
            wait()
            time.sleep(_PAUSE)

    def release(self, place: str) -> None:
        """Free the lock. Raises ConflictError if another driver has taken it meanwhile."""
        self._ended.set()
        self._renewing.join()
        if self.is_lost or self.kept_in.write(b"", self.etag) is None:
            raise ConflictError(
                place,
                f"this driver could not renew its lock for {LEASE_SECONDS:.0f} s, and another driver may have written",
                "wanted one writer at a time",
                "Run the job again; it compares the table with its inputs.",
            )

    def _renew(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(LEASE_SECONDS / 4):
            try:
                if not self._hold(self.etag):
                    self.is_lost = True
                    return
                last = time.monotonic()
            except Exception:
                # The store may answer again; after the lease another driver may hold the lock.
                if time.monotonic() - last >= LEASE_SECONDS:
                    self.is_lost = True
                    return

    def _hold(self, etag: str | None) -> bool:
        """Write the owner into the object, if it has the etag; return whether it had."""
        # Other bytes at each renewal, so that the etag changes.
        written = self.kept_in.write(f"{self.owner} {uuid4().hex}".encode(), etag)
        self.etag = self.etag if written is None else written
        return written is not None
