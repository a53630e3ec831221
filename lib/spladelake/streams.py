"""The streams of this process: readers that end early, and separate stdout and stderr under spark-submit."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

CHUNK = 65_536
# Longest wait for the end of stderr. A process that outlives the job may hold the stream open.
SECONDS_TO_END = 5.0


class ReaderGone(BaseException):
    """The reader of stdout has ended, as `head -1` does after a line. More output is useless."""


class _Outliving:
    """A stdout or stderr that drops all output after its first failure.

    stdout raises the failure at every write. stderr never does, so unread messages do not end the work.
    """

    def __init__(self, stream: TextIO, number: int) -> None:
        self._stream, self._number = stream, number
        self._failure: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text. The class tells how failures are handled."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write the buffered text. The class tells how failures are handled."""
        self._try(self._stream.flush)

    def _try(self, write: Callable[[], Any]) -> None:
        try:
            if self._failure is None:
                write()
        except OSError as error:
            self._failure = ReaderGone() if isinstance(error, BrokenPipeError) else error
            # The process flushes the buffer at its end, which must not fail again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._number)
            os.close(nowhere)
        # Raise it every time: a library that tests the stream may have swallowed the first one.
        if self._failure is not None and self._number == 1:
            raise self._failure


@contextmanager
def outlive_readers() -> Iterator[None]:
    """Let the readers of stdout and stderr end while the body runs.

    A write to stdout then raises ReaderGone, and output to stderr is lost without an error. Otherwise Python would end
    with exit code 120 or a stack trace.
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
