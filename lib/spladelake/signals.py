"""Signals that end a process: told in one line and by the exit code that shells expect, 128 + the signal's number."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

# SIGTERM: a scheduler or container ends the job. SIGHUP: its terminal was closed.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# Whether a command runs, so that signals are to be taken.
_running: list[bool] = []


class Terminated(KeyboardInterrupt):
    """The process is to end, by Ctrl-C or by a signal like it. exit_code: what it then ends with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def ends_with_a_message() -> Iterator[None]:
    """While the body runs, SIGTERM and SIGHUP are raised in it as Terminated; a second one ends the process at once.

    A signal that the process was told to ignore, as by nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGINT)}
    for number in _SIGNALS:
        if before[number] is signal.SIG_DFL:
            signal.signal(number, _end)
    _running.append(True)
    try:
        yield
    finally:
        _running.pop()
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def take_interrupts() -> None:
    """While a command runs, let Ctrl-C end it at once also if it waits for Spark; to be called with a new session.

    pyspark's own handler asks over the connection on which the process waits, and so only after the wait is over.
    """
    if _running and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
    context = getattr(getattr(sys.modules.get("pyspark"), "SparkContext", None), "_active_spark_context", None)
    if context is not None:
        # If Java was ended too, py4j would log stack traces of it.
        logging.getLogger().setLevel(logging.CRITICAL + 1)
        with suppress(Exception):
            # An answer may still come on this thread's connection: whatever is asked from now on needs another.
            context._gateway._gateway_client.thread_connection.connection = None
            # For what is still to be written there must be free slots.
            context.cancelAllJobs()
    raise Terminated(number)
