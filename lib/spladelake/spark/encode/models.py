"""Models of a Python worker: loaded once a process, kept for the tasks that come after."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pyspark import TaskContext

Model = TypeVar("Model")
Model_co = TypeVar("Model_co", covariant=True)
# A worker serves one model at a time; a second is kept so that alternating jobs do not reload.
CAPACITY = 2


@dataclass(frozen=True)
class Share:
    """What a task may use of its machine: threads, None for all; a device, None for the model's choice."""

    threads: int | None
    device: str | None


def task_share() -> Share:
    """What Spark gave the task that runs here."""
    context = TaskContext.get()
    return Share(context.cpus() if context else None, task_device(context))


class ModelSpec(Hashable, Protocol[Model_co]):
    """Which model a worker needs: small, frozen, sent with every task, and the key of the cache."""

    def load(self, *, threads: int | None, device: str | None) -> Model_co:
        """Verify the files and load them. threads, device: None leaves the choice to the model."""
        ...


class ModelCache(Generic[Model]):
    """The models of this process by spec, the one loaded first forgotten first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._loaded: dict[ModelSpec[Model], Model] = {}

    def get(self, spec: ModelSpec[Model], share: Share | None = None) -> tuple[Model, bool]:
        """The model of a spec, loaded on first use; and whether it was loaded now. share: the task's by default."""
        with self._lock:
            if spec in self._loaded:
                return self._loaded[spec], False
            share = share or task_share()
            while len(self._loaded) >= self._capacity:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[spec] = spec.load(threads=share.threads, device=share.device)
            return self._loaded[spec], True


def task_device(context: TaskContext | None) -> str | None:
    """The GPU that Spark gave this task; None leaves the choice to the model (CUDA if there is one, else CPU)."""
    if forced := os.environ.get("SPLADELAKE_DEVICE"):
        return forced
    gpu = context.resources().get("gpu") if context else None
    return f"cuda:{gpu.addresses[0]}" if gpu else None
