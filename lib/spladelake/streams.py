"""The streams of this process: readers that end before it, and stderr apart from stdout under spark-submit."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

CHUNK = 65_536
# A process that was left behind may hold stderr open; the job does not wait for it.
SECONDS_TO_END = 5.0


class ReaderGone(BaseException):
    """Nobody reads stdout any more, as after `| head -1`: there is no use in further output."""


class _Outliving:
    """stdout or stderr, from which nothing is written any more after it has failed once.

    On stdout the failure is raised. Messages that nobody reads on stderr never end the work.
    """

    def __init__(self, stream: TextIO, number: int) -> None:
        self._stream, self._number = stream, number
        self._failure: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text; see the class for failures."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is held back; see the class for failures."""
        self._try(self._stream.flush)

    def _try(self, write: Callable[[], Any]) -> None:
        try:
            if self._failure is None:
                write()
        except OSError as error:
            self._failure = ReaderGone() if isinstance(error, BrokenPipeError) else error
            # What the stream still holds must go somewhere when the process ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
        # Each time anew: libraries that try streams out may have kept the first one to themselves.
        if self._failure is not None and self._number == 1:
            raise self._failure


@contextmanager
def outlive_readers() -> Iterator[None]:
    """While the body runs, a reader of stderr may end, and one of stdout that ends is told by ReaderGone.

    stderr of this process is then lost, and no error; Python would end with 120 or a stack trace for either.
    """
    before = sys.stdout, sys.stderr
    if sys.stdout is not None and sys.stdout is sys.__stdout__:
        sys.stdout = cast(TextIO, _Outliving(cast(TextIO, sys.stdout), 1))
    if sys.stderr is not None and sys.stderr is sys.__stderr__:
        sys.stderr = cast(TextIO, _Outliving(cast(TextIO, sys.stderr), 2))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ReaderGone, AttributeError):
                stream.flush()
        sys.stdout, sys.stderr = before


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
