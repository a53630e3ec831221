"""Models of a Python worker: a process loads each model once and keeps it for later tasks."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pyspark import TaskContext

Model = TypeVar("Model")
Model_co = TypeVar("Model_co", covariant=True)
# A worker uses one model at a time. It keeps a second one, so that alternating jobs do not load models again.
CAPACITY = 2


@dataclass(frozen=True)
class Share:
    """The threads and the device that a task may use.

    - threads: None for all.
    - device: None leaves the choice to the model.
    """

    threads: int | None
    device: str | None


def task_share() -> Share:
    """Return the share that Spark gave the running task."""
    context = TaskContext.get()
    return Share(context.cpus() if context else None, task_device(context))


class ModelSpec(Hashable, Protocol[Model_co]):
    """The model that a worker needs: small and frozen, sent with every task, and the key of the cache."""

    def load(self, *, threads: int | None, device: str | None) -> Model_co:
        """Verify the model's files and load them. threads, device: see Share."""
        ...


class ModelCache(Generic[Model]):
    """The models of this process by spec. If the cache is full, it drops the model that it loaded first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._loaded: dict[ModelSpec[Model], Model] = {}

    def get(self, spec: ModelSpec[Model], share: Share | None = None) -> tuple[Model, bool]:
        """Return the model of a spec, and whether this call loaded it.

        - share: by default the running task's share.
        """
        with self._lock:
            if spec in self._loaded:
                return self._loaded[spec], False
            share = share or task_share()
            while len(self._loaded) >= self._capacity:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[spec] = spec.load(threads=share.threads, device=share.device)
            return self._loaded[spec], True


def task_device(context: TaskContext | None) -> str | None:
    """Return the GPU that Spark gave this task; None leaves the choice to the model (CUDA if present, else CPU)."""
    if forced := os.environ.get("SPLADELAKE_DEVICE"):
        return forced
    gpu = context.resources().get("gpu") if context else None
    return f"cuda:{gpu.addresses[0]}" if gpu else None
