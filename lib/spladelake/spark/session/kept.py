"""DataFrames that a job reads several times, kept on disk until it ends or fails.

A server of Spark Connect may refuse to keep them, as serverless compute does. There each reading makes the rows anew.
"""

from __future__ import annotations

from contextlib import ExitStack

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from spladelake.spark.session.connect import is_connect


def kept_on_disk(frame: DataFrame, until: ExitStack) -> DataFrame:
    """Persist a DataFrame on disk until the stack closes. On Spark Connect it stays a plan."""
    if is_connect(frame.sparkSession):
        return frame
    frame = frame.persist(StorageLevel.DISK_ONLY)
    until.callback(frame.unpersist)
    return frame
