"""Settings for jobs on little data: the time of such a job is Spark's own, and most of that can be spared.

Spark makes Java code of every plan and compiles it, plans again after each stage, and spreads a shuffle over tasks. On
a few megabytes that takes longer than the work (tests/bench/bench_small.py). The rows are the same either way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.spark.session import small_machine_settings
from spladelake.spark.tables import written_as

# Bytes of files up to which a lake and its inputs are little data.
LIMIT_BYTES = 16 * 2**20

SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}

_INPUTS = ("source", "documents", "queries", "judgements", "input")


@contextmanager
def fitting_plans(session: SparkSession, options: Options) -> Iterator[None]:
    """While a job of these options runs on little data, the session has SETTINGS, but for those that a user gave."""
    if not is_small(options):
        yield
        return
    given, ours = session.sparkContext.getConf(), small_machine_settings()
    settings = {key: value for key, value in SETTINGS.items() if given.get(key, None) in (None, ours.get(key))}
    with written_as(session, settings):
        yield


def is_small(options: Options) -> bool:
    """Whether a job's lakes and inputs are on this machine and have LIMIT_BYTES together at most."""
    given = options.model_dump()
    lakes = (given.get("collections") or {"": given.get("lake") or ""}).values()
    inputs = [given[name] for name in _INPUTS if given.get(name)]
    # A lake that is not there yet is small; an input that is not there is a pattern, or no file of this machine.
    if any("://" in path or path.startswith("schema:") for path in (*lakes, *inputs)):
        return False
    if not all(os.path.exists(os.path.expanduser(path)) for path in inputs):
        return False
    left = LIMIT_BYTES
    for path in (*lakes, *inputs):
        for size in _sizes(os.path.expanduser(path)):
            left -= size
            if left < 0:
                return False
    return True


def _sizes(path: str) -> Iterator[int]:
    """Bytes of every file below a path, read as they are asked for."""
    if os.path.isfile(path):
        yield os.path.getsize(path)
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                yield os.path.getsize(os.path.join(folder, name))
            except OSError:
                continue  # gone since the folder was listed
