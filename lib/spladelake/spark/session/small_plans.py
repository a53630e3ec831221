"""Settings for jobs on little data, whose time is mostly Spark's overhead.

Spark generates and compiles Java code for every plan, plans again after each stage, and spreads a shuffle over tasks.
On a few megabytes this takes longer than the work (tests/bench/bench_small.py). The rows are the same either way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spladelake.config import Options
from spladelake.spark.session.quick_settings import SETTINGS, is_small_lake, small_size
from spladelake.spark.session.settings import session_settings
from spladelake.spark.session.start import small_machine_settings

# Limit for the input files of a small job, in bytes. `is_small_lake` has the limit for the lake.
MOST_INPUT_BYTES = 16 * 2**20

_INPUTS = ("source", "documents", "queries", "judgements", "input")


@contextmanager
def fitting_plans(session: SparkSession, options: Options) -> Iterator[None]:
    """Apply the settings for little data while a small job runs. Settings that the user gave stay."""
    if not is_small(options):
        yield
        return
    given, ours = session.sparkContext.getConf(), small_machine_settings()
    settings = {key: value for key, value in SETTINGS.items() if given.get(key, None) in (None, ours.get(key))}
    with session_settings(session, settings):
        yield


def is_small(options: Options) -> bool:
    """Return whether a job's lakes and inputs are small and on this machine."""
    given = options.model_dump()
    lakes = (given.get("collections") or {"": given.get("lake") or ""}).values()
    inputs = [given[name] for name in _INPUTS if given.get(name)]
    if not all(is_small_lake(lake) or _is_absent(lake) for lake in lakes):
        return False
    return _are_small(inputs)


def _are_small(inputs: list[str]) -> bool:
    """Return whether the inputs have at most MOST_INPUT_BYTES together. Patterns and remote paths count as large."""
    left = MOST_INPUT_BYTES
    for path in inputs:
        # A table of a folder, as encode_texts names it.
        size = small_size(path.removeprefix("table:") if path.startswith("table:/") else path, most_bytes=left)
        if size is None:
            return False
        left -= size
    return True


def _is_absent(lake: str) -> bool:
    """Return whether a lake is a local folder that does not exist yet."""
    return ":" not in lake.partition("/")[0] and not os.path.exists(os.path.expanduser(lake))
