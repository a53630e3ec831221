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
from typing import Any
from uuid import uuid4

from pyspark import SparkContext

from spladelake.errors import ConflictError
from spladelake.spark.session.java_errors import full_text

# Seconds without a renewal after which a holder counts as dead. It renews every quarter of this.
LEASE_SECONDS = 60.0
_PAUSE = 0.5
VARIABLE = "SPLADELAKE_LOCK"

# File systems on which Delta needs this lock. On others Delta's own commit keeps two drivers apart.
_SCHEMES = ("s3://", "s3a://", "s3n://")
_STORES = ("spark.delta.logStore.class", *(f"spark.delta.logStore.{scheme[:-3]}.impl" for scheme in _SCHEMES))
# Options of Hadoop's createFile, from Hadoop 3.4.2 on.
_IF_ABSENT = "fs.option.create.conditional.overwrite"
_IF_SAME = f"{_IF_ABSENT}.etag"
# A write whose condition failed.
_REFUSED = ("412", "409", "PreconditionFailed", "RemoteFileChanged", "FileAlreadyExists", "ConditionalRequestConflict")


@contextmanager
def lease(place: str, purpose: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a table's lock on S3 while the body runs. On other file systems there is none.

    - place, purpose: as `spladelake.spark.tables.locks.exclusive` takes them.
    - wait: called while another driver holds the lock. It raises ConflictError if that takes too long.

    Raises ConflictError if the store has no conditional writes, or if the lock was lost meanwhile.
    """
    if not place.startswith(_SCHEMES) or os.environ.get(VARIABLE, "").lower() == "off" or _has_own_store():
        yield
        return
    folder, _, name = place.rstrip("/").rpartition("/")
    held = _Lease(f"{folder}/.{name}.{purpose}.lease")
    if not held.is_possible():
        raise ConflictError(
            place,
            "the client of this store has no conditional writes, so two drivers could lose commits",
            "wanted Hadoop's S3A of release 3.4.2 or newer (Spark 4.1 or newer), or Delta's store for several drivers",
            f"Configure {_STORES[2]}=io.delta.storage.S3DynamoDBLogStore, or set {VARIABLE}=off if no two jobs ever "
            "write at once.",
        )
    held.acquire(wait)
    try:
        yield
    finally:
        held.release(place)


def _has_own_store() -> bool:
    """Return whether the session is configured with a store of Delta for several drivers."""
    context = SparkContext._active_spark_context
    named = [context.getConf().get(key, "") or "" for key in _STORES] if context is not None else []
    return any(name and "SingleDriver" not in name for name in named)


class _Lease:
    """The object of one lock."""

    def __init__(self, path: str) -> None:
        jvm: Any = SparkContext._jvm
        context = SparkContext._active_spark_context
        assert context is not None
        self.path = jvm.org.apache.hadoop.fs.Path(path)
        self.system = self.path.getFileSystem(context._jsc.hadoopConfiguration())
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
        self.etag, self.is_lost = "", False
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True, name=f"lease of {path}")

    def is_possible(self) -> bool:
        return bool(self.system.hasPathCapability(self.path, _IF_ABSENT))

    def acquire(self, wait: Callable[[], None]) -> None:
        """Take the lock; call `wait` until it is free or its holder is dead."""
        seen, since = "", 0.0
        while True:
            found = self._read()
            if found is None:
                taken = self._write(held=True, etag=None)
            else:
                is_held, etag = found
                if etag != seen:
                    seen, since = etag, time.monotonic()
                is_free = not is_held or time.monotonic() - since >= LEASE_SECONDS
                taken = is_free and self._write(held=True, etag=etag)
            if taken:
                self._renewing.start()
                return
            wait()
            time.sleep(_PAUSE)

    def release(self, place: str) -> None:
        """Free the lock. Raises ConflictError if another driver has taken it meanwhile."""
        self._ended.set()
        self._renewing.join()
        if self.is_lost or not self._write(held=False, etag=self.etag):
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
                if not self._write(held=True, etag=self.etag):
                    self.is_lost = True
                    return
                last = time.monotonic()
            except Exception:
                # The store may answer again; after the lease another driver may hold the lock.
                if time.monotonic() - last >= LEASE_SECONDS:
                    self.is_lost = True
                    return

    def _read(self) -> tuple[bool, str] | None:
        """Return whether somebody holds the lock, and the etag of the object; None if there is none.

        The lock is free if the object is empty. One request tells both, so the object may change at any time.
        """
        try:
            status = self.system.getFileStatus(self.path)
        except Exception as error:
            if "FileNotFoundException" in full_text(error):
                return None
            raise
        return int(status.getLen()) > 0, str(status.getEtag())

    def _write(self, *, held: bool, etag: str | None) -> bool:
        """Write the object if it is absent (no etag) or has the etag; return whether that was so."""
        builder = self.system.createFile(self.path).overwrite(True)
        if etag is None:
            builder.must(_IF_ABSENT, "true")
        else:
            builder.must(_IF_SAME, etag)
        try:
            stream = builder.build()
            if held:
                # Other bytes at each renewal, so that the etag changes.
                stream.write(f"{self.owner} {uuid4().hex}".encode())
            stream.close()
        except Exception as error:
            if any(sign in full_text(error) for sign in _REFUSED):
                return False
            raise
        self.etag = str(self.system.getFileStatus(self.path).getEtag())
        return True
