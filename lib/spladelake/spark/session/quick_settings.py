"""Sessions of commands that end in seconds: what makes a cold JVM and plans over few rows quick, and long jobs slow.

Processor time of a cold session and four aggregates over a lake of 420 documents, two cores, best of two: 30 s as
sessions are otherwise, 15 s with Java's first compiler and serial collector, 12 to 14 s with interpreted plans too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# Java's second compiler, and a collector with threads of its own, pay after minutes.
_COMPILER, _COLLECTOR = "-XX:TieredStopAtLevel=1 -XX:-UsePerfData", "-XX:+UseSerialGC"
# Code that is generated for each plan is compiled twice, by Janino and by Java, and then runs over a few thousand rows.
SETTINGS = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}
# Bytes of data files up to which a lake is small: some ten thousand documents with their vectors and runs.
MOST_BYTES = 32 * 2**20
# Files of all kinds up to which a lake is looked through before Spark starts: it takes some 10 ms.
MOST_FILES = 5_000


def java_options(settings: Mapping[str, str]) -> str:
    """Options of the JVM of a quick session. settings: those of the caller."""
    given = [*settings.values(), *(os.environ.get(name, "") for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"))]
    # Java refuses to start with two collectors.
    is_chosen = any(re.search(r"-XX:\+Use\w+GC", text) for text in given)
    return _COMPILER if is_chosen else f"{_COMPILER} {_COLLECTOR}"


def is_small_lake(lake: str) -> bool:
    """Whether the tables of a lake are small: known of a folder of this machine only, False of others and of none."""
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
