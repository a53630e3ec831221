"""How a table's files are dealt out to the tasks that rank its documents."""

from __future__ import annotations

import math

from pyspark.sql import SparkSession

from spladelake.spark.tables.delta_log import file_sizes
from spladelake.spark.tables.refs import TableRef

_MOST_BYTES = "spark.sql.files.maxPartitionBytes"
# Spark counts a file as so many bytes larger than it is, for the time that opening takes.
OPEN_BYTES = 4 * 2**20
# Bytes of a task: what Spark gives one by itself, and the most that is worth trying again after a failure.
TASK_BYTES, MOST_TASK_BYTES = 128 * 2**20, 2**30
# Tasks that a slot gets one after the other, or up to twice as many where they come out even or would pass
# MOST_TASK_BYTES. Each hands over the documents that beat those its process found before: ever fewer, but of thirty
# tasks still half as many again as of eight.
WAVES = 8


def even_tasks(session: SparkSession, ref: TableRef) -> dict[str, str]:
    """Settings under which a scan of the table has about as many tasks as its slots can do in whole rounds.

    Spark cuts a table into tasks of 128 MB, whatever that leaves for the last round: three tasks for two slots take as
    long as four. No settings where the user has given some, or where slots are not counted yet: they come with tasks.
    """
    given = session.conf.get(_MOST_BYTES, None) is not None
    if given or session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return {}
    count, size = file_sizes(session, ref)
    most = most_bytes(count, size, slots=session.sparkContext.defaultParallelism)
    return {_MOST_BYTES: str(most), "spark.sql.files.minPartitionNum": "1"}


def most_bytes(files: int, size: int, *, slots: int) -> int:
    """Bytes that a task reads at most. size: of all files together.

    Spark puts one file behind the other into a task, with its OPEN_BYTES, until the bytes of the next would pass this.
    Files are taken to be alike; half a one on top allows for those that are larger.
    """
    total = size + files * OPEN_BYTES
    if files < 2 * slots:
        # Too few to be dealt out whole: they are cut, where their row groups allow it.
        waves = max(1, round(total / (slots * TASK_BYTES)))
        return math.ceil(max(OPEN_BYTES, total / (slots * waves)))
    each = total / files
    wanted = max(math.ceil(files / (slots * WAVES)), int(TASK_BYTES / each))
    most = min(wanted, max(1, int(MOST_TASK_BYTES / each)))
    least = math.ceil(min(most, files / (slots * WAVES)) / 2)
    count = min(range(max(1, least), most + 1), key=lambda count: (_longest(files, count, slots), -count))
    return math.ceil((count - 0.5) * each + size / files)


def _longest(files: int, count: int, slots: int) -> int:
    """Files that the last slot to end has read, where tasks have so many of them."""
    tasks, rest = divmod(files, count)
    rounds, over = divmod(tasks, slots)
    return rounds * count + (count if over else rest)
