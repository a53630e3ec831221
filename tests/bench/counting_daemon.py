"""The Python daemon of local sessions, which notes in SPLADELAKE_WORKER_STARTS each worker that it starts.

Set spark.python.daemon.module=counting_daemon with this folder on the workers' PYTHONPATH.
"""

from __future__ import annotations

import os
import time
from typing import Any

from pyspark import daemon

from spladelake.spark.session import worker_daemon

_worker = daemon.worker
_noted: set[int] = set()


def worker(*arguments: Any) -> Any:
    """pyspark's own entry of a worker process, which enters again for each task, after its start was noted."""
    if os.getpid() not in _noted:
        _noted.add(os.getpid())
        with open(os.environ["SPLADELAKE_WORKER_STARTS"], "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {time.time()}\n")
    return _worker(*arguments)


daemon.worker = worker

if __name__ == "__main__":
    worker_daemon.start_workers()
