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
# Writing 187,600 rows of a run takes 7.5 to 9 s with generated code, 12 to 13 s interpreted, most of it for Delta's
# statistics. A few thousand rows are not worth the compilation.
GENERATED = {"spark.sql.codegen.factoryMode": "FALLBACK"}
GENERATED_FROM_ROWS = 50_000
# A lake with at most this many bytes of data files is small: ten thousand documents with their vectors and runs.
MOST_BYTES = 32 * 2**20
# A lake or folder of more files than this does not count as small. Listing so many before Spark starts takes 10 ms.
MOST_FILES = 5_000


def java_options(settings: Mapping[str, str]) -> str:
    """Return the JVM options of a quick session.

    - settings: Spark configuration of the caller.
    """
    given = [*settings.values(), os.environ.get("JAVA_TOOL_OPTIONS", ""), os.environ.get("JDK_JAVA_OPTIONS", "")]
    # Java refuses to start with two collectors.
    is_chosen = any(re.search(r"-XX:\+Use\w+GC", text) for text in given)
    return _COMPILER if is_chosen else f"{_COMPILER} {_COLLECTOR}"


def is_small_lake(lake: str) -> bool:
    """Return whether the tables of a lake are small. False if the lake is missing or is no local folder."""
    if ":" in lake.partition("/")[0]:
        return False
    return small_size(lake, most_bytes=MOST_BYTES, ending=".parquet") is not None


def small_size(place: str, *, most_bytes: int, ending: str = "") -> int | None:
    """Return the bytes of a file, or of the files below a folder. It stops to look once they are not small.

    - ending: count only files whose names end so.

    None if there are more than `most_bytes`, if there are more than MOST_FILES files and folders, or if the place
    cannot be read.
    """
    size, left, folders = 0, MOST_FILES, [Path(place).expanduser()]
    try:
        if folders[0].is_file():
            size = folders[0].stat().st_size
            return size if size <= most_bytes and place.endswith(ending) else None
        while folders:
            for entry in os.scandir(folders.pop()):
                left -= 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.name.endswith(ending):
                    size += entry.stat().st_size
                if size > most_bytes or left < 0:
                    return None
    except OSError:
        return None
    return size
