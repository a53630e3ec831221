"""DataFrames that a job reads several times, kept on disk until it ends or fails."""

from __future__ import annotations

from contextlib import ExitStack

from pyspark import StorageLevel
from pyspark.sql import DataFrame


def kept_on_disk(frame: DataFrame, until: ExitStack) -> DataFrame:
    """Persist a DataFrame on disk until the stack closes."""
    frame = frame.persist(StorageLevel.DISK_ONLY)
    until.callback(frame.unpersist)
    return frame
