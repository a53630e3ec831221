"""Settings for jobs on little data: the time of such a job is Spark's own, and most of that can be spared.

Spark makes Java code of every plan and compiles it, plans again after each stage, and spreads a shuffle over tasks. On
a few megabytes that takes longer than the work (tests/bench/bench_small.py). The rows are the same either way.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.spark.session.quick_settings import SETTINGS, is_small_lake
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.start import small_machine_settings

# Bytes of input files, beside those of the lake, up to which a job is on little data.
MOST_INPUT_BYTES = 16 * 2**20

_INPUTS = ("source", "documents", "queries", "judgements", "input")


@contextmanager
def fitting_plans(session: SparkSession, options: Options) -> Iterator[None]:
    """While a job of these options runs on little data, the session has SETTINGS, but for those that a user gave."""
    if not is_small(options):
        yield
        return
    given, ours = session.sparkContext.getConf(), small_machine_settings()
    settings = {key: value for key, value in SETTINGS.items() if given.get(key, None) in (None, ours.get(key))}
    with session_settings(session, settings):
        yield


def is_small(options: Options) -> bool:
    """Whether a job's lakes and inputs are on this machine, and small."""
    given = options.model_dump()
    lakes = (given.get("collections") or {"": given.get("lake") or ""}).values()
    inputs = [given[name] for name in _INPUTS if given.get(name)]
    if not all(is_small_lake(lake) or _is_absent(lake) for lake in lakes):
        return False
    # An input that is not there is a pattern, or no file of this machine.
    return sum(_size(path) for path in inputs) <= MOST_INPUT_BYTES


def _is_absent(lake: str) -> bool:
    """Whether a local folder is not there: a lake that is still to be made."""
    return ":" not in lake.partition("/")[0] and not os.path.exists(os.path.expanduser(lake))


def _size(path: str) -> float:
    """Bytes of a file, or of all files below a folder; without end if neither is there."""
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)
    return os.path.getsize(path) if os.path.isfile(path) else math.inf
