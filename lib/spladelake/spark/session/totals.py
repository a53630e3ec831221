"""Sums that tasks share with the driver, and their stand-in if the driver does the work itself."""

from __future__ import annotations

from pyspark.accumulators import Accumulator, AccumulatorParam
from pyspark.sql import SparkSession

from spladelake.spark.session.connect import is_connect


class Totals(AccumulatorParam[dict[str, float]]):
    """A dictionary of sums, added up over all tasks."""

    def zero(self, value: dict[str, float]) -> dict[str, float]:
        return {}

    def addInPlace(self, value1: dict[str, float], value2: dict[str, float]) -> dict[str, float]:  # noqa: N802
        for key, amount in value2.items():
            value1[key] = value1.get(key, 0) + amount
        return value1


class DriverTotals:
    """The stand-in for an accumulator of `Totals` if the driver does the work itself."""

    def __init__(self) -> None:
        self.value: dict[str, float] = {}

    def add(self, term: dict[str, float]) -> None:
        """Add amounts by name."""
        for key, amount in term.items():
            self.value[key] = self.value.get(key, 0) + amount


def shared_totals(session: SparkSession) -> Accumulator[dict[str, float]] | DriverTotals:
    """Return sums for tasks. On Spark Connect tasks share none with the driver: their sums stay in the workers."""
    return DriverTotals() if is_connect(session) else session.sparkContext.accumulator({}, Totals())
