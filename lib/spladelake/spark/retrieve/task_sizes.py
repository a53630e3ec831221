"""The division of a table's files among the tasks that rank its documents."""

from __future__ import annotations

import math

from pyspark.sql import SparkSession

from spladelake.spark.tables.delta_log import file_sizes
from spladelake.spark.tables.refs import TableRef

_MOST_BYTES = "spark.sql.files.maxPartitionBytes"
# Spark adds this number of bytes to the size of each file, for the time to open it.
OPEN_BYTES = 4 * 2**20
# Bytes of a task: Spark's default, and the most that one task should have to repeat after a failure.
TASK_BYTES, MOST_TASK_BYTES = 128 * 2**20, 2**30
# Number of tasks that a slot runs one after the other. It can double if that divides the files more evenly or keeps a
# task below MOST_TASK_BYTES. Later tasks of a process hand over ever fewer candidates, yet 30 tasks hand over half as
# many again as 8.
WAVES = 8


def even_tasks(session: SparkSession, ref: TableRef) -> dict[str, str]:
    """Return session settings that divide a scan of the table into whole rounds of tasks.

    Spark makes tasks of 128 MB even if the last round then leaves slots idle: three tasks on two slots take as long as
    four. Returns no settings if the user has set the size, or under dynamic allocation, which has no fixed number of
    slots.
    """
    given = session.conf.get(_MOST_BYTES, None) is not None
    if given or session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return {}
    count, size = file_sizes(session, ref)
    most = most_bytes(count, size, slots=session.sparkContext.defaultParallelism)
    return {_MOST_BYTES: str(most), "spark.sql.files.minPartitionNum": "1"}


def most_bytes(files: int, size: int, *, slots: int) -> int:
    """Return the value for spark.sql.files.maxPartitionBytes.

    Spark adds files to a task, each with OPEN_BYTES, until the next file would exceed this value. The calculation
    assumes files of equal size and adds half a file for larger ones.

    - files: number of files.
    - size: bytes of all files.
    - slots: number of slots.
    """
    total = size + files * OPEN_BYTES
    if files < 2 * slots:
        # There are too few files to give out whole ones, so Spark cuts them at their row groups.
        waves = max(1, round(total / (slots * TASK_BYTES)))
        return math.ceil(max(OPEN_BYTES, total / (slots * waves)))
    each = total / files
    wanted = max(math.ceil(files / (slots * WAVES)), int(TASK_BYTES / each))
    most = min(wanted, max(1, int(MOST_TASK_BYTES / each)))
    least = math.ceil(min(most, files / (slots * WAVES)) / 2)
    count = min(range(max(1, least), most + 1), key=lambda count: (_longest(files, count, slots), -count))
    return math.ceil((count - 0.5) * each + size / files)


def _longest(files: int, count: int, slots: int) -> int:
    """Return the number of files that the last slot to end reads, with `count` files in each task."""
    tasks, rest = divmod(files, count)
    rounds, over = divmod(tasks, slots)
    return rounds * count + (count if over else rest)
