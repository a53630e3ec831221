"""Threads that run the model on a CPU, one batch each."""

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
    """A pool whose threads compute single-threaded.

    A model's layers are many small matrix products; sharing each of them between threads makes all wait for the slowest
    at every product, which on a machine with other work is most of the time. One batch per thread has nothing to wait
    for. The interpreter lock is held for some per cent of a batch, so beyond a dozen threads several processes do more.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool, self._process = self._start(), os.getpid()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in one of the threads."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._pool, self._process = self._start(), os.getpid()
        return self._pool.submit(function, *args, **kwargs)

    def _start(self) -> ThreadPoolExecutor:
        before = torch.get_num_threads()

        def compute_alone() -> None:
            # The number of its helpers is a property of a thread, taken over from the process when first asked for ...
            torch.get_num_threads()
            torch.set_num_threads(1)

        pool = ThreadPoolExecutor(self.count, thread_name_prefix="spladelake", initializer=compute_alone)
        started = threading.Barrier(self.count + 1)
        for _ in range(self.count):
            pool.submit(started.wait)
        started.wait()
        # ... and also what threads started later begin with, which is not ours to change.
        torch.set_num_threads(before)
        return pool


def use_threads(threads: int | None, device: torch.device) -> ModelThreads:
    """Threads for a device: that many on a CPU, None for as many as torch would use; one that feeds an accelerator.

    Tokenising follows the same number. Raises UsageError when it is less than 1.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(
                "threads", f"the value is {threads}", "wanted 1 or more", "Leave out threads to use all cores."
            )
        # The tokenizers library reads both when it starts its own pool.
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    return ModelThreads((threads or torch.get_num_threads()) if device.type == "cpu" else 1)
