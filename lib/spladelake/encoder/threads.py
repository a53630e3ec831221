"""Threads that run the model on a CPU. Each thread computes one batch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

from spladelake.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")


class ModelThreads:
    """A pool of threads in which torch starts no further threads.

    The layers of a model are many small matrix products. If threads shared each product, all would wait for the slowest
    at every product; on a machine with other work that is most of the time. With one batch per thread, no thread waits.
    Each batch holds the interpreter lock for a few per cent of its time, so beyond a dozen threads several processes
    are faster.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool, self._process = self._start(), os.getpid()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in one of the threads."""
        if self._process != os.getpid():  # Threads do not survive a fork.
            self._pool, self._process = self._start(), os.getpid()
        return self._pool.submit(function, *args, **kwargs)

    def _start(self) -> ThreadPoolExecutor:
        before = torch.get_num_threads()

        def compute_alone() -> None:
            # A thread has its own number of helper threads. At its first request it copies the number of the process.
            torch.get_num_threads()
            torch.set_num_threads(1)

        pool = ThreadPoolExecutor(self.count, thread_name_prefix="spladelake", initializer=compute_alone)
        started = threading.Barrier(self.count + 1)
        for _ in range(self.count):
            pool.submit(started.wait)
        started.wait()
        # The call in the threads also changed the number that later threads copy. Restore it.
        torch.set_num_threads(before)
        return pool


def use_threads(threads: int | None, device: torch.device) -> ModelThreads:
    """Return the threads that compute on a device: several on a CPU, one that feeds an accelerator.

    - threads: number of threads, which the tokenizer uses too; None for the number that torch would use.

    Raises UsageError if the number is less than 1.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(
                "threads", f"the value is {threads}", "wanted 1 or more", "Leave out threads to use all cores."
            )
        # The tokenizers library reads both variables when it starts its own pool.
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    return ModelThreads((threads or torch.get_num_threads()) if device.type == "cpu" else 1)
