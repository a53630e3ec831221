"""Spark's Python daemon, which forks the workers, with the packages of their functions imported before.

A worker that imports torch and transformers itself takes 5 s of processor time and 600 MB, and Spark ends workers that
were idle for a minute. A fork has the packages at once and shares their memory. Only local sessions use this daemon: on
a cluster, this package may reach the executors after their daemon has started.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pyspark import SparkContext

_MODULE = "spladelake.worker_start"
# Spark starts another daemon for workers with other variables.
VARIABLE = "SPLADELAKE_WORKER_IMPORTS"
# What the functions on Arrow data use. Importing a package of either list computes nothing, so a fork is as good as a
# new process.
COMMON = ("numpy", "pyarrow", "pandas", "numba")
MODELS = ("torch", "transformers")
# Children of a process that looked for GPUs cannot use them, and nobody tried the daemon on a machine with one.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def daemon_settings(packages: Iterable[str] = COMMON) -> dict[str, str]:
    """Return the settings of a local session whose workers come from this daemon."""
    return {"spark.python.daemon.module": _MODULE, f"spark.executorEnv.{VARIABLE}": ",".join(packages)}


def fork_with_models() -> None:
    """Have torch and transformers imported for the functions that are sent to workers from now on."""
    context = SparkContext._active_spark_context
    if context is not None and VARIABLE in context.environment:
        context.environment[VARIABLE] = ",".join((*COMMON, *MODELS))


def import_packages(names: Iterable[str]) -> None:
    """Import packages. One that cannot be imported is left to the functions that need it: they can say why."""
    left_out = MODELS if any(Path(device).exists() for device in _GPU_DEVICES) else ()
    for name in names:
        if name and name not in left_out:
            with suppress(Exception):
                importlib.import_module(name)
    # A collection in a worker would write to all these objects, and so copy their memory.
    gc.freeze()


def start_workers() -> None:
    """Import the packages that the variable lists, then start workers as Spark asks for them."""
    from pyspark import daemon

    import_packages(os.environ.get(VARIABLE, "").split(","))
    daemon.manager()
