"""Signals that end a process: the command prints one line and exits with 128 + the signal number, as shells expect."""

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
# Holds an entry while a command runs: only then does this module handle Ctrl-C.
_running: list[bool] = []


class Terminated(KeyboardInterrupt):
    """Ctrl-C or a similar signal, after which the process must end.

    - exit_code: exit code of the process.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def ends_with_a_message() -> Iterator[None]:
    """While the body runs, raise Terminated in it for SIGTERM and SIGHUP. A second signal ends the process at once.

    A signal that the process ignores, for example because of nohup, stays ignored.
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
    """While a command runs, let Ctrl-C end it at once, even if it waits for Spark. Call this for each new session.

    pyspark's own handler uses the connection on which the process waits, so it acts only after the wait.
    """
    if _running and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    if number != signal.SIGINT:
        signal.signal(number, signal.SIG_DFL)
    context = getattr(getattr(sys.modules.get("pyspark"), "SparkContext", None), "_active_spark_context", None)
    if context is not None:
        # If the signal ended Java too, py4j would log stack traces.
        logging.getLogger().setLevel(logging.CRITICAL + 1)
        with suppress(Exception):
            # An answer may still arrive on this thread's connection, so later requests need another connection.
            context._gateway._gateway_client.thread_connection.connection = None
            # Rows that are still to be written need free slots.
            context.cancelAllJobs()
    raise Terminated(number)
