"""Settings for commands that end within seconds. They would slow down long jobs.

They make a cold JVM and plans over few rows fast. Processor time of a cold session with four aggregates over a lake of
420 documents (two cores, best of two): 30 s with the usual settings, 15 s with Java's first compiler and serial
collector, 12 to 14 s with interpreted plans as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# Java's second compiler (C2) and a parallel collector pay off only after minutes.
_COMPILER, _COLLECTOR = "-XX:TieredStopAtLevel=1 -XX:-UsePerfData", "-XX:+UseSerialGC"
# Spark generates code for each plan, and both Janino and Java compile it. Interpreting the plan over a few thousand
# rows is faster.
SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}
# A lake with at most this many bytes of data files is small: ten thousand documents with their vectors and runs.
MOST_BYTES = 32 * 2**20
# A lake with more files than this does not count as small. Listing so many files before Spark starts takes 10 ms.
MOST_FILES = 5_000


def java_options(settings: Mapping[str, str]) -> str:
    """Return the JVM options of a quick session.

    - settings: Spark configuration of the caller.
    """
    given = [*settings.values(), *(os.environ.get(name, "") for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"))]
    # Java refuses to start with two collectors.
    is_chosen = any(re.search(r"-XX:\+Use\w+GC", text) for text in given)
    return _COMPILER if is_chosen else f"{_COMPILER} {_COLLECTOR}"


def is_small_lake(lake: str) -> bool:
    """Return whether the tables of a lake are small. False if the lake is missing or is no local folder."""
    if ":" in lake.partition("/")[0]:
        return False
    size, left, folders = 0, MOST_FILES, [Path(lake).expanduser()]
    try:
        while folders:
            for entry in os.scandir(folders.pop()):
                left -= 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.name.endswith(".parquet"):
                    size += entry.stat().st_size
                if size > MOST_BYTES or left < 0:
                    return False
    except OSError:
        return False
    return True
