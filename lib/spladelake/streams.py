"""stderr under spark-submit. Its JVM reads both streams of this process from one pipe and prints them to stdout."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHUNK = 65_536
# Longest wait for the end of stderr. A process that outlives the job may hold the stream open.
SECONDS_TO_END = 5.0


@contextmanager
def stderr_apart() -> Iterator[None]:
    """Send the stderr of this process and its children to the JVM's stderr while the body runs.

    Do so only if spark-submit started this process and its two streams are one. Then stdout holds nothing but the
    result.
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
    """Return whether the descriptors are open on the same pipe or file."""
    try:
        return len({(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)}) == 1
    except OSError:
        return False


def _java_stderr() -> Any:
    """Return System.err of spark-submit's JVM; None if it cannot be reached."""
    from pyspark import SparkContext

    try:
        SparkContext._ensure_initialized()
        assert SparkContext._jvm is not None
        return SparkContext._jvm.java.lang.System.err
    except Exception:
        return None


def _forward(read: int, stream: Any, otherwise: int) -> None:
    """Copy a pipe to a Java stream until the pipe ends. If the JVM has ended, write to a descriptor instead.

    - read: descriptor of the pipe.
    - otherwise: descriptor to write to without the JVM.
    """
    while data := os.read(read, CHUNK):
        try:
            stream.write(data, 0, len(data))
            stream.flush()
        except Exception:
            os.write(otherwise, data)
    os.close(read)
