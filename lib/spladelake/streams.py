"""stderr under spark-submit, whose JVM reads both streams of this process from one pipe and prints them as stdout."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHUNK = 65_536
# A process that was left behind may hold stderr open; the job does not wait for it.
SECONDS_TO_END = 5.0


@contextmanager
def stderr_apart() -> Iterator[None]:
    """While the body runs, what this process and its children write to stderr comes out of the JVM's stderr.

    Only where spark-submit started this process and both streams are one; so that stdout has the result and no more.
    """
    stream = _java_stderr() if "PYSPARK_GATEWAY_PORT" in os.environ and _are_one(1, 2) else None
    if stream is None:
        yield
        return
    before = os.dup(2)
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)
    pump = threading.Thread(target=_forward, args=(read, stream, before), daemon=True)
    pump.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        pump.join(SECONDS_TO_END)


def _are_one(*descriptors: int) -> bool:
    """Whether the descriptors are open on the same pipe or file."""
    try:
        return len({(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)}) == 1
    except OSError:
        return False


def _java_stderr() -> Any:
    """System.err of the JVM that spark-submit is; None where it cannot be reached."""
    from pyspark import SparkContext

    try:
        SparkContext._ensure_initialized()
        assert SparkContext._jvm is not None
        return SparkContext._jvm.java.lang.System.err
    except Exception:
        return None


def _forward(read: int, stream: Any, otherwise: int) -> None:
    """Copy a pipe to a Java stream until its end; to a descriptor where the JVM has gone."""
    while data := os.read(read, CHUNK):
        try:
            stream.write(data, 0, len(data))
            stream.flush()
        except Exception:
            os.write(otherwise, data)
    os.close(read)
